//! A mistake that a node finds in its inputs.

use crate::diagnostic::Code;
use crate::world::NotFound;

/// A mistake a node found in its inputs.
#[derive(Clone, Debug)]
pub struct Mistake {
    /// The input, where one can be named.
    pub input: Option<String>,
    /// What kind.
    pub code: Code,
    /// One sentence.
    pub message: String,
    /// Words under the input.
    pub label: String,
    /// Other inputs that belong to it, with words.
    pub also: Vec<(String, String)>,
    /// How to mend it.
    pub help: Vec<String>,
}

impl Mistake {
    /// A mistake at an input.
    pub fn at(input: impl Into<String>, message: impl Into<String>) -> Self {
        Self { input: Some(input.into()), ..Self::new(message) }
    }

    /// A mistake of the node as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            input: None,
            code: Code::Incompatible,
            message: message.into(),
            label: String::new(),
            also: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A file or folder that is in none of the places searched.
    pub fn not_found(input: &str, what: &str, missing: &NotFound) -> Self {
        let searched: Vec<String> =
            missing.searched.iter().map(|place| format!("`{}`", place.display())).collect();
        Self::at(input, format!("no {what} at `{}`", missing.path.display()))
            .code(Code::FileNotFound)
            .label("not found")
            .help(format!("searched: {}", searched.join(", ")))
    }

    /// Sets the code.
    pub fn code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// Words under the input.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Points at another input too.
    pub fn also(mut self, input: impl Into<String>, label: impl Into<String>) -> Self {
        self.also.push((input.into(), label.into()));
        self
    }

    /// Adds a line of help.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}
