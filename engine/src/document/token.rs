//! RON text as tokens that lose nothing but white space: what the formatter works on.
//!
//! The text has passed `ron` before. On any other text tokens are still made, without a meaning and without a panic.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// `(`, `[`, `{`, with the index of the token that closes it.
    Open(usize),
    /// `)`, `]`, `}`, with the index of the token that opened it.
    Close(usize),
    /// `,`
    Comma,
    /// `:`
    Colon,
    /// A text, a character, a number, an identifier: whatever has no inside.
    Word,
    /// `// ...`
    LineComment,
    /// `/* ... */`
    BlockComment,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'s> {
    pub(super) kind: TokenKind,
    pub(super) text: &'s str,
    /// Line breaks between the token before and this one.
    pub(super) lines: usize,
    /// Is there white space before it?
    pub(super) is_apart: bool,
}

impl Token<'_> {
    pub(super) fn is_comment(&self) -> bool {
        matches!(self.kind, TokenKind::LineComment | TokenKind::BlockComment)
    }

    /// Does it keep what stands around it from being on one line?
    pub(super) fn breaks_line(&self) -> bool {
        self.kind == TokenKind::LineComment || self.text.contains('\n')
    }
}

/// Takes a text apart.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut open = Vec::new();
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start_matches(is_white_space);
        let space = &rest[..rest.len() - trimmed.len()];
        let Some(first) = trimmed.chars().next() else { break };
        let (kind, length) = match first {
            '(' | '[' | '{' => (TokenKind::Open(usize::MAX), 1),
            ')' | ']' | '}' => match open.pop() {
                Some(opened) => (TokenKind::Close(opened), 1),
                None => (TokenKind::Word, 1),
            },
            ',' => (TokenKind::Comma, 1),
            ':' => (TokenKind::Colon, 1),
            _ if trimmed.starts_with("//") => (TokenKind::LineComment, line_comment(trimmed)),
            _ if trimmed.starts_with("/*") => (TokenKind::BlockComment, block_comment(trimmed)),
            _ => (TokenKind::Word, literal(trimmed).unwrap_or_else(|| plain(trimmed))),
        };
        let index = tokens.len();
        match kind {
            TokenKind::Open(_) => open.push(index),
            TokenKind::Close(opened) => tokens[opened].kind = TokenKind::Open(index),
            _ => {}
        }
        let (text, after) = trimmed.split_at(length);
        let text = if kind == TokenKind::LineComment { text.trim_end() } else { text };
        tokens.push(Token { kind, text, lines: space.matches('\n').count(), is_apart: !space.is_empty() });
        rest = after;
    }
    // What nothing closes is no bracket.
    for opened in open {
        tokens[opened].kind = TokenKind::Word;
    }
    tokens
}

/// White space as `ron` sees it.
fn is_white_space(character: char) -> bool {
    matches!(character, ' ' | '\t'..='\r' | '\u{85}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
}

fn line_comment(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(found) = text[at..].find(['/', '*']) {
        at += found;
        let step = &text.as_bytes()[at..];
        if step.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if step.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// A text or character, with all that stands before its first quote; `None` when the text begins with neither.
fn literal(text: &str) -> Option<usize> {
    let after_byte = text.strip_prefix('b').unwrap_or(text);
    let prefix = text.len() - after_byte.len();
    if after_byte.starts_with('"') {
        return Some(prefix + quoted(after_byte));
    }
    if after_byte.starts_with('\'') {
        return Some(prefix + character(after_byte));
    }
    let after_raw = after_byte.strip_prefix('r')?;
    let after_hashes = after_raw.trim_start_matches('#');
    let inside = after_hashes.strip_prefix('"')?;
    let hashes = &after_raw[..after_raw.len() - after_hashes.len()];
    let end = format!("\"{hashes}");
    let start = text.len() - inside.len();
    Some(inside.find(&end).map_or(text.len(), |found| start + found + end.len()))
}

fn quoted(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn character(text: &str) -> usize {
    let is_escape = text[1..].starts_with('\\');
    // The first character inside is never the end: a quote may stand there.
    let skipped = if is_escape { 2 } else { 1 };
    text.char_indices()
        .skip(1 + skipped)
        .find(|(_, character)| *character == '\'')
        .map_or(text.len(), |(at, _)| at + 1)
}

/// A number, an identifier or a sign.
fn plain(text: &str) -> usize {
    let is_end = |at: usize, character: char| {
        is_white_space(character)
            || matches!(character, '(' | ')' | '[' | ']' | '{' | '}' | ',' | ':' | '"' | '\'')
            || text[at..].starts_with("//")
            || text[at..].starts_with("/*")
    };
    text.char_indices()
        .skip(1)
        .find(|(at, character)| is_end(*at, *character))
        .map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        tokens(text).iter().map(|token| token.text).collect()
    }

    #[test]
    fn brackets_and_slashes_in_texts_and_comments_are_no_tokens() {
        let text = r####"( "a(\"b", r"c\", r##"d"#{"##, 'e', '\'', '"', b"[", b'\\', br#"]"#, r#f // g( 
            /* h /* i */ ) */ -1.5e3/*/ j */)"####;
        assert_eq!(
            texts(text).join("¦"),
            r####"(¦"a(\"b"¦,¦r"c\"¦,¦r##"d"#{"##¦,¦'e'¦,¦'\''¦,¦'"'¦,¦b"["¦,¦b'\\'¦,¦br#"]"#¦,¦r#f¦// g(¦/* h /* i */ ) */¦-1.5e3¦/*/ j */¦)"####
        );
    }

    #[test]
    fn brackets_know_each_other_and_blank_lines_are_counted() {
        let all = tokens("(\n\n[], a)");
        assert_eq!((all[0].kind, all[5].kind), (TokenKind::Open(5), TokenKind::Close(0)));
        assert_eq!((all[1].kind, all[1].lines, all[2].is_apart), (TokenKind::Open(2), 2, false));
        assert!(all[4].is_apart);
    }

    proptest::proptest! {
        #[test]
        fn nothing_but_white_space_is_lost(text in r#"([()\[\]{},:"'#/*rb\\\n é\t]|\PC)*"#) {
            let kept: String = texts(&text).concat();
            let without = |text: &str| text.chars().filter(|c| !c.is_whitespace() && !is_white_space(*c)).collect::<String>();
            proptest::prop_assert_eq!(without(&kept), without(&text));
        }
    }
}
