//! A GGUF file as a checkpoint.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::GgufHeader;
use super::header::MAGIC;
use crate::weights::{Checkpoint, Span, Storage, StoredTensor};
use crate::{ModelError, Result};

impl Checkpoint {
    /// Opens a GGUF file, whatever its name.
    ///
    /// Its names stay as they are stored. Tensors in formats that cannot be read are listed like the others;
    /// [`Checkpoint::unreadable`] tells them apart, and reading one fails.
    ///
    /// # Errors
    /// As [`GgufHeader::read`]; [`ModelError::Config`] when the file is one part of several.
    pub fn open_gguf(path: &Path) -> Result<Self> {
        let (metadata, tensors) = GgufHeader::read(path)?.into_parts();
        if let Some(parts) = metadata.whole("split.count").filter(|&parts| parts > 1) {
            let reason = format!(
                "it is one of {parts} parts; join them with `llama-gguf-split --merge FIRST_PART NEW_FILE`"
            );
            return Err(ModelError::config(path, reason));
        }
        let tensors = tensors.into_iter().map(|tensor| {
            let storage = Storage::Span(Span { file: 0, start: tensor.start, end: tensor.end });
            (tensor.name, StoredTensor { format: tensor.format, shape: tensor.shape, storage })
        });
        Ok(Self::of_gguf(path, metadata, tensors.collect()))
    }

    /// Whether the file at `path` begins as a GGUF file does.
    ///
    /// # Errors
    /// [`ModelError::FileNotFound`] or [`ModelError::Read`] when the file cannot be read.
    pub fn is_gguf(path: &Path) -> Result<bool> {
        let file = File::open(path).map_err(|source| ModelError::read(path, source))?;
        let mut first = Vec::new();
        let limit = MAGIC.len() as u64;
        file.take(limit).read_to_end(&mut first).map_err(|source| ModelError::read(path, source))?;
        Ok(first == MAGIC)
    }
}
