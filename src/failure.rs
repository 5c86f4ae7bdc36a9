//! Why a command ended before it could do what it was asked for.

use serde_json::json;

use crate::exit::Exit;
use crate::messages::{answer, error};

/// What keeps a command from its work, and the exit code that follows.
#[derive(Debug, PartialEq)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    help: Vec<String>,
    /// The details stand on the standard error already.
    is_told: bool,
}

impl Failure {
    /// A failure that still has to be told.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), help: Vec::new(), is_told: false }
    }

    /// A failure whose details were printed as diagnostics; `message` sums them up.
    pub(crate) fn told(exit: Exit, message: impl Into<String>) -> Self {
        Self { is_told: true, ..Self::new(exit, message) }
    }

    /// Adds lines of help.
    pub(crate) fn help(mut self, lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.help.extend(lines.into_iter().map(Into::into));
        self
    }

    /// Lines of help.
    pub(crate) fn help_lines(&self) -> &[String] {
        &self.help
    }

    /// One sentence.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Prints the failure on the standard error, unless that was done.
    pub(crate) fn tell(&self) -> Exit {
        if !self.is_told {
            error(&self.message, self.help.iter().map(String::as_str));
        }
        self.exit
    }

    /// Prints the failure; where JSON was asked for, the final object of the command too.
    pub(crate) fn end(&self, as_json: bool) -> Exit {
        let exit = self.tell();
        if as_json {
            let result = json!({
                "event": "done", "ok": false, "exit_code": exit as u8,
                "message": self.message, "help": self.help,
            });
            answer(&result.to_string());
        }
        exit
    }
}
