//! Why a node did not give its outputs.

use thiserror::Error;

use crate::value::Value;

/// Why a node did not give its outputs.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum NodeError {
    /// Something went wrong inside.
    #[error("{message}")]
    Failed {
        /// One sentence.
        message: String,
        /// How to mend it.
        help: Option<String>,
    },
    /// A file is missing or damaged.
    #[error("{message}")]
    File {
        /// One sentence.
        message: String,
        /// How to mend it.
        help: Option<String>,
    },
    /// There is not enough memory.
    #[error("{message}")]
    OutOfMemory {
        /// One sentence.
        message: String,
    },
    /// The run was cancelled.
    #[error("interrupted")]
    Interrupted,
}

impl NodeError {
    /// An error with a message and no help.
    pub fn failed(message: impl Into<String>) -> Self {
        NodeError::Failed { message: message.into(), help: None }
    }

    /// An error about a file.
    pub fn file(message: impl Into<String>) -> Self {
        NodeError::File { message: message.into(), help: None }
    }

    /// The help line, if there is one.
    pub fn help(&self) -> Option<&str> {
        match self {
            NodeError::Failed { help, .. } | NodeError::File { help, .. } => help.as_deref(),
            _ => None,
        }
    }

    pub(crate) fn missing(input: &str) -> Self {
        Self::failed(format!("the input `{input}` is not given"))
    }

    pub(crate) fn wrong_type(input: &str, expected: &str, found: &Value) -> Self {
        Self::failed(format!("the input `{input}` must be a {expected}, found {}", found.ty()))
    }

    pub(crate) fn expected(input: &str, expected: &str, found: Option<&Value>) -> Self {
        match found {
            None => Self::missing(input),
            Some(value) => Self::wrong_type(input, expected, value),
        }
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
