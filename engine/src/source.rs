//! The text of a graph file and positions in it.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// A stretch of bytes in a [`Source`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The span of a byte range.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The same as a range, for slicing.
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// A value together with the place it was written at.
#[derive(Clone, Debug, PartialEq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Joins a value and its place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// The text of one graph file, and the path it is reported under.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// A source that was read from `path`, or that pretends to be.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        // Some editors begin a file with a byte order mark, which is no part of the text.
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        Self { path: path.into(), text }
    }

    /// The path it is reported under.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text under a span; empty when the span is not inside this source.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or("")
    }

    /// The file's name without its extension: `{graph}` in output paths.
    pub fn stem(&self) -> String {
        self.path.file_stem().map_or_else(|| "graph".to_owned(), |stem| stem.to_string_lossy().into_owned())
    }

    /// Byte offset of a 1-based line and column counted in characters, as `ron` reports them.
    pub fn offset(&self, line: usize, column: usize) -> usize {
        offset(&self.text, line, column)
    }

    /// 1-based line and column, counted in characters, of a byte offset.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }
}

/// Byte offset in a text of a 1-based line and column counted in characters.
pub(crate) fn offset(text: &str, line: usize, column: usize) -> usize {
    let mut start = 0;
    for (index, text) in text.split_inclusive('\n').enumerate() {
        if index + 1 == line {
            let inside: usize = text.chars().take(column.saturating_sub(1)).map(char::len_utf8).sum();
            return start + inside;
        }
        start += text.len();
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_and_position_are_inverse_with_wide_characters() {
        let source = Source::new("a.ron", "é\nab→c\n");
        let arrow = source.text().find('→').unwrap();
        assert_eq!(source.position(arrow), (2, 3));
        assert_eq!(source.offset(2, 3), arrow);
        assert_eq!(source.position(999), (3, 1));
    }
}
