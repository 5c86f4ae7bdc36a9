//! The whole network.

use candle_core::{DType, Device, Tensor};

use super::blocks::ResidualBlock;
use super::{BigVganConfig, Snake, SnakeOptions};
use crate::nn::{Conv1d, Conv1dShape, ConvTranspose1d, WeightForm};
use crate::weights::{Checkpoint, Expected, KeyMap, Weights};
use crate::{Interrupt, ModelError, Result};

/// Kernel of the first and the last convolution.
const END_KERNEL: usize = 7;
/// Before every name where the training state was stored as it is.
const PREFIX: &str = "generator.";

/// A point inside the network at which [`BigVgan::forward_observed`] shows its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VocoderStage {
    /// After the first convolution.
    Input,
    /// After the transposed convolution of a stage.
    Upsampled(usize),
    /// After the first activation of a residual block.
    Activation(usize),
    /// After a residual block.
    Residual(usize),
    /// Before the last tanh.
    Output,
}

/// BigVGAN: mel spectrograms to sound.
///
/// It computes in f32 whatever is asked for: its activations multiply by factors that are stored as logarithms.
///
/// Source: `BigVGAN` of Lumina-T2X `lumina_audio/models/vocoder/bigvgan/models.py`.
#[derive(Clone, Debug)]
pub struct BigVgan {
    conv_pre: Conv1d,
    stages: Vec<Stage>,
    activation_post: Snake,
    conv_post: Conv1d,
    config: BigVganConfig,
    device: Device,
}

/// A longer sequence, and the mean of parallel residual blocks over it.
#[derive(Clone, Debug)]
struct Stage {
    upsampler: ConvTranspose1d,
    blocks: Vec<ResidualBlock>,
}

impl BigVgan {
    /// Loads a checkpoint in any form that [`form`](Self::form) and [`key_map`](Self::key_map) know.
    ///
    /// # Errors
    /// As [`from_weights`](Self::from_weights).
    pub fn load(
        checkpoint: &Checkpoint,
        config: &BigVganConfig,
        device: &Device,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let weights = Weights::open(checkpoint, Self::key_map(checkpoint), DType::F32, device, interrupt)?;
        Self::from_weights(&weights, config, Self::form(checkpoint))
    }

    /// Loads from weights under their original names.
    ///
    /// # Errors
    /// As [`Weights::tensor`]; [`ModelError::Input`] for sizes that do not fit together.
    pub fn from_weights(weights: &Weights, config: &BigVganConfig, form: WeightForm) -> Result<Self> {
        config.check().map_err(|reason| {
            ModelError::input(
                "the config of the vocoder",
                "sizes that fit together",
                format!("wrong ({reason})"),
            )
        })?;
        let weights = &weights.with_dtype(DType::F32);
        let first = config.upsample_initial_channel;
        let rates = config.upsample_rates.iter().zip(&config.upsample_kernel_sizes).enumerate();
        let stages = rates
            .map(|(index, (&rate, &kernel))| Stage::load(weights, index, (rate, kernel), config, form))
            .collect::<Result<Vec<_>>>()?;
        let last = config.channels(stages.len().saturating_sub(1));
        let options = SnakeOptions { kind: config.activation, logscale: config.snake_logscale };
        let end = |name: &str, inputs: usize, outputs: usize| {
            Conv1d::load(&weights.under(name), Conv1dShape::same(inputs, outputs, END_KERNEL), form)
        };
        Ok(Self {
            conv_pre: end("conv_pre", config.num_mels, first)?,
            stages,
            activation_post: Snake::load(&weights.under("activation_post"), last, options)?,
            conv_post: end("conv_post", last, 1)?,
            config: config.clone(),
            device: weights.device().clone(),
        })
    }

    /// The tensors that a checkpoint must have; filters that are missing are computed.
    ///
    /// # Errors
    /// As [`from_weights`](Self::from_weights).
    pub fn expected(config: &BigVganConfig, form: WeightForm) -> Result<Expected> {
        let plan = Weights::plan();
        Self::from_weights(&plan, config, form)?;
        Ok(plan.planned())
    }

    /// How the weights are stored: as trained, or with the weight norm already removed.
    pub fn form(checkpoint: &Checkpoint) -> WeightForm {
        let map = Self::key_map(checkpoint);
        let plain = map.resolve("conv_pre.weight", checkpoint).is_some();
        if plain { WeightForm::Plain } else { WeightForm::Normed }
    }

    /// The original names, with or without `generator.` before them, and the names that newer versions of torch give
    /// to the two parts of a normed weight.
    pub fn key_map(checkpoint: &Checkpoint) -> KeyMap {
        let prefixed = checkpoint.tensors().keys().any(|key| key.starts_with(PREFIX));
        let prefix = if prefixed { PREFIX } else { "" };
        KeyMap::new(move |name| {
            let original = format!("{prefix}{name}");
            let newer =
                [("weight_g", "original0"), ("weight_v", "original1")].iter().find_map(|(old, new)| {
                    let base = original.strip_suffix(old)?;
                    Some(format!("{base}parametrizations.weight.{new}"))
                });
            std::iter::once(original.clone()).chain(newer).collect()
        })
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &BigVganConfig {
        &self.config
    }

    /// # Shapes
    /// `mel` is `[batch, num_mels, frames]`, the sound `[batch, 1, frames * hop]` with values -1..1, in f32.
    ///
    /// # Errors
    /// [`ModelError::Input`] for a wrong shape, [`ModelError::Interrupted`].
    pub fn forward(&self, mel: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
        self.forward_observed(mel, interrupt, &mut |_, _| Ok(()))
    }

    /// As [`forward`](Self::forward), and shows the state at every [`VocoderStage`].
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and those of `observe`.
    pub fn forward_observed(
        &self,
        mel: &Tensor,
        interrupt: &Interrupt,
        observe: &mut dyn FnMut(VocoderStage, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        match mel.dims() {
            [batch, bands, frames] if *bands == self.config.num_mels && batch * frames > 0 => {}
            found => {
                let expected = format!("[batch, {}, frames]", self.config.num_mels);
                return Err(ModelError::input("the mel spectrogram", expected, format!("{found:?}")));
            }
        }
        let mut state = self.conv_pre.forward(&mel.to_device(&self.device)?.to_dtype(DType::F32)?)?;
        observe(VocoderStage::Input, &state)?;
        for (index, stage) in self.stages.iter().enumerate() {
            interrupt.check()?;
            state = stage.forward(&state, index, interrupt, observe)?;
        }
        let output = self.conv_post.forward(&self.activation_post.forward(&state)?)?;
        observe(VocoderStage::Output, &output)?;
        Ok(output.tanh()?)
    }
}

impl Stage {
    fn load(
        weights: &Weights,
        index: usize,
        (rate, kernel): (usize, usize),
        config: &BigVganConfig,
        form: WeightForm,
    ) -> Result<Self> {
        let outputs = config.channels(index);
        let padding = (kernel - rate) / 2;
        let shape = Conv1dShape { inputs: 2 * outputs, outputs, kernel, stride: rate, dilation: 1, padding };
        let count = config.resblock_kernel_sizes.len();
        let blocks = config.resblock_kernel_sizes.iter().zip(&config.resblock_dilation_sizes).enumerate();
        let blocks = blocks.map(|(block, (&kernel, dilations))| {
            let weights = weights.under("resblocks").under(index * count + block);
            ResidualBlock::load(&weights, outputs, (kernel, dilations), config, form)
        });
        Ok(Self {
            upsampler: ConvTranspose1d::load(&weights.under("ups").under(index).under(0), shape, form)?,
            blocks: blocks.collect::<Result<_>>()?,
        })
    }

    fn forward(
        &self,
        input: &Tensor,
        index: usize,
        interrupt: &Interrupt,
        observe: &mut dyn FnMut(VocoderStage, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let state = self.upsampler.forward(input)?;
        observe(VocoderStage::Upsampled(index), &state)?;
        let mut sum: Option<Tensor> = None;
        for (block, residual) in self.blocks.iter().enumerate() {
            let place = index * self.blocks.len() + block;
            let activation = &mut |seen: &Tensor| observe(VocoderStage::Activation(place), seen);
            let output = residual.forward(&state, interrupt, activation)?;
            observe(VocoderStage::Residual(place), &output)?;
            sum = Some(match sum {
                Some(sum) => (sum + output)?,
                None => output,
            });
        }
        Ok((sum.unwrap_or(state) / self.blocks.len().max(1) as f64)?)
    }
}
