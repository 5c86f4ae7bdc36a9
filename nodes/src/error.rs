//! Errors of the networks as errors of nodes, and the other way of stopping.

use std::error::Error;

use lumina_engine::{Call, Cancel, Code, Mistake, NodeError};
use lumina_models::{Interrupt, ModelError};

/// An error while a node runs.
pub fn node_error(error: ModelError) -> NodeError {
    match error {
        ModelError::Interrupted => NodeError::Interrupted,
        ModelError::FileNotFound { .. }
        | ModelError::Read { .. }
        | ModelError::Header { .. }
        | ModelError::Config { .. }
        | ModelError::MissingKeys { .. }
        | ModelError::Shape { .. }
        | ModelError::DType { .. }
        | ModelError::Tokenizer { .. } => NodeError::file(with_causes(&error)),
        // An error that a node put into a callback comes back as it was.
        ModelError::External(cause) => match cause.downcast::<NodeError>() {
            Ok(error) => *error,
            Err(cause) => NodeError::failed(cause.to_string()),
        },
        other => NodeError::failed(with_causes(&other)),
    }
}

/// An error while a graph is checked, at an input.
pub fn mistake(input: &str, error: &ModelError) -> Mistake {
    let code = match error {
        ModelError::FileNotFound { .. } => Code::FileNotFound,
        ModelError::Read { .. }
        | ModelError::Header { .. }
        | ModelError::Config { .. }
        | ModelError::MissingKeys { .. }
        | ModelError::Shape { .. }
        | ModelError::DType { .. }
        | ModelError::Tokenizer { .. } => Code::BadFile,
        _ => Code::Incompatible,
    };
    Mistake::at(input, with_causes(error)).code(code)
}

/// A question for the networks that the engine's flag answers.
pub fn interrupt(cancel: &Cancel) -> Interrupt {
    let cancel = cancel.clone();
    Interrupt::new(move || cancel.is_cancelled())
}

/// Passes on what was odd while networks were loaded.
pub fn warn(call: &Call<'_>, interrupt: &Interrupt) {
    for warning in interrupt.take_warnings() {
        call.warn(with_causes(&warning));
    }
}

fn with_causes(error: &ModelError) -> String {
    // What candle says may come with a backtrace; the first line is the error.
    let first_line = |text: String| text.lines().next().unwrap_or("").to_owned();
    let mut message = first_line(error.to_string());
    let mut source = error.source();
    while let Some(cause) = source {
        message += &format!(": {}", first_line(cause.to_string()));
        source = cause.source();
    }
    message
}
