//! Where the parts of a value begin and end, in text that `ron` has found to be well-formed.
//!
//! `ron` can say that too, through [`RawValue`](ron::value::RawValue), but it validates every part again, twice, at
//! each level of nesting. Here a part is only stepped over. The scanner judges nothing: where a text is not of the form
//! that is asked for, it declines with `None`, and [`reference`](super::reference) says what `ron` makes of it.

use std::ops::Range;

/// The value that a whole text holds, without the space around it.
pub(super) fn value(text: &str) -> Option<Range<usize>> {
    let mut scanner = Scanner::new(text);
    let value = scanner.value()?;
    scanner.end()?;
    // `#![...]` in front of the value is an attribute of the file, and no part of it.
    (!text[value.clone()].starts_with('#')).then_some(value)
}

/// The items of `[ ... ]`.
pub(super) fn items(text: &str) -> Option<Vec<Range<usize>>> {
    let mut scanner = Scanner::new(text);
    scanner.expect(b'[')?;
    let items = scanner.separated(b']', Scanner::value)?;
    scanner.end()?;
    Some(items)
}

/// The keys and values of `{ key: value, ... }`.
pub(super) fn entries(text: &str) -> Option<Vec<(Range<usize>, Range<usize>)>> {
    let mut scanner = Scanner::new(text);
    scanner.expect(b'{')?;
    let entries = scanner.separated(b'}', Scanner::pair)?;
    scanner.end()?;
    Some(entries)
}

/// The names and values of `Name(field: value, ...)`, where `Name` may be left out.
pub(super) fn fields(text: &str, name: &str) -> Option<Vec<(Range<usize>, Range<usize>)>> {
    let mut scanner = Scanner::new(text);
    if !text.starts_with('(') {
        scanner.word(name)?;
    }
    scanner.expect(b'(')?;
    let mut fields = scanner.separated(b')', Scanner::pair)?;
    scanner.end()?;
    for (name, _) in &mut fields {
        // `r#` says that a name follows which need not look like one.
        if text[name.clone()].starts_with("r#") {
            name.start += 2;
        }
    }
    Some(fields)
}

/// The one value in `Name(value)`.
pub(super) fn argument(text: &str, name: &str) -> Option<Range<usize>> {
    let mut scanner = Scanner::new(text);
    scanner.word(name)?;
    scanner.expect(b'(')?;
    let mut arguments = scanner.separated(b')', Scanner::value)?;
    scanner.end()?;
    match arguments.len() {
        1 => arguments.pop(),
        _ => None,
    }
}

/// A place in a text, always between two characters.
struct Scanner<'s> {
    text: &'s str,
    at: usize,
}

impl<'s> Scanner<'s> {
    fn new(text: &'s str) -> Self {
        Self { text, at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Steps over a byte that must come next, and the space before it.
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.space()?;
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Steps over a word that must come next.
    fn word(&mut self, word: &str) -> Option<()> {
        self.text[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    /// Nothing but space is left.
    fn end(&mut self) -> Option<()> {
        self.space()?;
        self.peek().is_none().then_some(())
    }

    /// Parts with commas between them, and the closing bracket.
    fn separated<T>(&mut self, close: u8, part: fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut parts = Vec::new();
        loop {
            self.space()?;
            if self.peek()? == close {
                self.at += 1;
                return Some(parts);
            }
            parts.push(part(self)?);
            match self.peek()? {
                b',' => self.at += 1,
                byte if byte == close => {}
                _ => return None,
            }
        }
    }

    /// `key: value`
    fn pair(&mut self) -> Option<(Range<usize>, Range<usize>)> {
        let key = self.value()?;
        self.expect(b':')?;
        Some((key, self.value()?))
    }

    /// Steps over a value and the space around it; what ends a value is what can only come after one.
    fn value(&mut self) -> Option<Range<usize>> {
        self.space()?;
        let start = self.at;
        let mut end = start;
        let mut depth = 0usize;
        while let Some(byte) = self.peek() {
            match byte {
                b',' | b':' if depth == 0 => break,
                b')' | b']' | b'}' if depth == 0 => break,
                b')' | b']' | b'}' => {
                    depth -= 1;
                    self.at += 1;
                }
                b'(' | b'[' | b'{' => {
                    depth += 1;
                    self.at += 1;
                }
                b'"' => self.string()?,
                b'\'' => self.character()?,
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.letters()?,
                _ => self.at += self.text[self.at..].chars().next()?.len_utf8(),
            }
            end = self.at;
            self.space()?;
        }
        (depth == 0 && end > start).then_some(start..end)
    }

    /// Steps over letters and digits, and over the raw string that `r` or `br` begins.
    fn letters(&mut self) -> Option<()> {
        let rest = &self.text.as_bytes()[self.at..];
        let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = rest.iter().position(|byte| !is_letter(byte)).unwrap_or(rest.len());
        self.at += length;
        if rest[..length].ends_with(b"r") {
            let hashes = rest[length..].iter().take_while(|byte| **byte == b'#').count();
            if rest.get(length + hashes) == Some(&b'"') {
                let inside = self.at + hashes + 1;
                let close = format!("\"{}", "#".repeat(hashes));
                self.at = inside + self.text[inside..].find(&close)? + close.len();
            }
        }
        Some(())
    }

    /// Steps over `"..."`.
    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            self.at += length + 1;
            if rest[length] == b'"' {
                return Some(());
            }
            self.at += self.text[self.at..].chars().next()?.len_utf8();
        }
    }

    /// Steps over `'x'`, where x may be `'` or an escape.
    fn character(&mut self) -> Option<()> {
        self.at += 1;
        let mut rest = self.text[self.at..].chars();
        let first = rest.next()?;
        self.at += first.len_utf8();
        if first == '\\' {
            self.at += rest.next()?.len_utf8();
        }
        self.at += self.text[self.at..].find('\'')? + 1;
        Some(())
    }

    /// Steps over white space and comments, as `ron` knows them; `None` when a comment is not closed.
    fn space(&mut self) -> Option<()> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r' | b'\x0B' | b'\x0C') => self.at += 1,
                Some(b'/') => self.comment()?,
                Some(0x80..) => match self.text[self.at..].chars().next() {
                    Some(space @ ('\u{85}' | '\u{200E}' | '\u{200F}' | '\u{2028}' | '\u{2029}')) => {
                        self.at += space.len_utf8();
                    }
                    _ => return Some(()),
                },
                _ => return Some(()),
            }
        }
    }

    /// Steps over `// ...` with its end of line, or `/* ... */`, which may hold others of its kind.
    fn comment(&mut self) -> Option<()> {
        let rest = &self.text[self.at..];
        if rest.starts_with("//") {
            self.at += rest.find('\n')? + 1;
            return Some(());
        }
        let mut depth = 0usize;
        loop {
            let rest = &self.text[self.at..];
            if rest.starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if depth > 0 && rest.starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return Some(());
                }
            } else if depth > 0 {
                self.at += rest.char_indices().skip(1).find(|(_, next)| matches!(next, '/' | '*'))?.0;
            } else {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests;
