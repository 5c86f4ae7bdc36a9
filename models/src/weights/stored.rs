//! What a file says of one tensor, and where its numbers lie.

use std::fmt;

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device};
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
    /// In a format that cannot be read; its name, as GGUF files have it.
    Unreadable(&'static str),
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

    /// Bytes that it takes on `device` once it is loaded as the weight of a layer, in `dtype` unless it is quantised.
    ///
    /// Processors get a second copy of a quantised matrix from candle, in the order of their instructions, as soon as there
    /// is a product with it: `repack_x86.rs` of candle 0.11.
    pub fn loaded_bytes(&self, dtype: DType, device: &Device) -> u64 {
        let StoredFormat::Quantized(format) = self.format else {
            return self.parameter_count() * dtype.size_in_bytes() as u64;
        };
        let in_tiles = matches!(*self.shape, [rows, columns] if rows % 16 == 0 && columns % 256 == 0);
        if !device.is_cpu() || !in_tiles {
            return self.byte_size();
        }
        // Each tile has 256 numbers of 16 rows.
        let tiles = self.parameter_count() / (16 * 256);
        let tile = match format {
            GgmlDType::Q8_0 => 8 * (16 * 2 + 32 * 16),
            GgmlDType::Q4K => 2 * 8 * 16 * 4 + 16 * 128,
            GgmlDType::Q6K => 16 * 16 * 4 + 16 * 256,
            _ => 0,
        };
        self.byte_size() + tiles * tile
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
            // One that cannot be read is reported with its own name.
            Self::Quantized(_) | Self::Unreadable(_) => true,
        }
    }
}

impl fmt::Display for StoredFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(format) => write!(formatter, "{format:?}"),
            Self::Quantized(format) => formatter.write_str(block_name(*format)),
            Self::Unreadable(name) => formatter.write_str(name),
        }
    }
}

/// The name of a format of blocks, as the tools that write GGUF files have it.
fn block_name(format: GgmlDType) -> &'static str {
    match format {
        GgmlDType::F32 => "F32",
        GgmlDType::F16 => "F16",
        GgmlDType::BF16 => "BF16",
        GgmlDType::Q4_0 => "Q4_0",
        GgmlDType::Q4_1 => "Q4_1",
        GgmlDType::Q5_0 => "Q5_0",
        GgmlDType::Q5_1 => "Q5_1",
        GgmlDType::Q8_0 => "Q8_0",
        GgmlDType::Q8_1 => "Q8_1",
        GgmlDType::Q2K => "Q2_K",
        GgmlDType::Q3K => "Q3_K",
        GgmlDType::Q4K => "Q4_K",
        GgmlDType::Q5K => "Q5_K",
        GgmlDType::Q6K => "Q6_K",
        GgmlDType::Q8K => "Q8_K",
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
    fn quantised_matrices_are_counted_as_they_are_kept() {
        let tensor = |format, shape: [usize; 2], end| StoredTensor {
            format,
            shape: shape.to_vec(),
            storage: Storage::Span(Span { file: 0, start: 0, end }),
        };
        let bytes = |tensor: &StoredTensor| tensor.loaded_bytes(DType::BF16, &Device::Cpu);
        assert_eq!(bytes(&tensor(StoredFormat::Plain(Dtype::F32), [3, 5], 60)), 30);
        let small = tensor(StoredFormat::Quantized(GgmlDType::Q8_0), [3, 64], 3 * 2 * 34);
        assert_eq!(bytes(&small), 3 * 2 * 34);
        // The sizes that were measured for 4096 x 4096, but for what a page is rounded up to.
        for (format, stored, second) in [
            (GgmlDType::Q8_0, 17_825_792, 17_825_792),
            (GgmlDType::Q4K, 9_437_184, 12_582_912),
            (GgmlDType::Q6K, 13_762_560, 20_971_520),
            (GgmlDType::Q5K, 11_534_336, 0),
        ] {
            let large = tensor(StoredFormat::Quantized(format), [4096, 4096], stored);
            assert_eq!(bytes(&large), stored + second, "{format:?}");
        }
    }

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
