//! The text of a graph file and positions in it.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// A stretch of bytes in a [`Source`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Which source: 0 is the graph file itself, others are the files it includes.
    pub file: u32,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The span of a byte range of the graph file itself.
    pub fn new(start: usize, end: usize) -> Self {
        Self { file: 0, start, end }
    }

    /// The same range in another source.
    pub fn in_file(self, file: u32) -> Self {
        Self { file, ..self }
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
    /// Where lines begin, so that thousands of places can be told.
    lines: Vec<usize>,
}

impl Source {
    /// A source that was read from `path`, or that pretends to be.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        // Some editors begin a file with a byte order mark, which is no part of the text.
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        // `ron` takes no comment that ends with the file.
        if text.lines().next_back().is_some_and(|last| last.contains("//")) && !text.ends_with('\n') {
            text.push('\n');
        }
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        Self { path: path.into(), text, lines }
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
        let line = self.lines.partition_point(|start| *start <= before.len());
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = before.get(start..).unwrap_or("").chars().count() + 1;
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
    #[test]
    fn every_offset_has_its_place() {
        let source = Source::new("a.ron", "\n\néx\r\n\n");
        let places = [0, 1, 2, 4, 5, 6, 7, 8].map(|offset| source.position(offset));
        assert_eq!(places, [(1, 1), (2, 1), (3, 1), (3, 2), (3, 3), (3, 4), (4, 1), (5, 1)]);
    }
}
