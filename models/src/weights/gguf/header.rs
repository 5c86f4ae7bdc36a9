//! The header of a GGUF file, read without touching the weights behind it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::GgufMetadata;
use super::kind::GgmlKind;
use super::metadata::GgufValue;
use super::source::{Fault, Source};
use crate::weights::StoredFormat;
use crate::{ModelError, Result};

/// The first bytes of every GGUF file.
pub(super) const MAGIC: [u8; 4] = *b"GGUF";
const MAX_DIMENSIONS: u32 = 4;
const MAX_NAME_BYTES: u64 = 1024;
/// Far above any real file.
const MAX_TENSORS: u64 = 1 << 20;
const USUAL_ALIGNMENT: u64 = 32;
/// The format asks for a multiple of 8, which the formats of all blocks need.
const ALIGNMENTS: std::ops::RangeInclusive<u64> = 8..=1 << 20;

/// The checked header of a GGUF file of version 2 or 3.
///
/// The format: magic, version, counts, metadata, descriptions of tensors, then their bytes, each aligned
/// (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GgufHeader {
    version: u32,
    metadata: GgufMetadata,
    tensors: Vec<GgufTensor>,
}

/// Where one tensor lies and what it is.
#[derive(Clone, Debug, PartialEq)]
pub struct GgufTensor {
    /// Stored name.
    pub name: String,
    /// Number format.
    pub format: StoredFormat,
    /// Dimensions, outermost first; the file has them the other way round.
    pub shape: Vec<usize>,
    /// First byte, counted from the start of the file.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl GgufHeader {
    /// Reads and checks the header of `path`; no weight byte is read.
    ///
    /// # Errors
    /// [`ModelError::FileNotFound`] or [`ModelError::Read`] when the file cannot be read, [`ModelError::Gguf`] when the
    /// header is cut off, damaged, or describes bytes that the file does not have.
    pub fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| ModelError::read(path, source))?;
        let length = file.metadata().map_err(|source| ModelError::read(path, source))?.len();
        parse(Source::new(BufReader::new(file), length)).map_err(|fault| match fault {
            Fault::Read(source) => ModelError::read(path, source),
            Fault::Damaged(reason) => ModelError::Gguf { path: path.to_owned(), reason },
        })
    }

    /// Checks the header at the front of `bytes`, for a file of `file_length` bytes in all.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(bytes: &[u8], file_length: u64) -> std::result::Result<Self, String> {
        parse(Source::new(bytes, file_length)).map_err(|fault| match fault {
            Fault::Read(source) => source.to_string(),
            Fault::Damaged(reason) => reason,
        })
    }

    /// The version of the format.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What the file says of the network in it.
    pub fn metadata(&self) -> &GgufMetadata {
        &self.metadata
    }

    /// The tensors in the order of their bytes.
    pub fn tensors(&self) -> &[GgufTensor] {
        &self.tensors
    }

    pub(crate) fn into_parts(self) -> (GgufMetadata, Vec<GgufTensor>) {
        (self.metadata, self.tensors)
    }
}

fn damaged<T>(reason: String) -> std::result::Result<T, Fault> {
    Err(Fault::Damaged(reason))
}

fn parse<R: Read>(mut source: Source<R>) -> std::result::Result<GgufHeader, Fault> {
    if source.bytes()? != MAGIC {
        return damaged("it does not begin with `GGUF`".to_owned());
    }
    let version = source.u32()?;
    check_version(version)?;
    let tensor_count = source.u64()?;
    let value_count = source.u64()?;
    // A name of no bytes behind its length, the number of dimensions, the type and the offset.
    source.claim("the list of tensors", tensor_count, 8 + 4 + 4 + 8)?;
    if tensor_count > MAX_TENSORS {
        return damaged(format!("the header claims {tensor_count} tensors, more than any file has"));
    }
    let metadata = GgufMetadata::read(&mut source, value_count)?;
    let alignment = alignment(&metadata)?;
    let mut tensors = Vec::new();
    let mut names = BTreeSet::new();
    for _ in 0..tensor_count {
        let described = Described::read(&mut source)?;
        if !names.insert(described.name.clone()) {
            return damaged(format!("`{}` is in the header twice", described.name));
        }
        tensors.push(described);
    }
    let data_start = source.position().next_multiple_of(alignment);
    let placed = tensors.into_iter().map(|tensor| tensor.place(data_start, alignment, source.length()));
    let mut tensors = placed.collect::<std::result::Result<Vec<_>, _>>()?;
    tensors.sort_by_key(|tensor| (tensor.start, tensor.end));
    if let Some(pair) = tensors.windows(2).find(|pair| pair[1].start < pair[0].end) {
        return damaged(format!("`{}` overlaps `{}`", pair[1].name, pair[0].name));
    }
    Ok(GgufHeader { version, metadata, tensors })
}

fn check_version(version: u32) -> std::result::Result<(), Fault> {
    match version {
        2 | 3 => Ok(()),
        1 => damaged("version 1 of the format is not supported, convert the model again".to_owned()),
        swapped if matches!(swapped.swap_bytes(), 1..=3) => {
            damaged("the file is big-endian, expected little-endian".to_owned())
        }
        other => damaged(format!("version {other} of the format is not supported, expected 2 or 3")),
    }
}

/// What tensors begin at a multiple of.
fn alignment(metadata: &GgufMetadata) -> std::result::Result<u64, Fault> {
    const KEY: &str = "general.alignment";
    let Some(value) = metadata.get(KEY) else { return Ok(USUAL_ALIGNMENT) };
    match metadata.whole(KEY) {
        Some(bytes) if bytes.is_power_of_two() && ALIGNMENTS.contains(&bytes) => Ok(bytes),
        Some(bytes) => damaged(format!("`{KEY}` is {bytes}, expected a power of two of at least 8")),
        None => damaged(format!("`{KEY}` is {}, expected a whole number", value.kind_name())),
    }
}

/// A tensor before it is known where the bytes of all tensors begin.
struct Described {
    name: String,
    kind: GgmlKind,
    shape: Vec<usize>,
    bytes: u64,
    offset: u64,
}

impl Described {
    fn read<R: Read>(source: &mut Source<R>) -> std::result::Result<Self, Fault> {
        let name = source.text("the name of a tensor", MAX_NAME_BYTES)?;
        let rank = source.u32()?;
        if rank > MAX_DIMENSIONS {
            return damaged(format!("`{name}` has {rank} dimensions, expected at most {MAX_DIMENSIONS}"));
        }
        let mut lengths = Vec::new();
        for _ in 0..rank {
            lengths.push(source.u64()?);
        }
        let number = source.u32()?;
        let offset = source.u64()?;
        if lengths.contains(&0) {
            return damaged(format!("`{name}` has a dimension of length 0"));
        }
        let Some(kind) = GgmlKind::of(number) else {
            return damaged(format!("`{name}` has the type number {number}, which no known format has"));
        };
        // Blocks lie along the innermost dimension, which is the first one in the file.
        let row = lengths.first().copied().unwrap_or(1);
        if !row.is_multiple_of(kind.block) {
            let (format, block) = (kind.format, kind.block);
            return damaged(format!(
                "`{name}` has rows of {row} numbers, {format} takes multiples of {block}"
            ));
        }
        let too_large = || Fault::Damaged(format!("the size of `{name}` is too large"));
        let count = lengths.iter().try_fold(1_u64, |all, &length| all.checked_mul(length));
        let bytes =
            count.and_then(|count| (count / kind.block).checked_mul(kind.bytes)).ok_or_else(too_large)?;
        let shape: Option<Vec<usize>> =
            lengths.iter().rev().map(|&length| usize::try_from(length).ok()).collect();
        let shape = shape.ok_or_else(too_large)?;
        Ok(Self { name, kind, shape, bytes, offset })
    }

    /// Its place in a file of `length` bytes.
    fn place(self, data_start: u64, alignment: u64, length: u64) -> std::result::Result<GgufTensor, Fault> {
        let Self { name, kind, shape, bytes, offset } = self;
        if !offset.is_multiple_of(alignment) {
            return damaged(format!(
                "`{name}` begins at offset {offset}, which is no multiple of {alignment}"
            ));
        }
        let start = data_start.checked_add(offset);
        let Some((start, end)) = start.and_then(|start| Some((start, start.checked_add(bytes)?))) else {
            return damaged(format!("the offset of `{name}` is too large"));
        };
        if end > length {
            return damaged(format!(
                "the file is cut off: `{name}` ends at byte {end}, the file has {length} bytes"
            ));
        }
        Ok(GgufTensor { name, format: kind.format, shape, start, end })
    }
}

impl GgufValue {
    fn kind_name(&self) -> &'static str {
        match self {
            Self::Unsigned(_) | Self::Signed(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::Bool(_) => "a truth value",
            Self::Text(_) => "a text",
            Self::List { .. } => "a list",
        }
    }
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
