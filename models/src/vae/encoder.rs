//! From pixels to the moments of a latent.
//!
//! Source: `Encoder` and `DownEncoderBlock2D` of diffusers.

use candle_core::Tensor;

use super::blocks::{MidBlock, NORM_EPS, ResidualBlock};
use super::{AutoencoderConfig, AutoencoderStage};
use crate::nn::{Conv2d, Conv2dShape, GroupNorm};
use crate::weights::Weights;
use crate::{Interrupt, Result};

#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    conv_in: Conv2d,
    levels: Vec<DownLevel>,
    mid: MidBlock,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

#[derive(Clone, Debug)]
struct DownLevel {
    resnets: Vec<ResidualBlock>,
    downsampler: Option<Conv2d>,
}

impl Encoder {
    pub(crate) fn load(weights: &Weights, config: &AutoencoderConfig) -> Result<Self> {
        let channels = &config.block_out_channels;
        let (first, last) = (channels.first().copied().unwrap_or(1), channels.last().copied().unwrap_or(1));
        let mut levels = Vec::with_capacity(channels.len());
        let mut inputs = first;
        for (index, &outputs) in channels.iter().enumerate() {
            let level = weights.under("down_blocks").under(index);
            let resnets = (0..config.layers_per_block)
                .map(|layer| {
                    let inputs = if layer == 0 { inputs } else { outputs };
                    let resnet = level.under("resnets").under(layer);
                    ResidualBlock::load(&resnet, inputs, outputs, config.norm_num_groups)
                })
                .collect::<Result<_>>()?;
            let shape = Conv2dShape { inputs: outputs, outputs, kernel: 3, stride: 2, padding: 0 };
            let downsampler = (index + 1 < channels.len())
                .then(|| Conv2d::load(&level.under("downsamplers").under(0).under("conv"), shape));
            levels.push(DownLevel { resnets, downsampler: downsampler.transpose()? });
            inputs = outputs;
        }
        Ok(Self {
            conv_in: Conv2d::load(&weights.under("conv_in"), Conv2dShape::same3(config.in_channels, first))?,
            levels,
            mid: MidBlock::load(&weights.under("mid_block"), last, config)?,
            norm_out: GroupNorm::load(
                &weights.under("conv_norm_out"),
                last,
                config.norm_num_groups,
                NORM_EPS,
            )?,
            conv_out: Conv2d::load(
                &weights.under("conv_out"),
                Conv2dShape::same3(last, 2 * config.latent_channels),
            )?,
        })
    }

    pub(crate) fn forward(
        &self,
        image: &Tensor,
        interrupt: &Interrupt,
        observe: &mut dyn FnMut(AutoencoderStage, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let mut state = self.conv_in.forward(image)?;
        for level in &self.levels {
            for resnet in &level.resnets {
                interrupt.check()?;
                state = resnet.forward(&state)?;
            }
            if let Some(downsampler) = &level.downsampler {
                // One row below and one column right only, as in the first latent diffusion code.
                let padded = state.pad_with_zeros(2, 0, 1)?.pad_with_zeros(3, 0, 1)?;
                state = downsampler.forward(&padded)?;
            }
        }
        let state = self.mid.forward(&state, interrupt)?;
        observe(AutoencoderStage::EncoderMiddle, &state)?;
        self.conv_out.forward(&self.norm_out.forward(&state)?.silu()?)
    }
}
