//! The whole network.

use candle_core::{D, DType, Device, Tensor};

use super::AudioFlagDitConfig;
use super::block::{Block, ContextKeys, modulate};
use crate::backbone::Stage;
use crate::nn::rope::RotaryTable;
use crate::nn::timestep::TimestepEmbedder;
use crate::nn::{LayerNorm, Linear};
use crate::weights::{Checkpoint, Expected, KeyMap, Weights};
use crate::{Interrupt, ModelError, Result};

/// Epsilon of the norm over the pooled context.
const CONTEXT_EPS: f64 = 1e-5;
/// Epsilon of the norm before the output.
const FINAL_EPS: f64 = 1e-6;
const THETA: f64 = 10_000.0;
/// Before every name in a checkpoint that holds backbone, autoencoder and text encoders.
const PREFIX: &str = "model.diffusion_model.";
/// Training steps, which the network counts time in.
const STEPS: f32 = 1000.0;

/// The time that the network is told at `time` of the flow (0 is noise, 1 is data): thousandths, cut to a whole number.
/// The product is rounded to f32 first, as the original does it, so that 0.29 may give 289 or 290.
pub fn model_time(time: f64) -> f64 {
    f64::from((time as f32 * STEPS).trunc())
}

/// A context with everything that does not change from step to step.
#[derive(Clone, Debug)]
pub struct PreparedContext {
    /// `[batch, hidden_size]`.
    pub(super) pooled: Tensor,
    pub(super) layers: Vec<ContextKeys>,
}

/// The Flag-DiT of Lumina's audio and music.
///
/// A pure function of latent, time and context; the velocity points from noise to data.
///
/// Source: `FlagDiTv2` of Lumina-T2X `lumina_audio/models/diffusion/flag_large_dit.py`; that of music is the same text.
#[derive(Clone, Debug)]
pub struct AudioFlagDit {
    input: Linear,
    time_embedder: TimestepEmbedder,
    context_norm: LayerNorm,
    context_embedder: Linear,
    blocks: Vec<Block>,
    final_norm: LayerNorm,
    final_modulation: Linear,
    final_linear: Linear,
    config: AudioFlagDitConfig,
}

impl AudioFlagDit {
    /// Loads a checkpoint of the network alone or of the whole system.
    ///
    /// # Errors
    /// As [`from_weights`](Self::from_weights).
    pub fn load(
        checkpoint: &Checkpoint,
        config: &AudioFlagDitConfig,
        dtype: DType,
        device: &Device,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let keys = Self::key_map(checkpoint);
        Self::from_weights(&Weights::open(checkpoint, keys, dtype, device, interrupt)?, config)
    }

    /// Loads from weights under their original names.
    ///
    /// # Errors
    /// As [`Weights::tensor`]; [`ModelError::Input`] for sizes that do not fit together.
    pub fn from_weights(weights: &Weights, config: &AudioFlagDitConfig) -> Result<Self> {
        config.check().map_err(|reason| {
            ModelError::input(
                "the config of the audio Flag-DiT",
                "sizes that fit together",
                format!("wrong ({reason})"),
            )
        })?;
        let (size, channels, context) = (config.hidden_size, config.in_channels, config.context_dim);
        let pooled = weights.under("cap_embedder");
        let last = weights.under("final_layer");
        let blocks = (0..config.depth)
            .map(|index| Block::load(&weights.under("blocks").under(index), config))
            .collect::<Result<_>>()?;
        Ok(Self {
            input: Linear::load(&weights.under("proj_in"), channels, size)?,
            time_embedder: TimestepEmbedder::load(&weights.under("t_embedder"), size)?,
            context_norm: LayerNorm::load(&pooled.under(0), context, CONTEXT_EPS)?,
            context_embedder: Linear::load(&pooled.under(1), context, size)?,
            blocks,
            final_norm: LayerNorm::plain(FINAL_EPS),
            final_modulation: Linear::load(&last.under("adaLN_modulation").under(1), size, 2 * size)?,
            final_linear: Linear::load(&last.under("linear"), size, channels)?,
            config: config.clone(),
        })
    }

    /// The tensors that a checkpoint must have.
    ///
    /// # Errors
    /// As [`from_weights`](Self::from_weights).
    pub fn expected(config: &AudioFlagDitConfig) -> Result<Expected> {
        let plan = Weights::plan();
        Self::from_weights(&plan, config)?;
        Ok(plan.planned())
    }

    /// Names with or without the prefix that they have in a checkpoint of the whole system.
    pub fn key_map(checkpoint: &Checkpoint) -> KeyMap {
        let prefixed = checkpoint.tensors().keys().any(|key| key.starts_with(PREFIX));
        if prefixed { KeyMap::with_prefix(PREFIX) } else { KeyMap::identity() }
    }

    /// Whether a stored tensor may stay unread: everything else of a checkpoint of the whole system.
    pub fn is_ignorable(checkpoint: &Checkpoint, stored: &str) -> bool {
        let prefix = Self::key_map(checkpoint).names("");
        !prefix.first().is_none_or(|prefix| stored.starts_with(prefix.as_str()))
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &AudioFlagDitConfig {
        &self.config
    }

    /// The device that its weights are on.
    pub fn device(&self) -> &Device {
        self.input.weight().device()
    }

    /// The number format of its weights.
    pub fn dtype(&self) -> DType {
        self.input.weight().dtype()
    }

    /// Makes of a context what does not change from step to step. Every token counts, padding of the text encoders
    /// as well.
    ///
    /// # Shapes
    /// `context` is `[batch, tokens, context_dim]`.
    ///
    /// # Errors
    /// [`ModelError::Input`] for another shape or no token.
    pub fn prepare(&self, context: &Tensor) -> Result<PreparedContext> {
        match context.dims() {
            [rows, tokens, channels] if *channels == self.config.context_dim && rows * tokens > 0 => {}
            found => {
                let expected = format!("[batch, tokens, {}]", self.config.context_dim);
                return Err(ModelError::input("the context", expected, format!("{found:?}")));
            }
        }
        let context = context.to_device(self.device())?;
        let mean = context.contiguous()?.to_dtype(DType::F32)?.mean(1)?.to_dtype(self.dtype())?;
        let context = context.to_dtype(self.dtype())?;
        Ok(PreparedContext {
            pooled: self.context_embedder.forward(&self.context_norm.forward(&mean)?)?,
            layers: self.blocks.iter().map(|block| block.context_keys(&context)).collect::<Result<_>>()?,
        })
    }

    /// The velocity from noise to data.
    ///
    /// # Shapes
    /// `latent` is `[batch, in_channels, frames]`; `time` has one entry or one for each latent, each as
    /// [`model_time`] gives it. The result has the shape and the number format of the latent.
    ///
    /// # Errors
    /// [`ModelError::Input`] when latent, time and context do not fit the network or each other;
    /// [`ModelError::Interrupted`].
    pub fn velocity(
        &self,
        latent: &Tensor,
        time: &[f64],
        context: &PreparedContext,
        interrupt: &Interrupt,
    ) -> Result<Tensor> {
        self.velocity_observed(latent, time, context, interrupt, &mut |_, _| Ok(()))
    }

    /// As [`velocity`](Self::velocity), and shows the state at every [`Stage`].
    ///
    /// # Errors
    /// As [`velocity`](Self::velocity), and those of `observe`.
    pub fn velocity_observed(
        &self,
        latent: &Tensor,
        time: &[f64],
        context: &PreparedContext,
        interrupt: &Interrupt,
        observe: &mut dyn FnMut(Stage, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let (batch, frames) = self.check(latent, context)?;
        let times = match time {
            [one] => vec![*one; batch],
            many if many.len() == batch => many.to_vec(),
            many => {
                let expected = format!("1 or {batch}");
                return Err(ModelError::input("the number of times", expected, many.len().to_string()));
            }
        };
        let state = latent.to_device(self.device())?.to_dtype(self.dtype())?;
        let mut tokens = self.input.forward(&state.transpose(1, 2)?.contiguous()?)?;
        let table = RotaryTable::sequence(frames, self.config.head_dim(), THETA, self.device())?;
        let conditioning = (self.time_embedder.forward(&times)? + &context.pooled)?;
        observe(Stage::PatchEmbed, &tokens)?;
        observe(Stage::Conditioning, &conditioning)?;
        // Every modulation begins with the same SiLU.
        let conditioning = conditioning.silu()?;
        for (index, (block, keys)) in self.blocks.iter().zip(&context.layers).enumerate() {
            interrupt.check()?;
            tokens = block.forward(&tokens, &conditioning, keys, &table)?;
            observe(Stage::Block(index), &tokens)?;
        }
        let size = self.config.hidden_size;
        let modulation = self.final_modulation.forward(&conditioning)?.unsqueeze(1)?;
        let (shift, scale) =
            (modulation.narrow(D::Minus1, 0, size)?, modulation.narrow(D::Minus1, size, size)?);
        let output =
            self.final_linear.forward(&modulate(&self.final_norm.forward(&tokens)?, &shift, &scale)?)?;
        Ok(output.transpose(1, 2)?.contiguous()?.to_dtype(latent.dtype())?)
    }

    /// Batch and frames of a latent that fits.
    fn check(&self, latent: &Tensor, context: &PreparedContext) -> Result<(usize, usize)> {
        let (channels, most) = (self.config.in_channels, self.config.max_len);
        let (batch, frames) = match *latent.dims() {
            [batch, found, frames] if found == channels && batch > 0 && (1..=most).contains(&frames) => {
                (batch, frames)
            }
            ref found => {
                let expected = format!("[batch, {channels}, frames] with 1 to {most} frames");
                return Err(ModelError::input("the latent", expected, format!("{found:?}")));
            }
        };
        let rows = context.pooled.dim(0)?;
        if rows != batch {
            let expected = format!("{batch}, one a latent");
            return Err(ModelError::input("the number of contexts", expected, rows.to_string()));
        }
        if context.layers.len() != self.blocks.len() {
            return Err(ModelError::input("the prepared context", "one of this network", "one of another"));
        }
        Ok((batch, frames))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_cut_and_not_rounded() {
        for (time, expected) in [(0.0, 0.0), (0.4319, 431.0), (0.9999, 999.0), (1.0, 1000.0)] {
            assert_eq!(model_time(time), expected);
        }
        assert_eq!(model_time(f64::from(0.6_f32 - f32::EPSILON)), 599.0);
    }
}
