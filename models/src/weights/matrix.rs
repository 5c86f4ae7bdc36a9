//! Matrices as they are kept in memory: in numbers, or quantised.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Tensor};

use crate::Result;

/// The weight of a linear layer or of a table.
#[derive(Clone, Debug)]
pub enum Matrix {
    /// In numbers.
    Plain(Tensor),
    /// In blocks that share a scale, as the file has them.
    Quantized(Arc<QTensor>),
}

impl Matrix {
    /// Whether products with it can be computed: candle panics, in a build with debug assertions, where rows in one of
    /// three formats have an odd number of blocks.
    pub(super) fn multiplies(&self) -> bool {
        let Self::Quantized(matrix) = self else { return true };
        let blocks = matrix.shape().dims().last().map_or(0, |row| row / matrix.dtype().block_size());
        match matrix.dtype() {
            GgmlDType::Q4_1 | GgmlDType::Q5_0 | GgmlDType::Q5_1 => blocks.is_multiple_of(2),
            _ => true,
        }
    }
}

/// The tensor that `bytes` hold in blocks, copied to `device`.
///
/// # Errors
/// [`crate::ModelError::Candle`] when the bytes are too many or too few, or when memory runs out.
pub(super) fn quantized(
    bytes: &[u8],
    format: GgmlDType,
    shape: &[usize],
    device: &Device,
) -> Result<QTensor> {
    let needed = shape.iter().product::<usize>() / format.block_size() * format.type_size();
    // Candle panics for such bytes. Sizes and alignment follow from a checked header, so only a wrong caller has them.
    if bytes.len() != needed || !bytes.as_ptr().addr().is_multiple_of(4) {
        let message =
            format!("{} bytes of {format:?} for {shape:?}, expected {needed}, aligned", bytes.len());
        return Err(candle_core::Error::Msg(message).into());
    }
    Ok(QTensor::new(QStorage::from_data(Cow::Borrowed(bytes), device, format)?, shape)?)
}
