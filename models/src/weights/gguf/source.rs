//! The bytes of a header, read in order and never beyond the end of the file.

use std::io::{self, Read};

/// Why a header could not be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// The operating system could not read.
    Read(io::Error),
    /// The bytes are no GGUF header, in words.
    Damaged(String),
}

/// A reader that knows how many bytes there are.
///
/// Every length that the file claims is held against what is left of the file before anything is allocated for it.
pub(super) struct Source<R> {
    inner: R,
    position: u64,
    length: u64,
}

impl<R: Read> Source<R> {
    /// Reads `inner`, the start of a file of `length` bytes.
    pub(super) fn new(inner: R, length: u64) -> Self {
        Self { inner, position: 0, length }
    }

    /// The number of bytes read so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The number of bytes of the file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The number of bytes that are left of the file.
    pub(super) fn left(&self) -> u64 {
        self.length.saturating_sub(self.position)
    }

    /// The next `N` bytes.
    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// The next four bytes as a number.
    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        self.bytes().map(u32::from_le_bytes)
    }

    /// The next eight bytes as a number.
    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// A text behind its length, of at most `most` bytes; `what` is what to call it.
    pub(super) fn text(&mut self, what: &str, most: u64) -> Result<String, Fault> {
        let length = self.u64()?;
        if length > most {
            return Err(Fault::Damaged(format!("{what} claims {length} bytes, expected at most {most}")));
        }
        self.claim(what, length, 1)?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.fill(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| Fault::Damaged(format!("{what} is not UTF-8")))
    }

    /// Refuses `count` things of at least `size` bytes where the file is too short for them.
    pub(super) fn claim(&self, what: &str, count: u64, size: u64) -> Result<(), Fault> {
        if count > self.left() / size.max(1) {
            let left = self.left();
            let claimed = match size {
                1 => format!("{count} bytes"),
                _ => format!("{count} entries of at least {size} bytes"),
            };
            return Err(Fault::Damaged(format!(
                "{what} claims {claimed}, {left} bytes of the file are left"
            )));
        }
        Ok(())
    }

    /// Reads past the next `count` bytes.
    pub(super) fn skip(&mut self, count: u64) -> Result<(), Fault> {
        let skipped = io::copy(&mut self.inner.by_ref().take(count), &mut io::sink()).map_err(Fault::Read)?;
        self.position += skipped;
        if skipped < count { Err(self.cut_off()) } else { Ok(()) }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        match self.inner.read_exact(bytes) {
            Ok(()) => {
                self.position += bytes.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.cut_off()),
            Err(error) => Err(Fault::Read(error)),
        }
    }

    fn cut_off(&self) -> Fault {
        Fault::Damaged(format!("the file is cut off: its {} bytes end inside the header", self.length))
    }
}
