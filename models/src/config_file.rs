//! Config files: read whole, parsed by the type they are for.

use std::path::Path;

use crate::{ModelError, Result};

/// Reads a file and parses it; what `parse` finds wrong is reported with the path.
///
/// # Errors
/// [`ModelError::FileNotFound`] or [`ModelError::Read`] when the file cannot be read, [`ModelError::Config`] with the
/// words of `parse`.
pub(crate) fn read<T>(path: &Path, parse: impl FnOnce(&[u8]) -> std::result::Result<T, String>) -> Result<T> {
    let text = std::fs::read(path).map_err(|source| ModelError::read(path, source))?;
    parse(&text).map_err(|reason| ModelError::config(path, reason))
}
