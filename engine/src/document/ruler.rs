//! Tokens with what the layout asks about them: what comes next, whether it ends an entry, how long it is on a line.

use super::token::{Token, TokenKind};

/// Measures tokens. Every question is answered in constant time, so that a layout takes time in proportion to the text.
pub(super) struct Ruler<'s> {
    pub(super) tokens: Vec<Token<'s>>,
    /// For every token, the next one that is no comment.
    pub(super) next: Vec<Option<usize>>,
    /// For every token, the one before that is no comment.
    pub(super) before: Vec<Option<usize>>,
    /// For every token, the column where it would end were the whole file one line.
    ends: Vec<usize>,
    /// For every token, how many before it cannot stand inside a line; at the end, how many there are.
    breaks: Vec<usize>,
}

impl<'s> Ruler<'s> {
    pub(super) fn new(tokens: Vec<Token<'s>>) -> Self {
        let (mut next, mut before) = (vec![None; tokens.len()], vec![None; tokens.len()]);
        let mut seen = None;
        for (index, token) in tokens.iter().enumerate() {
            before[index] = seen;
            if !token.is_comment() {
                seen = Some(index);
            }
        }
        seen = None;
        for (index, token) in tokens.iter().enumerate().rev() {
            next[index] = seen;
            if !token.is_comment() {
                seen = Some(index);
            }
        }
        let mut ruler = Self { tokens, next, before, ends: Vec::new(), breaks: vec![0] };
        ruler.measure();
        ruler
    }

    fn measure(&mut self) {
        let (mut column, mut last, mut breaks) = (0, None, 0);
        for (index, token) in self.tokens.iter().enumerate() {
            if !self.is_trailing_comma(index) {
                let space = last.is_some_and(|last| self.is_spaced(last, index));
                column += usize::from(space) + token.text.chars().count();
                last = Some(index);
            }
            breaks += usize::from(token.breaks_line());
            self.ends.push(column);
            self.breaks.push(breaks);
        }
    }

    /// Characters of the tokens from `first` to `last` on one line.
    pub(super) fn width(&self, first: usize, last: usize) -> usize {
        self.ends[last] - self.ends[first] + self.tokens[first].text.chars().count()
    }

    /// Can the tokens from `first` to `last` stand on one line?
    pub(super) fn is_line(&self, first: usize, last: usize) -> bool {
        self.breaks[first] == self.breaks[last + 1]
    }

    pub(super) fn kind(&self, index: Option<usize>) -> Option<TokenKind> {
        index.map(|index| self.tokens[index].kind)
    }

    /// Is it a comma after which nothing comes?
    pub(super) fn is_trailing_comma(&self, index: usize) -> bool {
        self.tokens[index].kind == TokenKind::Comma
            && matches!(self.kind(self.next[index]), Some(TokenKind::Close(_)))
    }

    /// Does the entry that this token belongs to end with it?
    pub(super) fn ends_entry(&self, index: usize) -> bool {
        matches!(self.kind(self.next[index]), Some(TokenKind::Comma | TokenKind::Close(_)))
    }

    /// Is there a space between two tokens that follow each other on a line?
    pub(super) fn is_spaced(&self, left: usize, right: usize) -> bool {
        use TokenKind::{Close, Colon, Comma, LineComment, Open, Word};
        let (left, right) = (&self.tokens[left], &self.tokens[right]);
        match (left.kind, right.kind) {
            (Open(_), Close(_)) | (_, Comma | Colon) | (Word, Open(_)) => false,
            (_, LineComment) => true,
            (Word, Word) => right.is_apart,
            (Open(_), _) => left.text == "{",
            (_, Close(_)) => right.text == "}",
            _ => true,
        }
    }
}
