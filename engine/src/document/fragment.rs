//! A piece of RON text that knows where it stands.
//!
//! `ron` judges the syntax of the whole file once. After that its parts are found by the [`scanner`], and what is no
//! form of ours is left to the [`reference`], so that every error is one of `ron`.

use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{reference, scanner};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{Source, Span, Spanned, offset};

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
        let text = source.text();
        let whole = Self { source, text, span: Span::new(0, text.len()) };
        let value = ron::from_str::<IgnoredAny>(text).ok().and_then(|_| scanner::value(text));
        let value = value.map_or_else(|| reference::value(text), Ok);
        value.map(|value| whole.part(value)).map_err(|error| whole.syntax(&error))
    }

    /// A part of this fragment, by its place in it.
    fn part(&self, place: Range<usize>) -> Self {
        let span = Span::new(self.span.start + place.start, self.span.start + place.end);
        Self { source: self.source, text: &self.text[place], span }
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
        let fields = scanner::fields(self.text, name).map_or_else(|| reference::fields(self.text, name), Ok);
        let fields = fields.map_err(|error| self.syntax(&error))?;
        let field = |(name, value)| {
            let name = self.part(name);
            (Spanned::new(name.text, name.span), self.part(value))
        };
        Ok(fields.into_iter().map(field).collect())
    }

    /// The entries of `{ "key": value, ... }` in the order of the file, duplicates and all.
    pub(crate) fn entries(&self) -> Result<Pairs<'s, Spanned<String>>, Box<Diagnostic>> {
        if self.form() != Form::Map {
            return Err(self.wrong_form("a map `{ \"name\": ... }`", self.form()));
        }
        let entries = scanner::entries(self.text).map_or_else(|| reference::entries(self.text), Ok);
        let entries = entries.map_err(|error| self.syntax(&error))?;
        let entry = |(key, value)| {
            let key = self.part(key);
            Ok((Spanned::new(key.text()?, key.span), self.part(value)))
        };
        entries.into_iter().map(entry).collect()
    }

    /// The items of `[ ... ]`.
    pub(crate) fn items(&self) -> Result<Vec<Fragment<'s>>, Box<Diagnostic>> {
        if self.form() != Form::List {
            return Err(self.wrong_form("a list `[ ... ]`", self.form()));
        }
        let items = scanner::items(self.text).map_or_else(|| reference::items(self.text), Ok);
        let items = items.map_err(|error| self.syntax(&error))?;
        Ok(items.into_iter().map(|item| self.part(item)).collect())
    }

    /// The one text in `Name("text")`.
    pub(crate) fn argument(&self, name: &'static str) -> Result<Spanned<String>, Box<Diagnostic>> {
        let argument =
            scanner::argument(self.text, name).map_or_else(|| reference::argument(self.text, name), Ok);
        let argument = self.part(argument.map_err(|error| self.syntax(&error))?);
        Ok(Spanned::new(argument.text()?, argument.span))
    }

    pub(crate) fn text(&self) -> Result<String, Box<Diagnostic>> {
        let plain = self.text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        if let Some(plain) = plain.filter(|plain| !plain.contains('\\')) {
            return Ok(plain.to_owned());
        }
        match self.form() {
            Form::Text => self.read(),
            form => Err(self.wrong_form("a text in quotes", form)),
        }
    }

    pub(crate) fn bool(&self) -> Result<bool, Box<Diagnostic>> {
        match self.form() {
            Form::Bool => self.read(),
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
            Form::Number if self.is_integer() => self.read(),
            Form::Number => Err(Box::new(
                Diagnostic::new(Code::WrongForm, self.span, "expected a whole number")
                    .label("has a fraction"),
            )),
            form => Err(self.wrong_form("a whole number", form)),
        }
    }

    pub(crate) fn float(&self) -> Result<f64, Box<Diagnostic>> {
        match self.form() {
            Form::Number => self.read(),
            form => Err(self.wrong_form("a number", form)),
        }
    }

    /// "expected X, found Y" at this fragment.
    pub(crate) fn wrong_form(&self, expected: &str, found: Form<'_>) -> Box<Diagnostic> {
        let message = format!("expected {expected}, found {}", found.describe());
        Box::new(Diagnostic::new(Code::WrongForm, self.span, message).label(format!("expected {expected}")))
    }

    /// Has `ron` read the fragment.
    fn read<T: Deserialize<'s>>(&self) -> Result<T, Box<Diagnostic>> {
        reference::read(self.text, |deserializer| T::deserialize(deserializer))
            .map_err(|error| self.syntax(&error))
    }

    /// An error of `ron` about the fragment, moved to where the fragment stands.
    fn syntax(&self, error: &ron::error::SpannedError) -> Box<Diagnostic> {
        let place = |at: ron::error::Position| self.span.start + offset(self.text, at.line, at.col);
        let (start, end) = (place(error.span.start), place(error.span.end));
        let mut message = match error.code {
            ron::Error::ExceededRecursionLimit => "lists and maps are nested too deeply".to_owned(),
            ref other => other.to_string(),
        };
        if let Some(first) = message.get(..1) {
            let lower = first.to_lowercase();
            message.replace_range(..1, &lower);
        }
        let span = Span::new(start, end.max(start + 1));
        Box::new(Diagnostic::new(Code::Syntax, span, message).label("here"))
    }
}

/// Pairs in the order of the file.
pub(crate) type Pairs<'s, K> = Vec<(K, Fragment<'s>)>;

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
