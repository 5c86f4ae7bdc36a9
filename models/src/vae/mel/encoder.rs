//! From mel bands to the moments of a latent.
//!
//! Source: `Encoder1D` of Lumina-T2X `lumina_audio/models/autoencoder1d.py`.

use candle_core::Tensor;

use super::blocks::{FrameNorm, MidBlock, ResidualBlock, conv};
use super::{MelAutoencoderConfig, MelStage};
use crate::nn::{Conv1d, Conv1dShape};
use crate::weights::Weights;
use crate::{Interrupt, Result};

#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    conv_in: Conv1d,
    levels: Vec<DownLevel>,
    mid: MidBlock,
    norm_out: FrameNorm,
    conv_out: Conv1d,
}

#[derive(Clone, Debug)]
struct DownLevel {
    blocks: Vec<ResidualBlock>,
    downsampler: Option<Conv1d>,
}

impl Encoder {
    pub(crate) fn load(weights: &Weights, config: &MelAutoencoderConfig) -> Result<Self> {
        let kernel = config.kernel_size;
        let mut inputs = config.ch;
        let mut levels = Vec::with_capacity(config.ch_mult.len());
        for (index, outputs) in config.channels().into_iter().enumerate() {
            let level = weights.under("down").under(index);
            let blocks = (0..config.num_res_blocks)
                .map(|block| {
                    let inputs = if block == 0 { inputs } else { outputs };
                    ResidualBlock::load(&level.under("block").under(block), inputs, outputs, kernel)
                })
                .collect::<Result<_>>()?;
            let shape =
                Conv1dShape { inputs: outputs, outputs, kernel: 3, stride: 2, dilation: 1, padding: 0 };
            let downsampler = config
                .down_layers
                .contains(&index)
                .then(|| conv(&level.under("downsample").under("conv"), shape));
            levels.push(DownLevel { blocks, downsampler: downsampler.transpose()? });
            inputs = outputs;
        }
        let latent = 2 * config.z_channels;
        Ok(Self {
            conv_in: conv(
                &weights.under("conv_in"),
                Conv1dShape::same(config.in_channels, config.ch, kernel),
            )?,
            levels,
            mid: MidBlock::load(&weights.under("mid"), inputs, kernel)?,
            norm_out: FrameNorm::load(&weights.under("norm_out"), inputs)?,
            conv_out: conv(&weights.under("conv_out"), Conv1dShape::same(inputs, latent, kernel))?,
        })
    }

    pub(crate) fn forward(
        &self,
        mel: &Tensor,
        interrupt: &Interrupt,
        observe: &mut dyn FnMut(MelStage, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let mut state = self.conv_in.forward(mel)?;
        observe(MelStage::EncoderInput, &state)?;
        for level in &self.levels {
            for block in &level.blocks {
                interrupt.check()?;
                state = block.forward(&state)?;
            }
            if let Some(downsampler) = &level.downsampler {
                // One frame at the end only.
                state = downsampler.forward(&state.pad_with_zeros(2, 0, 1)?)?;
            }
        }
        let state =
            self.mid.forward(&state, interrupt, &mut |seen| observe(MelStage::EncoderMiddle, seen))?;
        self.conv_out.forward(&self.norm_out.activated(&state)?)
    }
}
