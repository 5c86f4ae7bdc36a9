//! The product with a quantised weight.

use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{DType, Device, Tensor};

use crate::Result;

/// A weight `[outputs, inputs]` in blocks that share a scale.
#[derive(Clone, Debug)]
pub(super) struct Quantized {
    weight: Arc<QTensor>,
    dtype: DType,
    device: Device,
}

impl Quantized {
    /// `dtype` is what the network around it computes in.
    pub(super) fn new(weight: Arc<QTensor>, dtype: DType) -> Self {
        Self { device: weight.device(), weight, dtype }
    }

    /// What the network around it computes in.
    pub(super) fn dtype(&self) -> DType {
        self.dtype
    }

    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// Outputs and inputs.
    pub(super) fn dims(&self) -> Result<(usize, usize)> {
        Ok(self.weight.shape().dims2()?)
    }

    /// Bytes that it takes in memory.
    pub(super) fn byte_size(&self) -> usize {
        self.weight.storage_size_in_bytes()
    }

    /// Its numbers, in the number format of the network.
    pub(super) fn dequantize(&self) -> Result<Tensor> {
        Ok(self.weight.dequantize(&self.device)?.to_dtype(self.dtype)?)
    }

    /// `x W^T` in f32, given in the number format of `rows`. The kernels round `rows` to blocks of 8 bits as well.
    ///
    /// # Shapes
    /// `[rows, inputs]`, contiguous, to `[rows, outputs]`.
    pub(super) fn forward(&self, rows: &Tensor) -> Result<Tensor> {
        let product = rows.to_dtype(DType::F32)?.apply_op1_no_bwd(self.weight.as_ref())?;
        Ok(product.to_dtype(rows.dtype())?)
    }
}
