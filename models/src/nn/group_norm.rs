//! Normalisation over groups of channels of a picture or a sequence.

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
        let mean = wide.mean_keepdim(2)?;
        let variance = wide.broadcast_sub(&mean)?.sqr()?.mean_keepdim(2)?;
        let inverse = (variance + self.eps)?.sqrt()?.recip()?;
        // Everything but the picture is folded into one factor and one summand per channel, as torch does it.
        let spread = |per_group: &Tensor| -> Result<Tensor> {
            let spread = per_group.broadcast_as((batch, self.groups, channels / self.groups.max(1)))?;
            Ok(spread.contiguous()?.reshape((batch, channels))?)
        };
        let weight = self.weight.to_dtype(DType::F32)?.reshape((1, channels))?;
        let bias = self.bias.to_dtype(DType::F32)?.reshape((1, channels))?;
        let factor = spread(&inverse)?.broadcast_mul(&weight)?;
        let summand = bias.broadcast_sub(&(spread(&mean)? * &factor)?)?;
        let output = wide
            .reshape((batch, channels, height, width))?
            .broadcast_mul(&factor.reshape((batch, channels, 1, 1))?)?
            .broadcast_add(&summand.reshape((batch, channels, 1, 1))?)?;
        Ok(output.to_dtype(input.dtype())?)
    }

    /// As [`forward`](Self::forward), for a sequence. Its groups have few numbers, which may be almost equal, so the
    /// mean goes first: one pass more, and no digits lost.
    ///
    /// # Shapes
    /// `[batch, channels, length]` to the same.
    ///
    /// # Errors
    /// [`crate::ModelError::Candle`] when the groups do not divide the channels.
    pub fn forward_sequence(&self, input: &Tensor) -> Result<Tensor> {
        let (batch, channels, length) = input.dims3()?;
        let size = channels / self.groups.max(1) * length;
        let wide = input.contiguous()?.to_dtype(DType::F32)?.reshape((batch, self.groups, size))?;
        let centred = wide.broadcast_sub(&wide.mean_keepdim(2)?)?;
        let inverse = (centred.sqr()?.mean_keepdim(2)? + self.eps)?.sqrt()?.recip()?;
        let output = centred
            .broadcast_mul(&inverse)?
            .reshape((batch, channels, length))?
            .broadcast_mul(&self.weight.to_dtype(DType::F32)?.reshape((1, channels, 1))?)?
            .broadcast_add(&self.bias.to_dtype(DType::F32)?.reshape((1, channels, 1))?)?;
        Ok(output.to_dtype(input.dtype())?)
    }
}
