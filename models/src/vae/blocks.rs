//! The parts that encoder and decoder share.
//!
//! Source: `ResnetBlock2D`, `Attention` and `UNetMidBlock2D` of diffusers.

use candle_core::Tensor;

use super::AutoencoderConfig;
use crate::nn::{Conv2d, Conv2dShape, GroupNorm, Linear, Scores, plain_attention};
use crate::weights::Weights;
use crate::{Interrupt, Result};

/// Epsilon of all norms.
pub(crate) const NORM_EPS: f64 = 1e-6;

/// Two convolutions with norms around a shortcut.
#[derive(Clone, Debug)]
pub(crate) struct ResidualBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
}

impl ResidualBlock {
    pub(crate) fn load(weights: &Weights, inputs: usize, outputs: usize, groups: usize) -> Result<Self> {
        let shortcut = (inputs != outputs)
            .then(|| Conv2d::load(&weights.under("conv_shortcut"), Conv2dShape::point(inputs, outputs)));
        Ok(Self {
            norm1: GroupNorm::load(&weights.under("norm1"), inputs, groups, NORM_EPS)?,
            conv1: Conv2d::load(&weights.under("conv1"), Conv2dShape::same3(inputs, outputs))?,
            norm2: GroupNorm::load(&weights.under("norm2"), outputs, groups, NORM_EPS)?,
            conv2: Conv2d::load(&weights.under("conv2"), Conv2dShape::same3(outputs, outputs))?,
            shortcut: shortcut.transpose()?,
        })
    }

    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let hidden = self.conv1.forward(&self.norm1.forward(input)?.silu()?)?;
        let hidden = self.conv2.forward(&self.norm2.forward(&hidden)?.silu()?)?;
        match &self.shortcut {
            Some(shortcut) => Ok((shortcut.forward(input)? + hidden)?),
            None => Ok((input + hidden)?),
        }
    }
}

/// Attention of every pixel to every other, with one head.
#[derive(Clone, Debug)]
struct PixelAttention {
    norm: GroupNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
}

impl PixelAttention {
    fn load(weights: &Weights, channels: usize, groups: usize) -> Result<Self> {
        let linear = |name: &str| Linear::load(&weights.under(name), channels, channels);
        Ok(Self {
            norm: GroupNorm::load(&weights.under("group_norm"), channels, groups, NORM_EPS)?,
            query: linear("to_q")?,
            key: linear("to_k")?,
            value: linear("to_v")?,
            output: linear("to_out.0")?,
        })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let (batch, channels, height, width) = input.dims4()?;
        let normed = self.norm.forward(input)?;
        let pixels = normed.reshape((batch, channels, height * width))?.transpose(1, 2)?.contiguous()?;
        let head = |linear: &Linear| -> Result<Tensor> { Ok(linear.forward(&pixels)?.unsqueeze(1)?) };
        let scale = 1.0 / (channels as f64).sqrt();
        // Not the blocked form: a decoder magnifies what rounds a thousand times, and keeps the order of sums of its
        // reference.
        let (query, key, value) = (head(&self.query)?, head(&self.key)?, head(&self.value)?);
        let seen = plain_attention(&query, &key, &value, &Scores::scaled(scale))?;
        let output = self.output.forward(&seen.squeeze(1)?)?.transpose(1, 2)?.contiguous()?;
        Ok((input + output.reshape((batch, channels, height, width))?)?)
    }
}

/// The smallest level: residual block, attention, residual block.
#[derive(Clone, Debug)]
pub(crate) struct MidBlock {
    first: ResidualBlock,
    attention: Option<PixelAttention>,
    second: ResidualBlock,
}

impl MidBlock {
    pub(crate) fn load(weights: &Weights, channels: usize, config: &AutoencoderConfig) -> Result<Self> {
        let groups = config.norm_num_groups;
        let resnets = weights.under("resnets");
        let attention = config
            .mid_block_add_attention
            .then(|| PixelAttention::load(&weights.under("attentions").under(0), channels, groups));
        Ok(Self {
            first: ResidualBlock::load(&resnets.under(0), channels, channels, groups)?,
            attention: attention.transpose()?,
            second: ResidualBlock::load(&resnets.under(1), channels, channels, groups)?,
        })
    }

    pub(crate) fn forward(&self, input: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
        interrupt.check()?;
        let mut state = self.first.forward(input)?;
        if let Some(attention) = &self.attention {
            interrupt.check()?;
            state = attention.forward(&state)?;
        }
        interrupt.check()?;
        self.second.forward(&state)
    }
}
