//! Files of torch (`.pth`, `.pt`, `.ckpt`), read without Python and without running anything.
//!
//! [`ZipDirectory`] finds the entries of the zip file, a pickle machine with a closed list of names rebuilds the table of
//! tensors, and [`PthArchive`] brings both together. Weights stay where they are: an entry is stored as it is, so that it can be
//! mapped like a safetensors file. Format: `torch/csrc/jit/docs/serialization.md` and `torch/serialization.py` of torch 2.

mod archive;
mod arguments;
mod branch;
mod cursor;
mod error;
mod pickle;
mod zip;

pub use archive::{PthArchive, PthField, PthTensor, PthView};
pub use arguments::ModelArguments;
pub use error::PthError;
pub use zip::{ZipDirectory, ZipEntry};

/// Runs the pickle machine on bytes without the storages that the pickle names.
///
/// # Errors
/// What is wrong with the pickle.
pub fn check_pickle(bytes: &[u8]) -> Result<(), PthError> {
    pickle::Pickle::parse(bytes).map(drop)
}
