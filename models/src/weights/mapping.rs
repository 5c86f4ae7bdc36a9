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

    /// Says that these bytes are not needed soon: a file that was copied out no longer counts as memory of this process.
    pub(crate) fn release(&self, start: u64, end: u64) {
        #[cfg(not(unix))]
        let _ = (start, end);
        #[cfg(unix)]
        if let Some(bytes) = self.bytes(start, end)
            && !bytes.is_empty()
        {
            #[expect(unsafe_code, reason = "memmap2 knows no safe way to give pages back")]
            // SAFETY: the pages are those of a read-only mapping of a file. The system may drop them, and reads them
            // from the file again when somebody touches them, with the same bytes.
            let result = unsafe {
                self.0.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start as usize, bytes.len())
            };
            // Only advice: loading is right without it.
            drop(result);
        }
    }
}
