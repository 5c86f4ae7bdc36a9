//! Normalisation over groups of channels of a picture.

use candle_core::{DType, Tensor};

use crate::Result;
use crate::weights::Weights;

/// Zero mean and unit variance over each group of channels, then a weight and a bias per channel; in f32.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: usize,
    eps: f64,
}

impl GroupNorm {
    /// Reads `weight` and `bias`.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, channels: usize, groups: usize, eps: f64) -> Result<Self> {
        let weight = weights.tensor("weight", &[channels])?;
        let bias = weights.tensor("bias", &[channels])?;
        Ok(Self { weight, bias, groups, eps })
    }

    /// # Shapes
    /// `[batch, channels, height, width]` to the same.
    ///
    /// # Errors
    /// [`crate::ModelError::Candle`] when the groups do not divide the channels.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let (batch, channels, height, width) = input.dims4()?;
        let size = channels / self.groups.max(1) * height * width;
        let wide = input.contiguous()?.to_dtype(DType::F32)?.reshape((batch, self.groups, size))?;
        let centred = wide.broadcast_sub(&wide.mean_keepdim(2)?)?;
        let variance = centred.sqr()?.mean_keepdim(2)?;
        let inverse = (variance + self.eps)?.sqrt()?.recip()?;
        // One factor per channel: the picture is then multiplied once, not once per group and once per channel.
        let per_channel =
            inverse.broadcast_as((batch, self.groups, channels / self.groups.max(1)))?.contiguous()?;
        let weight = self.weight.to_dtype(DType::F32)?.reshape((1, channels))?;
        let factor = per_channel.reshape((batch, channels))?.broadcast_mul(&weight)?;
        let output = centred
            .reshape((batch, channels, height, width))?
            .broadcast_mul(&factor.reshape((batch, channels, 1, 1))?)?
            .broadcast_add(&self.bias.to_dtype(DType::F32)?.reshape((1, channels, 1, 1))?)?;
        Ok(output.to_dtype(input.dtype())?)
    }
}
