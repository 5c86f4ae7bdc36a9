//! The number formats that GGUF files name.
//!
//! Numbers, names and sizes: `ggml.h` and `ggml-common.h` of ggml.

use candle_core::quantized::GgmlDType;
use safetensors::Dtype;

use crate::weights::StoredFormat;

/// A number format of ggml.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct GgmlKind {
    /// Its number in files.
    number: u32,
    /// How many numbers share a block.
    pub(super) block: u64,
    /// Bytes of a block.
    pub(super) bytes: u64,
    /// What it is to a reader; holds its name when it cannot be read.
    pub(super) format: StoredFormat,
}

const fn plain(number: u32, bytes: u64, format: Dtype) -> GgmlKind {
    GgmlKind { number, block: 1, bytes, format: StoredFormat::Plain(format) }
}

const fn blocks(number: u32, block: u64, bytes: u64, format: GgmlDType) -> GgmlKind {
    GgmlKind { number, block, bytes, format: StoredFormat::Quantized(format) }
}

const fn unreadable(number: u32, block: u64, bytes: u64, name: &'static str) -> GgmlKind {
    GgmlKind { number, block, bytes, format: StoredFormat::Unreadable(name) }
}

/// Those that files may have. `Q8_1` and `Q8_K` only ever hold the other factor of a product while it is computed.
const KINDS: [GgmlKind; 34] = [
    plain(0, 4, Dtype::F32),
    plain(1, 2, Dtype::F16),
    blocks(2, 32, 18, GgmlDType::Q4_0),
    blocks(3, 32, 20, GgmlDType::Q4_1),
    blocks(6, 32, 22, GgmlDType::Q5_0),
    blocks(7, 32, 24, GgmlDType::Q5_1),
    blocks(8, 32, 34, GgmlDType::Q8_0),
    unreadable(9, 32, 36, "Q8_1"),
    blocks(10, 256, 84, GgmlDType::Q2K),
    blocks(11, 256, 110, GgmlDType::Q3K),
    blocks(12, 256, 144, GgmlDType::Q4K),
    blocks(13, 256, 176, GgmlDType::Q5K),
    blocks(14, 256, 210, GgmlDType::Q6K),
    unreadable(15, 256, 292, "Q8_K"),
    unreadable(16, 256, 66, "IQ2_XXS"),
    unreadable(17, 256, 74, "IQ2_XS"),
    unreadable(18, 256, 98, "IQ3_XXS"),
    unreadable(19, 256, 50, "IQ1_S"),
    unreadable(20, 32, 18, "IQ4_NL"),
    unreadable(21, 256, 110, "IQ3_S"),
    unreadable(22, 256, 82, "IQ2_S"),
    unreadable(23, 256, 136, "IQ4_XS"),
    plain(24, 1, Dtype::I8),
    plain(25, 2, Dtype::I16),
    plain(26, 4, Dtype::I32),
    plain(27, 8, Dtype::I64),
    plain(28, 8, Dtype::F64),
    unreadable(29, 256, 56, "IQ1_M"),
    plain(30, 2, Dtype::BF16),
    unreadable(34, 256, 54, "TQ1_0"),
    unreadable(35, 256, 66, "TQ2_0"),
    unreadable(39, 32, 17, "MXFP4"),
    unreadable(40, 64, 36, "NVFP4"),
    unreadable(41, 128, 18, "Q1_0"),
];

impl GgmlKind {
    /// The format with a number, if it is known.
    pub(super) fn of(number: u32) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.number == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_the_sizes_that_the_reader_of_weights_takes() {
        let mut checked = 0;
        for kind in KINDS {
            if let StoredFormat::Quantized(format) = kind.format {
                assert_eq!(
                    (kind.block, kind.bytes),
                    (format.block_size() as u64, format.type_size() as u64),
                    "{format:?}"
                );
                checked += 1;
            }
        }
        assert_eq!(checked, 10);
        for kind in KINDS {
            if let StoredFormat::Plain(format) = kind.format {
                assert_eq!((kind.block, kind.bytes * 8), (1, format.bitsize() as u64), "{format:?}");
            }
        }
    }

    #[test]
    fn every_number_is_there_once() {
        for pair in KINDS.windows(2) {
            assert!(pair[0].number < pair[1].number, "{pair:?}");
        }
        assert_eq!(GgmlKind::of(23).map(|kind| kind.format), Some(StoredFormat::Unreadable("IQ4_XS")));
        // Q4_2, which was dropped from the format.
        assert_eq!(GgmlKind::of(4), None);
    }
}
