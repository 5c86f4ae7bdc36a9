//! Files mapped into memory, the one place of the crate that needs `unsafe`.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use crate::{ModelError, Result};

/// The bytes of a weight file, read from disk as they are touched.
pub(crate) struct MappedFile(Mmap);

impl MappedFile {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| ModelError::read(path, source))?;
        #[expect(
            unsafe_code,
            reason = "mapping a file is the only way to load weights without a second copy"
        )]
        // SAFETY: the mapping is read-only and private to this type. The bytes are only ever copied out as plain
        // numbers, for which every bit pattern is valid; nothing is decided twice from the same bytes. A program that
        // truncates the file while it is mapped can kill this process, as with every program that maps files.
        let map = unsafe { Mmap::map(&file) }.map_err(|source| ModelError::read(path, source))?;
        Ok(Self(map))
    }

    /// The bytes from `start` to `end`, or none when the file has become shorter than its header said.
    pub(crate) fn bytes(&self, start: u64, end: u64) -> Option<&[u8]> {
        self.0.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }
}
