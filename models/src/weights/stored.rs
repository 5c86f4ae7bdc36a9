//! What a file says of one tensor, and where its numbers lie.

use std::fmt;

use candle_core::quantized::GgmlDType;
use safetensors::Dtype;

/// One tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTensor {
    /// Number format on disk.
    pub format: StoredFormat,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Where its numbers lie.
    pub storage: Storage,
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredFormat {
    /// One after the other.
    Plain(Dtype),
    /// In blocks that share a scale, as GGUF files have them.
    Quantized(GgmlDType),
}

/// Bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Index into [`Checkpoint::files`](super::Checkpoint::files).
    pub file: usize,
    /// First byte in that file.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

/// Where the numbers of a tensor lie.
#[derive(Clone, Debug, PartialEq)]
pub enum Storage {
    /// One after the other, and nothing else.
    Span(Span),
    /// In a larger storage, or in another order: a view, as torch saves transposed tensors and those that share memory.
    Strided {
        /// The whole storage.
        span: Span,
        /// The first number, counted in numbers from the start of the storage.
        offset: usize,
        /// Numbers between neighbours in each dimension.
        strides: Vec<usize>,
    },
    /// In parts that are joined, each a rank of a training that split its layers.
    Joined {
        /// The dimension along which they are joined.
        dimension: usize,
        /// In order; none of them is joined itself.
        parts: Vec<StoredTensor>,
    },
}

impl StoredTensor {
    /// Bytes that are read for it.
    pub fn byte_size(&self) -> u64 {
        match &self.storage {
            Storage::Span(span) | Storage::Strided { span, .. } => span.length(),
            Storage::Joined { parts, .. } => parts.iter().map(Self::byte_size).sum(),
        }
    }

    /// The number of its numbers.
    pub fn parameter_count(&self) -> u64 {
        self.shape.iter().map(|&size| size as u64).product()
    }

    /// Index of the file that holds it, or the first of its parts.
    pub(crate) fn file(&self) -> usize {
        match &self.storage {
            Storage::Span(span) | Storage::Strided { span, .. } => span.file,
            Storage::Joined { parts, .. } => parts.first().map_or(0, Self::file),
        }
    }
}

impl Span {
    /// The number of its bytes.
    pub fn length(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

impl StoredFormat {
    /// Whether numbers of this format can be weights.
    pub fn is_weight(self) -> bool {
        match self {
            Self::Plain(format) => matches!(format, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16),
            Self::Quantized(_) => true,
        }
    }
}

impl fmt::Display for StoredFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(format) => write!(formatter, "{format:?}"),
            Self::Quantized(format) => write!(formatter, "{format:?}"),
        }
    }
}

/// The numbers of a view one after the other, each `size` bytes; none when the view leaves its storage.
pub(super) fn gather(
    storage: &[u8],
    size: usize,
    shape: &[usize],
    offset: usize,
    strides: &[usize],
) -> Option<Vec<u8>> {
    let count = shape.iter().try_fold(1_usize, |all, &length| all.checked_mul(length))?;
    let mut numbers = Vec::with_capacity(count.checked_mul(size)?.min(storage.len()));
    let mut place = vec![0_usize; shape.len()];
    for _ in 0..count {
        let mut steps = place.iter().zip(strides);
        let index =
            steps.try_fold(offset, |index, (&at, &stride)| index.checked_add(at.checked_mul(stride)?))?;
        let start = index.checked_mul(size)?;
        numbers.extend_from_slice(storage.get(start..start.checked_add(size)?)?);
        for (at, &length) in place.iter_mut().zip(shape).rev() {
            *at += 1;
            if *at < length {
                break;
            }
            *at = 0;
        }
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_read_in_its_own_order() {
        let storage: Vec<u8> = (0..12).collect();
        // Two rows of three numbers of two bytes, turned to three rows of two.
        assert_eq!(gather(&storage, 2, &[3, 2], 0, &[1, 3]).unwrap(), [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]);
        assert_eq!(gather(&storage, 2, &[2], 4, &[1]).unwrap(), [8, 9, 10, 11]);
        assert_eq!(gather(&storage, 2, &[], 5, &[]).unwrap(), [10, 11]);
        assert!(gather(&storage, 2, &[0, 7], 9, &[1, 1]).unwrap().is_empty());
    }

    #[test]
    fn a_view_that_leaves_its_storage_is_refused() {
        let storage = [0; 12];
        assert_eq!(gather(&storage, 2, &[2], 5, &[1]), None);
        assert_eq!(gather(&storage, 2, &[2], 0, &[usize::MAX]), None);
        assert_eq!(gather(&storage, 4, &[usize::MAX, 2], 0, &[0, 0]), None);
    }
}
