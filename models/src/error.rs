//! What can go wrong, with the file, the tensor and the sizes that a user needs to mend it.

use std::path::PathBuf;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, ModelError>;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file that is needed is not there.
    #[error("cannot find `{}`{}", path.display(), searched_list(searched))]
    FileNotFound {
        /// The file that is missing.
        path: PathBuf,
        /// Every place that was looked at.
        searched: Vec<PathBuf>,
    },
    /// The operating system could not read a file.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A safetensors header is damaged or does not describe the bytes that follow it.
    #[error("`{}` is not a valid safetensors file: {reason}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A GGUF header is damaged or does not describe the bytes that follow it.
    #[error("`{}` is not a valid GGUF file: {reason}", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Tensors of a GGUF file are in formats that cannot be read.
    #[error(
        "`{}` has {}; use a file of the same model in F16, Q8_0, Q6_K or Q4_K, or make one with \
         `llama-quantize --allow-requantize OLD_FILE NEW_FILE Q8_0`",
        path.display(),
        format_list(tensors)
    )]
    UnreadableFormat {
        /// The file.
        path: PathBuf,
        /// Stored names and the names of their formats.
        tensors: Vec<(String, &'static str)>,
    },
    /// A config file does not parse, or asks for something that is not supported.
    #[error("`{}`: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the name of the field.
        reason: String,
    },
    /// Tensors that a network needs are not in the checkpoint.
    #[error("`{}` lacks {}", path.display(), key_list(keys))]
    MissingKeys {
        /// The checkpoint.
        path: PathBuf,
        /// The stored names that were looked for.
        keys: Vec<String>,
    },
    /// Tensors of the checkpoint that no part of the network reads.
    #[error("`{}` has {} that the network does not use", path.display(), key_list(keys))]
    UnusedKeys {
        /// The checkpoint.
        path: PathBuf,
        /// Their stored names.
        keys: Vec<String>,
    },
    /// Tensors hold infinities or what is not a number: a damaged file, or a training that went wrong.
    #[error("`{}` has numbers that are infinite or no numbers in {}", path.display(), key_list(keys))]
    NotFinite {
        /// The file that holds the tensors.
        path: PathBuf,
        /// Their stored names.
        keys: Vec<String>,
    },
    /// A tensor has another shape than the config says.
    #[error("`{key}` in `{}` has shape {found:?}, the config asks for {expected:?}", path.display())]
    Shape {
        /// The file that holds the tensor.
        path: PathBuf,
        /// Its stored name.
        key: String,
        /// The shape that follows from the config.
        expected: Vec<usize>,
        /// The shape that is stored.
        found: Vec<usize>,
    },
    /// A tensor is stored in a number format that cannot be a weight.
    #[error("`{key}` in `{}` is stored as {found}, expected F64, F32, F16 or BF16", path.display())]
    DType {
        /// The file that holds the tensor.
        path: PathBuf,
        /// Its stored name.
        key: String,
        /// The stored number format.
        found: String,
    },
    /// The tokenizer does not load or does not fit.
    #[error("tokenizer `{}`: {reason}", path.display())]
    Tokenizer {
        /// The tokenizer file or folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An argument of a call has a wrong size or value.
    #[error("{what} is {found}, expected {expected}")]
    Input {
        /// The argument.
        what: String,
        /// What is allowed.
        expected: String,
        /// What was given.
        found: String,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// An error of the caller's own, carried through a callback such as the velocity of a solver.
    #[error(transparent)]
    External(Box<dyn std::error::Error + Send + Sync>),
}

impl ModelError {
    /// An [`ModelError::Input`] from anything that can be written.
    pub fn input(what: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Input { what: what.into(), expected: expected.into(), found: found.into() }
    }

    pub(crate) fn config(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Config { path: path.into(), reason: reason.into() }
    }

    /// Reads as "not found" where the operating system says so: that is by far the most frequent reason.
    pub(crate) fn read(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        let path = path.into();
        if source.kind() == std::io::ErrorKind::NotFound {
            return Self::FileNotFound { searched: vec![path.clone()], path };
        }
        Self::Read { path, source }
    }
}

fn searched_list(searched: &[PathBuf]) -> String {
    if searched.len() < 2 {
        return String::new();
    }
    let places: Vec<_> = searched.iter().map(|path| format!("`{}`", path.display())).collect();
    format!(", looked for {}", places.join(", "))
}

const SHOWN: usize = 5;

fn format_list(tensors: &[(String, &str)]) -> String {
    let shown: Vec<_> =
        tensors.iter().take(SHOWN).map(|(key, format)| format!("`{key}` ({format})")).collect();
    let rest = tensors.len().saturating_sub(SHOWN);
    let what = if tensors.len() == 1 { "tensor in a format" } else { "tensors in formats" };
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{} {what} that cannot be read: {}{more}", tensors.len(), shown.join(", "))
}

fn key_list(keys: &[String]) -> String {
    let shown: Vec<_> = keys.iter().take(SHOWN).map(|key| format!("`{key}`")).collect();
    let rest = keys.len().saturating_sub(SHOWN);
    let plural = if keys.len() == 1 { "tensor" } else { "tensors" };
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{} {plural}: {}{more}", keys.len(), shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_lists_every_place_that_was_searched() {
        let error = ModelError::FileNotFound { path: "a".into(), searched: vec!["a".into(), "b".into()] };
        assert_eq!(error.to_string(), "cannot find `a`, looked for `a`, `b`");
    }

    #[test]
    fn a_long_list_of_keys_is_cut() {
        let keys = (0..7).map(|i| format!("k{i}")).collect();
        let text = ModelError::MissingKeys { path: "f".into(), keys }.to_string();
        assert_eq!(text, "`f` lacks 7 tensors: `k0`, `k1`, `k2`, `k3`, `k4` and 2 more");
    }
}
