//! What is wrong with a graph: a code, a place in the file, what was found, what was expected.

use std::fmt;

use crate::source::Span;

macro_rules! codes {
    ($($name:ident = $text:literal, $class:ident, $title:literal;)*) => {
        /// The closed, append-only list of diagnostic codes. `docs/errors.md` has a paragraph for each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code { $(#[doc = $title] $name,)* }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code as it is printed, for example `LG0201`.
            pub fn text(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// One line that says what the code stands for.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }

            /// What kind of mistake it is; decides the exit code of the program.
            pub fn class(self) -> Class {
                match self { $(Code::$name => Class::$class,)* }
            }
        }
    };
}

/// The kinds of mistakes that a caller may want to treat differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The graph itself is wrong.
    Graph,
    /// A file or folder that the graph names is missing, unreadable or damaged.
    File,
    /// What was asked on the command line does not exist in the graph.
    Usage,
    /// It does not keep the graph from running.
    Warning,
}

codes! {
    Syntax = "LG0101", Graph, "The file is not well-formed RON";
    UnknownField = "LG0102", Graph, "A field that the format does not have";
    DuplicateKey = "LG0103", Graph, "The same name is given twice";
    MissingField = "LG0104", Graph, "A field that the format requires is missing";
    WrongForm = "LG0105", Graph, "Something of another form stands here";
    UnsupportedFormat = "LG0106", Graph, "The format version is not one this program reads";
    InvalidName = "LG0107", Graph, "A name that cannot be referred to";
    UnknownKind = "LG0201", Graph, "No node kind has this name";
    UnknownInput = "LG0202", Graph, "The node kind has no such input";
    MissingInput = "LG0203", Graph, "A required input is not given";
    UnknownParam = "LG0204", Graph, "The graph declares no such parameter";
    UnknownNode = "LG0205", Graph, "No node of the graph has this name";
    UnknownOutput = "LG0206", Graph, "The node has no such output";
    AmbiguousOutput = "LG0207", Graph, "The node has several outputs and none is named";
    Cycle = "LG0208", Graph, "Nodes depend on each other in a circle";
    UnknownPlaceholder = "LG0209", Graph, "A path template names something that does not exist";
    SameOutput = "LG0210", Graph, "Two nodes write to the same path";
    NotInScope = "LG0211", Graph, "What ends an iteration stands outside of one";
    UnendedFold = "LG0212", Graph, "A fold and its end do not pair up";
    WrongType = "LG0301", Graph, "A value of another type is expected";
    OutOfRange = "LG0302", Graph, "The number is outside the allowed range";
    NotAChoice = "LG0303", Graph, "The text is none of the allowed choices";
    Incompatible = "LG0304", Graph, "Two inputs do not fit together";
    WrongShape = "LG0305", Graph, "A tensor of another shape is expected";
    FileNotFound = "LG0401", File, "A file or folder does not exist";
    BadFile = "LG0402", File, "A file is damaged or not what its place promises";
    Unwritable = "LG0403", File, "The output cannot be written there";
    UnknownOverride = "LG0501", Usage, "The command line sets something the graph does not have";
    BadOverride = "LG0502", Usage, "A value on the command line cannot be read";
    UnusedParam = "LG0901", Warning, "A parameter that no node uses";
    UnusedContent = "LG0902", Warning, "A file has content that nothing uses";
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

/// One mistake (or warning) with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// What kind of mistake.
    pub code: Code,
    /// One sentence without a full stop.
    pub message: String,
    /// Where; `None` when the mistake is not in the file (a command line override).
    pub span: Option<Span>,
    /// A few words under the marked place.
    pub label: String,
    /// Other places that belong to it, each with its words.
    pub related: Vec<(Span, String)>,
    /// How to mend it, or what would have been possible.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// A mistake at a place.
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            span: Some(span),
            label: String::new(),
            related: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A mistake that is not in the graph file.
    pub fn without_place(code: Code, message: impl Into<String>) -> Self {
        Self { span: None, ..Self::new(code, Span::default(), message) }
    }

    /// Words under the marked place.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds a line of help.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds a line of help if there is one.
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help.extend(help);
        self
    }

    /// Marks a second place.
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// Moves its places into another file of a composition.
    pub(crate) fn in_file(mut self, file: u32) -> Self {
        self.span = self.span.map(|span| span.in_file(file));
        self.related.iter_mut().for_each(|(span, _)| span.file = file);
        self
    }

    /// Does it keep the graph from running?
    pub fn is_error(&self) -> bool {
        self.code.class() != Class::Warning
    }
}

/// Does any of these keep the graph from running?
pub fn any_error(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(Diagnostic::is_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_is_different_and_in_order() {
        let texts: Vec<_> = Code::ALL.iter().map(|code| code.text()).collect();
        let unique: BTreeSet<_> = texts.iter().collect();
        assert_eq!(unique.len(), texts.len());
        assert!(texts.is_sorted());
    }
}
