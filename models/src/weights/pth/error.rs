//! Why a torch file is not read.

/// What is wrong with the bytes of a torch file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PthError {
    /// The operating system could not read it.
    #[error("{0}")]
    Read(#[from] std::io::Error),
    /// The zip file around it is damaged, or is not of the kind that torch writes.
    #[error("{0}")]
    Zip(String),
    /// Its pickle is damaged, or builds something that is neither a tensor nor a plain value.
    #[error("byte {offset} of its pickle {reason}")]
    Pickle {
        /// Byte of the opcode, counted from the start of the pickle.
        offset: usize,
        /// What the opcode does wrong, as a predicate.
        reason: String,
    },
    /// Its pickle names a function or a class that is not among the few that tensors need.
    #[error(
        "byte {offset} of its pickle names `{name}`, which is no part of a tensor; a file like this can run code when \
         Python loads it, so it is refused. If you trust it, convert it to safetensors with the software that made it"
    )]
    Global {
        /// Module and name, joined by a dot.
        name: String,
        /// Byte of the opcode, counted from the start of the pickle.
        offset: usize,
    },
    /// Its pickle and its storages do not fit each other, or there is no dictionary of tensors.
    #[error("{0}")]
    Content(String),
}
