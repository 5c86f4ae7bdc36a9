//! The text of a graph file in the one layout that `graph fmt` gives all of them.
//!
//! Works on tokens, not on a [`Document`](super::Document): comments, names, order and the spelling of numbers and
//! texts stay as they are. What changes is white space, and commas before a closing bracket.

use std::mem;

use super::parse;
use super::ruler::Ruler;
use super::token::{Token, TokenKind, tokens};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Source;

/// The longest line, in characters, that a group is put on.
const WIDTH: usize = 120;

/// Spaces for each level of indentation.
const INDENT: usize = 4;

/// Lays out a graph file, or any RON file: one field, parameter or node a line; what is inside of them on one line
/// where that fits. Comments and the order of everything are kept, and so is one blank line between two entries.
///
/// # Errors
/// What keeps the text from being read, when it is not well-formed. Other mistakes do not matter here.
pub fn format(source: &Source) -> Result<String, Vec<Diagnostic>> {
    let text = source.text();
    let tokens = tokens(text);
    let (_, mut wrong) = parse(source.clone());
    // Attributes (`#![enable(...)]`) are well-formed RON, but no graph has them: they are not laid out.
    let first = tokens.iter().find(|token| !token.is_comment());
    if !first.is_some_and(|token| token.text.starts_with('#')) {
        wrong.retain(|diagnostic| diagnostic.code == Code::Syntax);
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    if first.is_some_and(|token| token.text.starts_with('#')) {
        return Ok(text.to_owned());
    }
    // A file whose every line ends in the manner of Windows keeps that.
    let is_windows = text.contains("\r\n") && text.matches("\r\n").count() == text.matches('\n').count();
    let mut printer = Printer::new(tokens, if is_windows { "\r\n" } else { "\n" });
    for index in 0..printer.ruler.tokens.len() {
        printer.token(index);
    }
    Ok(printer.output + printer.line_end)
}

/// How a group is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// On one line.
    Flat,
    /// On one line up to its last entry, itself a group, which is broken: `Node(kind: "k", with: {`.
    Hugging {
        /// Where that group opens.
        last: usize,
    },
    /// One entry a line.
    Broken,
}

/// A group that is open, or the file.
struct Frame {
    mode: Mode,
    /// Indentation of the line that it opens on.
    indent: usize,
    /// An entry has ended and its comma is not yet written.
    owes_comma: bool,
    /// What comes next begins a line.
    at_break: bool,
    /// No line of the group has begun.
    is_fresh: bool,
    /// A line comment inside an entry: what follows of the entry goes to the next line, further in.
    continues: bool,
}

impl Frame {
    fn new(mode: Mode, indent: usize) -> Self {
        Self { mode, indent, owes_comma: false, at_break: true, is_fresh: true, continues: false }
    }
}

struct Printer<'s> {
    ruler: Ruler<'s>,
    /// The file, then the open groups.
    frames: Vec<Frame>,
    output: String,
    /// Characters in the last line.
    column: usize,
    /// Indentation of the last line.
    indent: usize,
    line_end: &'static str,
    /// The token that was written last, were it all on one line.
    last: Option<usize>,
}

impl<'s> Printer<'s> {
    fn new(tokens: Vec<Token<'s>>, line_end: &'static str) -> Self {
        Self {
            ruler: Ruler::new(tokens),
            frames: vec![Frame::new(Mode::Broken, 0)],
            output: String::new(),
            column: 0,
            indent: 0,
            line_end,
            last: None,
        }
    }

    fn token(&mut self, index: usize) {
        let Some(Frame { mode, .. }) = self.frames.last() else { return };
        if *mode == Mode::Broken { self.broken(index) } else { self.inline(index) }
    }

    /// A token in a group on one line.
    fn inline(&mut self, index: usize) {
        match self.ruler.tokens[index].kind {
            TokenKind::Comma if self.ruler.is_trailing_comma(index) => {}
            TokenKind::Open(_) => self.open(index),
            TokenKind::Close(_) => self.close(index),
            _ => self.write(index),
        }
    }

    /// A token in a group of one entry a line, or outside of all groups.
    fn broken(&mut self, index: usize) {
        match self.ruler.tokens[index].kind {
            TokenKind::LineComment | TokenKind::BlockComment => self.comment(index),
            TokenKind::Comma => {
                self.pay_comma();
                self.top().at_break = true;
            }
            TokenKind::Close(_) => {
                self.pay_comma();
                let indent = self.top().indent;
                self.begin_line(indent, false);
                self.close(index);
            }
            TokenKind::Open(_) => {
                self.place(index);
                self.open(index);
            }
            TokenKind::Word | TokenKind::Colon => {
                self.place(index);
                self.write(index);
                self.top().owes_comma = self.ruler.ends_entry(index);
            }
        }
    }

    fn comment(&mut self, index: usize) {
        let token = self.ruler.tokens[index];
        let is_begun = !matches!(
            self.ruler.kind(self.ruler.before[index]),
            None | Some(TokenKind::Comma | TokenKind::Open(_))
        );
        let is_inside = is_begun && self.ruler.next[index].is_some() && !self.ruler.ends_entry(index);
        let is_line = token.kind == TokenKind::LineComment;
        if is_inside {
            if mem::take(&mut self.top().continues) {
                let indent = self.top().indent + 2;
                self.begin_line(indent, false);
            }
            self.write(index);
            self.top().continues = is_line;
            return;
        }
        if is_line || token.lines > 0 {
            self.pay_comma();
        }
        let after = self.ruler.tokens.get(index + 1);
        let stays = match after {
            // On the line of what comes next, it belongs to that.
            Some(after) => {
                !is_line && after.lines == 0 && !matches!(after.kind, TokenKind::Close(_) | TokenKind::Comma)
            }
            None => false,
        };
        if token.lines > 0 || self.last.is_none() || (stays && self.top().at_break) {
            self.begin_entry(token.lines > 1);
        }
        self.write(index);
        self.top().at_break = !stays && !self.top().owes_comma;
    }

    /// Goes to where a token belongs that begins an entry or continues one.
    fn place(&mut self, index: usize) {
        if mem::take(&mut self.top().at_break) {
            self.begin_entry(self.ruler.tokens[index].lines > 1);
        } else if mem::take(&mut self.top().continues) {
            let indent = self.top().indent + 2;
            self.begin_line(indent, false);
        }
    }

    /// Begins the line of an entry, after a blank line where one is wanted and something stands above it.
    fn begin_entry(&mut self, blank: bool) {
        let is_inside = self.frames.len() > 1;
        let is_fresh = mem::take(&mut self.top().is_fresh);
        let indent = self.top().indent + usize::from(is_inside);
        self.begin_line(indent, blank && !is_fresh);
    }

    fn begin_line(&mut self, indent: usize, blank: bool) {
        if !self.output.is_empty() {
            self.output += self.line_end;
        }
        if blank {
            self.output += self.line_end;
        }
        self.output.extend(std::iter::repeat_n(' ', indent * INDENT));
        self.column = indent * INDENT;
        self.indent = indent;
        self.last = None;
    }

    fn pay_comma(&mut self) {
        if mem::take(&mut self.top().owes_comma) {
            self.output.push(',');
            self.column += 1;
            self.top().at_break = true;
        }
    }

    fn open(&mut self, index: usize) {
        let TokenKind::Open(close) = self.ruler.tokens[index].kind else { return };
        let mode = match self.frames.last().map(|frame| frame.mode) {
            Some(Mode::Flat) => Mode::Flat,
            Some(Mode::Hugging { last }) if last != index => Mode::Flat,
            Some(Mode::Hugging { .. }) => self.wrapped(index, close),
            _ => self.mode(index, close),
        };
        self.write(index);
        self.frames.push(Frame::new(mode, self.indent));
    }

    fn close(&mut self, index: usize) {
        self.write(index);
        if self.frames.len() > 1 {
            self.frames.pop();
        }
        let ends_entry = self.ruler.ends_entry(index) && self.frames.len() > 1;
        self.top().owes_comma = ends_entry;
    }

    /// The layout of a group that opens at the end of what is written.
    fn mode(&self, open: usize, close: usize) -> Mode {
        let has_entry = self.ruler.next[open] != Some(close);
        let is_outer = match self.frames.len() {
            1 => true,
            2 => self.ruler.tokens[open].text == "{",
            _ => false,
        };
        let space = self.last.is_some_and(|last| self.ruler.is_spaced(last, open));
        let comma = usize::from(self.frames.len() > 1);
        let end = self.column + usize::from(space) + self.ruler.width(open, close) + comma;
        match () {
            () if close == open + 1 => Mode::Flat,
            () if has_entry && is_outer => Mode::Broken,
            () if self.ruler.is_line(open, close) && end <= WIDTH => Mode::Flat,
            () => self.wrapped(open, close),
        }
    }

    /// The layout of a group that does not fit on a line.
    fn wrapped(&self, open: usize, close: usize) -> Mode {
        let mut end = close - 1;
        if self.ruler.tokens[end].kind == TokenKind::Comma {
            end -= 1;
        }
        let TokenKind::Close(last) = self.ruler.tokens[end].kind else { return Mode::Broken };
        let is_empty = last + 1 == end;
        let space = self.last.is_some_and(|last| self.ruler.is_spaced(last, open));
        let fits = self.ruler.is_line(open, last)
            && self.column + usize::from(space) + self.ruler.width(open, last) <= WIDTH;
        if self.ruler.tokens[open].text == "(" && !is_empty && fits {
            Mode::Hugging { last }
        } else {
            Mode::Broken
        }
    }

    fn write(&mut self, index: usize) {
        let text = self.ruler.tokens[index].text;
        if self.last.is_some_and(|last| self.ruler.is_spaced(last, index)) {
            self.output.push(' ');
            self.column += 1;
        }
        self.output += text;
        match text.rsplit_once('\n') {
            Some((_, tail)) => self.column = tail.chars().count(),
            None => self.column += text.chars().count(),
        }
        self.last = Some(index);
    }

    /// The innermost group. The file itself is never taken off.
    fn top(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }
}
