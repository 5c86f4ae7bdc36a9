//! A piece of RON text that knows where it stands.
//!
//! `ron` reports places only for syntax errors. A borrowed [`RawValue`] is a slice of the source, so the
//! distance between the two pointers is the byte offset of everything that is read through it.

use std::fmt;

use ron::value::RawValue;
use serde::Deserialize;
use serde::de::{self, Deserializer as _, MapAccess, Visitor};

use crate::diagnostic::{Code, Diagnostic};
use crate::source::{Source, Span, Spanned};

/// What a fragment looks like, judged by how it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form<'s> {
    Text,
    Number,
    Bool,
    List,
    Map,
    /// `Name(...)`, `Name`, or `(...)` with an empty name.
    Call(&'s str),
    Other,
}

impl Form<'_> {
    pub(crate) fn describe(self) -> String {
        match self {
            Form::Text => "a text".to_owned(),
            Form::Number => "a number".to_owned(),
            Form::Bool => "a truth value".to_owned(),
            Form::List => "a list".to_owned(),
            Form::Map => "a map".to_owned(),
            Form::Call("") => "`(...)`".to_owned(),
            Form::Call(name) => format!("`{name}`"),
            Form::Other => "something else".to_owned(),
        }
    }
}

/// A value in the source, without the white space and comments around it.
#[derive(Clone, Copy)]
pub(crate) struct Fragment<'s> {
    source: &'s Source,
    text: &'s str,
    pub(crate) span: Span,
}

impl<'s> Fragment<'s> {
    /// The whole file as one value; the only place where syntax errors appear.
    pub(crate) fn root(source: &'s Source) -> Result<Self, Box<Diagnostic>> {
        match ron::from_str::<&RawValue>(source.text()) {
            Ok(raw) => Ok(Self::new(source, raw)),
            Err(error) => Err(Box::new(syntax(source, 0, &error))),
        }
    }

    fn new(source: &'s Source, raw: &'s RawValue) -> Self {
        // Only where there may be a comment does the value have to be parsed to find its borders.
        let text = match raw.get_ron().contains('/') {
            true => raw.trim().get_ron(),
            false => raw.get_ron().trim(),
        };
        let start = offset(source, text);
        Self { source, text, span: Span::new(start, start + text.len()) }
    }

    pub(crate) fn form(&self) -> Form<'s> {
        let text = self.text;
        let identifier_end = text
            .find(|character: char| !(character.is_alphanumeric() || character == '_'))
            .unwrap_or(text.len());
        match text.as_bytes().first() {
            Some(b'"') => Form::Text,
            Some(b'r') if matches!(text.as_bytes().get(1), Some(b'"' | b'#')) => Form::Text,
            Some(b'[') => Form::List,
            Some(b'{') => Form::Map,
            Some(b'(') => Form::Call(""),
            Some(b'0'..=b'9' | b'+' | b'-' | b'.') => Form::Number,
            Some(_) if matches!(text, "inf" | "NaN") => Form::Number,
            Some(_) if matches!(text, "true" | "false") => Form::Bool,
            Some(_) if identifier_end > 0 => Form::Call(&text[..identifier_end]),
            _ => Form::Other,
        }
    }

    /// The fields of `Name(field: value, ...)` in the order of the file, duplicates and all.
    pub(crate) fn fields(&self, name: &'static str) -> Result<Pairs<'s, Spanned<&'s str>>, Box<Diagnostic>> {
        match self.form() {
            Form::Call(found) if found.is_empty() || found == name => {}
            form => return Err(self.wrong_form(&format!("`{name}(...)`"), form)),
        }
        let pairs = self.with(|deserializer| deserializer.deserialize_struct(name, &[], FieldVisitor))?;
        Ok(pairs
            .into_iter()
            .map(|(key, value)| {
                let start = offset(self.source, key);
                let span = Span::new(start, start + key.len());
                (Spanned::new(key, span), Fragment::new(self.source, value))
            })
            .collect())
    }

    /// The entries of `{ "key": value, ... }` in the order of the file, duplicates and all.
    pub(crate) fn entries(&self) -> Result<Pairs<'s, Spanned<String>>, Box<Diagnostic>> {
        if self.form() != Form::Map {
            return Err(self.wrong_form("a map `{ \"name\": ... }`", self.form()));
        }
        let pairs = self.with(|deserializer| deserializer.deserialize_map(EntryVisitor))?;
        pairs
            .into_iter()
            .map(|(key, value)| {
                let key = Fragment::new(self.source, key);
                Ok((Spanned::new(key.text()?, key.span), Fragment::new(self.source, value)))
            })
            .collect()
    }

    /// The items of `[ ... ]`.
    pub(crate) fn items(&self) -> Result<Vec<Fragment<'s>>, Box<Diagnostic>> {
        if self.form() != Form::List {
            return Err(self.wrong_form("a list `[ ... ]`", self.form()));
        }
        let items: Vec<&RawValue> = self.with(|deserializer| Vec::deserialize(deserializer))?;
        Ok(items.into_iter().map(|raw| Fragment::new(self.source, raw)).collect())
    }

    /// The one text in `Name("text")`.
    pub(crate) fn argument(&self, name: &'static str) -> Result<Spanned<String>, Box<Diagnostic>> {
        let raw: &RawValue =
            self.with(|deserializer| deserializer.deserialize_newtype_struct(name, ArgumentVisitor))?;
        let argument = Fragment::new(self.source, raw);
        Ok(Spanned::new(argument.text()?, argument.span))
    }

    pub(crate) fn text(&self) -> Result<String, Box<Diagnostic>> {
        match self.form() {
            Form::Text => self.with(|deserializer| String::deserialize(deserializer)),
            form => Err(self.wrong_form("a text in quotes", form)),
        }
    }

    pub(crate) fn bool(&self) -> Result<bool, Box<Diagnostic>> {
        match self.form() {
            Form::Bool => self.with(|deserializer| bool::deserialize(deserializer)),
            form => Err(self.wrong_form("`true` or `false`", form)),
        }
    }

    /// Is it a number without a fraction or exponent?
    pub(crate) fn is_integer(&self) -> bool {
        let text = self.text;
        let is_prefixed =
            ["0x", "0b", "0o"].iter().any(|prefix| text.trim_start_matches(['+', '-']).starts_with(prefix));
        is_prefixed || !text.contains(['.', 'e', 'E', 'i', 'N'])
    }

    pub(crate) fn int(&self) -> Result<i64, Box<Diagnostic>> {
        match self.form() {
            Form::Number if self.is_integer() => self.with(|deserializer| i64::deserialize(deserializer)),
            Form::Number => Err(Box::new(
                Diagnostic::new(Code::WrongForm, self.span, "expected a whole number")
                    .label("has a fraction"),
            )),
            form => Err(self.wrong_form("a whole number", form)),
        }
    }

    pub(crate) fn float(&self) -> Result<f64, Box<Diagnostic>> {
        match self.form() {
            Form::Number => self.with(|deserializer| f64::deserialize(deserializer)),
            form => Err(self.wrong_form("a number", form)),
        }
    }

    /// "expected X, found Y" at this fragment.
    pub(crate) fn wrong_form(&self, expected: &str, found: Form<'_>) -> Box<Diagnostic> {
        let message = format!("expected {expected}, found {}", found.describe());
        Box::new(Diagnostic::new(Code::WrongForm, self.span, message).label(format!("expected {expected}")))
    }

    /// Runs a deserializer over the fragment; its error positions are moved to where the fragment stands.
    fn with<T>(
        &self,
        read: impl FnOnce(&mut ron::Deserializer<'s>) -> Result<T, ron::Error>,
    ) -> Result<T, Box<Diagnostic>> {
        let text = self.text;
        let start = self.span.start;
        let mut deserializer =
            ron::Deserializer::from_str(text).map_err(|e| syntax(self.source, start, &e))?;
        let value = read(&mut deserializer).map_err(|error| deserializer.span_error(error));
        Ok(value
            .and_then(|value| deserializer.end().map_err(|e| deserializer.span_error(e)).map(|()| value))
            .map_err(|error| syntax(self.source, start, &error))?)
    }
}

/// Pairs in the order of the file.
pub(crate) type Pairs<'s, K> = Vec<(K, Fragment<'s>)>;

/// A `ron` error as a diagnostic; `base` is where the text that was parsed begins in the source.
fn syntax(source: &Source, base: usize, error: &ron::error::SpannedError) -> Diagnostic {
    let tail = Source::new("", source.text().get(base..).unwrap_or(""));
    let start = base + tail.offset(error.span.start.line, error.span.start.col);
    let end = base + tail.offset(error.span.end.line, error.span.end.col);
    let mut message = match error.code {
        ron::Error::ExceededRecursionLimit => "lists and maps are nested too deeply".to_owned(),
        ref other => other.to_string(),
    };
    if let Some(first) = message.get(..1) {
        let lower = first.to_lowercase();
        message.replace_range(..1, &lower);
    }
    Diagnostic::new(Code::Syntax, Span::new(start, end.max(start + 1)), message).label("here")
}

/// Where `part`, a slice of the source's text, begins.
fn offset(source: &Source, part: &str) -> usize {
    let offset = (part.as_ptr() as usize).wrapping_sub(source.text().as_ptr() as usize);
    debug_assert!(offset <= source.text().len(), "`ron` copied a value that it should borrow");
    offset.min(source.text().len())
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Vec<(&'de str, &'de RawValue)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(Identifier(key)) = map.next_key()? {
            pairs.push((key, map.next_value()?));
        }
        Ok(pairs)
    }
}

struct Identifier<'de>(&'de str);

impl<'de> Deserialize<'de> for Identifier<'de> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdentifierVisitor;
        impl<'de> Visitor<'de> for IdentifierVisitor {
            type Value = Identifier<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a field name")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Identifier(text))
            }
        }
        deserializer.deserialize_identifier(IdentifierVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Vec<(&'de RawValue, &'de RawValue)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

struct ArgumentVisitor;

impl<'de> Visitor<'de> for ArgumentVisitor {
    type Value = &'de RawValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("one text in brackets")
    }

    fn visit_newtype_struct<D: de::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        <&RawValue>::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ron_still_borrows_so_places_are_exact() {
        let source = Source::new("a.ron", "// é\n(  alpha : /* note */ { \"k\" : [ 1, Link(\"x\") ] } )");
        let root = Fragment::root(&source).unwrap();
        let fields = root.fields("Graph").unwrap();
        assert_eq!(source.slice(fields[0].0.span), "alpha");
        let entries = fields[0].1.entries().unwrap();
        assert_eq!(source.slice(entries[0].0.span), "\"k\"");
        let items = entries[0].1.items().unwrap();
        assert_eq!(source.slice(items[0].span), "1");
        assert_eq!(source.slice(items[1].span), "Link(\"x\")");
        assert_eq!(source.slice(items[1].argument("Link").unwrap().span), "\"x\"");
    }

    #[test]
    fn an_error_inside_a_fragment_points_into_the_file() {
        let source = Source::new("a.ron", "(\n  a: Link(7),\n)");
        let root = Fragment::root(&source).unwrap();
        let error = root.fields("G").unwrap()[0].1.argument("Link").unwrap_err();
        assert_eq!(source.slice(error.span.unwrap()), "7");
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow_the_stack() {
        let source = Source::new("a.ron", "[".repeat(100_000));
        assert!(Fragment::root(&source).is_err());
    }
}
