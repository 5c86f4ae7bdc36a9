//! From a latent to mel bands.
//!
//! Source: `Decoder1D` of Lumina-T2X `lumina_audio/models/autoencoder1d.py`.

use candle_core::Tensor;

use super::blocks::{FrameNorm, MidBlock, ResidualBlock, conv};
use super::{MelAutoencoderConfig, MelStage};
use crate::nn::{Conv1d, Conv1dShape};
use crate::weights::Weights;
use crate::{Interrupt, Result};

/// Kernel of all but the first and the last convolution, whatever the config says.
const KERNEL: usize = 3;

#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    conv_in: Conv1d,
    mid: MidBlock,
    /// From the shortest up.
    levels: Vec<UpLevel>,
    norm_out: FrameNorm,
    conv_out: Conv1d,
}

#[derive(Clone, Debug)]
struct UpLevel {
    index: usize,
    blocks: Vec<ResidualBlock>,
    upsampler: Option<Conv1d>,
}

impl Decoder {
    pub(crate) fn load(weights: &Weights, config: &MelAutoencoderConfig) -> Result<Self> {
        let last = config.channels().last().copied().unwrap_or(1);
        let mut inputs = last;
        let mut levels = Vec::with_capacity(config.ch_mult.len());
        for (index, outputs) in config.channels().into_iter().enumerate().rev() {
            let level = weights.under("up").under(index);
            let blocks = (0..=config.num_res_blocks)
                .map(|block| {
                    let inputs = if block == 0 { inputs } else { outputs };
                    ResidualBlock::load(&level.under("block").under(block), inputs, outputs, KERNEL)
                })
                .collect::<Result<_>>()?;
            // What was halved after a level is doubled before it, and so at the end of the next shorter one.
            let doubles = config.down_layers.iter().any(|down| down + 1 == index);
            let shape = Conv1dShape::same(outputs, outputs, KERNEL);
            let upsampler = doubles.then(|| conv(&level.under("upsample").under("conv"), shape));
            levels.push(UpLevel { index, blocks, upsampler: upsampler.transpose()? });
            inputs = outputs;
        }
        Ok(Self {
            conv_in: conv(
                &weights.under("conv_in"),
                Conv1dShape::same(config.z_channels, last, config.kernel_size),
            )?,
            mid: MidBlock::load(&weights.under("mid"), last, KERNEL)?,
            levels,
            norm_out: FrameNorm::load(&weights.under("norm_out"), inputs)?,
            conv_out: conv(
                &weights.under("conv_out"),
                Conv1dShape::same(inputs, config.out_ch, config.kernel_size),
            )?,
        })
    }

    pub(crate) fn forward(
        &self,
        latent: &Tensor,
        interrupt: &Interrupt,
        observe: &mut dyn FnMut(MelStage, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let state = self.conv_in.forward(latent)?;
        let middle = &mut |seen: &Tensor| observe(MelStage::DecoderMiddle, seen);
        let mut state = self.mid.forward(&state, interrupt, middle)?;
        for level in &self.levels {
            for block in &level.blocks {
                interrupt.check()?;
                state = block.forward(&state)?;
            }
            if let Some(upsampler) = &level.upsampler {
                interrupt.check()?;
                // As a picture of one row: candle doubles a sequence on the CPU only.
                let (_, _, frames) = state.dims3()?;
                let doubled = state.unsqueeze(2)?.upsample_nearest2d(1, 2 * frames)?.squeeze(2)?;
                state = upsampler.forward(&doubled)?;
            }
            observe(MelStage::DecoderLevel(level.index), &state)?;
        }
        self.conv_out.forward(&self.norm_out.activated(&state)?)
    }
}
