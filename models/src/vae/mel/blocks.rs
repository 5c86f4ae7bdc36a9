//! The parts that encoder and decoder share.
//!
//! Source: `ResnetBlock1D` and `AttnBlock1D` of Lumina-T2X `lumina_audio/models/autoencoder1d.py`.

use candle_core::Tensor;

use super::config::GROUPS;
use crate::nn::{Conv1d, Conv1dShape, GroupNorm, Scores, WeightForm, plain_attention};
use crate::weights::Weights;
use crate::{Interrupt, Result};

/// Epsilon of all norms.
const NORM_EPS: f64 = 1e-6;

pub(crate) fn conv(weights: &Weights, shape: Conv1dShape) -> Result<Conv1d> {
    Conv1d::load(weights, shape, WeightForm::Plain)
}

/// A norm over groups of channels and all frames.
#[derive(Clone, Debug)]
pub(crate) struct FrameNorm(GroupNorm);

impl FrameNorm {
    pub(crate) fn load(weights: &Weights, channels: usize) -> Result<Self> {
        Ok(Self(GroupNorm::load(weights, channels, GROUPS, NORM_EPS)?))
    }

    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.0.forward_sequence(input)
    }

    /// The norm, then SiLU.
    pub(crate) fn activated(&self, input: &Tensor) -> Result<Tensor> {
        Ok(self.forward(input)?.silu()?)
    }
}

/// Two convolutions with norms around a shortcut.
#[derive(Clone, Debug)]
pub(crate) struct ResidualBlock {
    norm1: FrameNorm,
    conv1: Conv1d,
    norm2: FrameNorm,
    conv2: Conv1d,
    shortcut: Option<Conv1d>,
}

impl ResidualBlock {
    pub(crate) fn load(weights: &Weights, inputs: usize, outputs: usize, kernel: usize) -> Result<Self> {
        let shortcut = (inputs != outputs)
            .then(|| conv(&weights.under("nin_shortcut"), Conv1dShape::same(inputs, outputs, 1)));
        Ok(Self {
            norm1: FrameNorm::load(&weights.under("norm1"), inputs)?,
            conv1: conv(&weights.under("conv1"), Conv1dShape::same(inputs, outputs, kernel))?,
            norm2: FrameNorm::load(&weights.under("norm2"), outputs)?,
            conv2: conv(&weights.under("conv2"), Conv1dShape::same(outputs, outputs, kernel))?,
            shortcut: shortcut.transpose()?,
        })
    }

    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let hidden = self.conv1.forward(&self.norm1.activated(input)?)?;
        let hidden = self.conv2.forward(&self.norm2.activated(&hidden)?)?;
        match &self.shortcut {
            Some(shortcut) => Ok((shortcut.forward(input)? + hidden)?),
            None => Ok((input + hidden)?),
        }
    }
}

/// Attention of every frame to every other, with one head, added to its input.
#[derive(Clone, Debug)]
pub struct FrameAttention {
    norm: FrameNorm,
    query: Conv1d,
    key: Conv1d,
    value: Conv1d,
    output: Conv1d,
}

impl FrameAttention {
    /// Reads `norm`, `q`, `k`, `v` and `proj_out`.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, channels: usize) -> Result<Self> {
        let point = |name: &str| conv(&weights.under(name), Conv1dShape::same(channels, channels, 1));
        Ok(Self {
            norm: FrameNorm::load(&weights.under("norm"), channels)?,
            query: point("q")?,
            key: point("k")?,
            value: point("v")?,
            output: point("proj_out")?,
        })
    }

    /// # Shapes
    /// `[batch, channels, frames]` to the same.
    ///
    /// # Errors
    /// [`crate::ModelError::Candle`] when the channels do not fit.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let (_, channels, _) = input.dims3()?;
        let normed = self.norm.forward(input)?;
        let head = |conv: &Conv1d| -> Result<Tensor> {
            Ok(conv.forward(&normed)?.transpose(1, 2)?.contiguous()?.unsqueeze(1)?)
        };
        let scale = 1.0 / (channels as f64).sqrt();
        // Not the blocked form: a decoder magnifies what rounds a thousand times, and keeps the order of sums of its
        // reference.
        let (query, key, value) = (head(&self.query)?, head(&self.key)?, head(&self.value)?);
        let seen = plain_attention(&query, &key, &value, &Scores::scaled(scale))?;
        let output = self.output.forward(&seen.squeeze(1)?.transpose(1, 2)?.contiguous()?)?;
        Ok((input + output)?)
    }
}

/// The shortest level: residual block, attention, residual block.
#[derive(Clone, Debug)]
pub(crate) struct MidBlock {
    first: ResidualBlock,
    attention: FrameAttention,
    second: ResidualBlock,
}

impl MidBlock {
    pub(crate) fn load(weights: &Weights, channels: usize, kernel: usize) -> Result<Self> {
        Ok(Self {
            first: ResidualBlock::load(&weights.under("block_1"), channels, channels, kernel)?,
            attention: FrameAttention::load(&weights.under("attn_1"), channels)?,
            second: ResidualBlock::load(&weights.under("block_2"), channels, channels, kernel)?,
        })
    }

    /// Shows what attention gives to `observe`.
    pub(crate) fn forward(
        &self,
        input: &Tensor,
        interrupt: &Interrupt,
        observe: &mut dyn FnMut(&Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        interrupt.check()?;
        let state = self.first.forward(input)?;
        interrupt.check()?;
        let state = self.attention.forward(&state)?;
        observe(&state)?;
        interrupt.check()?;
        self.second.forward(&state)
    }
}
