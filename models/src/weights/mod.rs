//! Weights on disk: headers, checkpoints of one or many files, name mapping, and the loader.
//!
//! Nothing but [`Weights`] reads weight bytes. Everything that can be known from headers ([`verify`]) is checked
//! first, so that a wrong folder fails at once and with all its mistakes.

mod checkpoint;
mod files;
mod finite;
pub mod gguf;
mod header;
mod key_map;
mod loader;
mod mapping;
mod matrix;
mod stored;
mod verify;

pub use checkpoint::Checkpoint;
pub use header::{Header, TensorInfo};
pub use key_map::KeyMap;
pub use loader::Weights;
pub use matrix::Matrix;
pub use safetensors::Dtype as StoredType;
pub use stored::{Span, Storage, StoredFormat, StoredTensor};
pub use verify::{Expected, FormatMismatch, Report, ShapeMismatch, verify};

/// Whether a stored shape will do for the expected one.
///
/// Older autoencoder files store the linear layers of their attention as 1 x 1 convolutions: the same numbers.
pub(crate) fn shape_fits(stored: &[usize], expected: &[usize]) -> bool {
    stored == expected
        || (expected.len() == 2 && stored.len() == 4 && stored[..2] == *expected && stored[2..] == [1, 1])
}
