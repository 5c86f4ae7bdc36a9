//! From a latent to pixels.
//!
//! Source: `Decoder` and `UpDecoderBlock2D` of diffusers.

use candle_core::Tensor;

use super::blocks::{MidBlock, NORM_EPS, ResidualBlock};
use super::{AutoencoderConfig, AutoencoderStage};
use crate::nn::{Conv2d, Conv2dShape, GroupNorm};
use crate::weights::Weights;
use crate::{Interrupt, Result};

#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    conv_in: Conv2d,
    mid: MidBlock,
    levels: Vec<UpLevel>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

#[derive(Clone, Debug)]
struct UpLevel {
    resnets: Vec<ResidualBlock>,
    upsampler: Option<Conv2d>,
}

impl Decoder {
    pub(crate) fn load(weights: &Weights, config: &AutoencoderConfig) -> Result<Self> {
        let channels = &config.block_out_channels;
        let (first, last) = (channels.first().copied().unwrap_or(1), channels.last().copied().unwrap_or(1));
        let mut levels = Vec::with_capacity(channels.len());
        let mut inputs = last;
        for (index, &outputs) in channels.iter().rev().enumerate() {
            let level = weights.under("up_blocks").under(index);
            let resnets = (0..=config.layers_per_block)
                .map(|layer| {
                    let inputs = if layer == 0 { inputs } else { outputs };
                    let resnet = level.under("resnets").under(layer);
                    ResidualBlock::load(&resnet, inputs, outputs, config.norm_num_groups)
                })
                .collect::<Result<_>>()?;
            let upsampler = (index + 1 < channels.len()).then(|| {
                let conv = level.under("upsamplers").under(0).under("conv");
                Conv2d::load(&conv, Conv2dShape::same3(outputs, outputs))
            });
            levels.push(UpLevel { resnets, upsampler: upsampler.transpose()? });
            inputs = outputs;
        }
        Ok(Self {
            conv_in: Conv2d::load(
                &weights.under("conv_in"),
                Conv2dShape::same3(config.latent_channels, last),
            )?,
            mid: MidBlock::load(&weights.under("mid_block"), last, config)?,
            levels,
            norm_out: GroupNorm::load(
                &weights.under("conv_norm_out"),
                first,
                config.norm_num_groups,
                NORM_EPS,
            )?,
            conv_out: Conv2d::load(
                &weights.under("conv_out"),
                Conv2dShape::same3(first, config.out_channels),
            )?,
        })
    }

    pub(crate) fn forward(
        &self,
        latent: &Tensor,
        interrupt: &Interrupt,
        observe: &mut dyn FnMut(AutoencoderStage, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let mut state = self.mid.forward(&self.conv_in.forward(latent)?, interrupt)?;
        observe(AutoencoderStage::DecoderMiddle, &state)?;
        for (index, level) in self.levels.iter().enumerate() {
            for resnet in &level.resnets {
                interrupt.check()?;
                state = resnet.forward(&state)?;
            }
            if let Some(upsampler) = &level.upsampler {
                interrupt.check()?;
                let (_, _, height, width) = state.dims4()?;
                state = upsampler.forward(&state.upsample_nearest2d(2 * height, 2 * width)?)?;
            }
            observe(AutoencoderStage::DecoderLevel(index), &state)?;
        }
        self.conv_out.forward(&self.norm_out.forward(&state)?.silu()?)
    }
}
