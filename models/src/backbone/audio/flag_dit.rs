//! The whole network: that of Lumina-T2I without its norms of queries and keys, over a line of latent frames.

use candle_core::{DType, Device, Tensor};

use super::AudioFlagDitConfig;
use crate::backbone::block::{BlockShape, BlockStyle, Feed};
use crate::backbone::caption::CaptionEmbedder;
use crate::backbone::sequence::Layout;
use crate::backbone::trunk::{Condition, Trunk, TrunkNames};
use crate::backbone::{ForwardOptions, PreparedCaption, Stage};
use crate::text::TextFeatures;
use crate::weights::{Checkpoint, Expected, KeyMap, Weights};
use crate::{Interrupt, ModelError, Result};

/// Where its names differ from those of the other networks.
const NAMES: TrunkNames = TrunkNames { embedder: "proj_in", blocks: "blocks" };
/// Before every name in a checkpoint that holds backbone, autoencoder and text encoders.
const PREFIX: &str = "model.diffusion_model.";
/// Training steps, which the network counts time in.
const STEPS: f32 = 1000.0;

/// The time that the network is told at `time` of the flow (0 is noise, 1 is data): thousandths, cut to a whole number.
/// The product is rounded to f32 first, as the original does it, so that 0.29 may give 289 or 290.
pub fn model_time(time: f64) -> f64 {
    f64::from((time as f32 * STEPS).trunc())
}

/// The Flag-DiT of Lumina's audio and music.
///
/// A pure function of latent, time and context; the velocity points from noise to data.
///
/// Source: `FlagDiTv2` of Lumina-T2X `lumina_audio/models/diffusion/flag_large_dit.py`; that of music is the same text.
#[derive(Clone, Debug)]
pub struct AudioFlagDit {
    context: CaptionEmbedder,
    trunk: Trunk,
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
        let (sizes, channels) = (config.sizes(), config.context_dim);
        let context = CaptionEmbedder::load(&weights.under("cap_embedder"), &sizes, channels)?;
        let (style, feeds) = (BlockStyle::Flag, vec![Feed::Dense]);
        let shape = BlockShape { sizes, caption: Some(channels), style, feeds };
        Ok(Self { context, trunk: Trunk::load(weights, &NAMES, &shape, true)?, config: config.clone() })
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
        self.trunk.device()
    }

    /// The number format of its weights.
    pub fn dtype(&self) -> DType {
        self.trunk.dtype()
    }

    /// Makes of a context what does not change from step to step. Every token counts, padding of the text encoders
    /// as well.
    ///
    /// # Shapes
    /// `context` is `[batch, tokens, context_dim]`.
    ///
    /// # Errors
    /// [`ModelError::Input`] for another shape or no token.
    pub fn prepare(&self, context: &Tensor) -> Result<PreparedCaption> {
        match context.dims() {
            [rows, tokens, channels] if *channels == self.config.context_dim && rows * tokens > 0 => {}
            found => {
                let expected = format!("[batch, tokens, {}]", self.config.context_dim);
                return Err(ModelError::input("the context", expected, format!("{found:?}")));
            }
        }
        let every = Tensor::ones(context.dims().get(..2).unwrap_or(&[]), DType::U32, context.device())?;
        self.context.prepare(&TextFeatures::new(context.clone(), &every)?, &self.trunk.blocks)
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
        context: &PreparedCaption,
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
        context: &PreparedCaption,
        interrupt: &Interrupt,
        observe: &mut dyn FnMut(Stage, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        self.check(latent)?;
        let condition = Condition { pooled: &context.pooled, caption: Some(context) };
        let options = ForwardOptions { interrupt: interrupt.clone(), ..ForwardOptions::default() };
        // A line is a picture of one row, whose end no token marks.
        let layout = Layout::Line { row_end: None, frame_end: None };
        let row = latent.unsqueeze(2)?;
        Ok(self.trunk.forward(&row, time, &condition, layout, &options, observe)?.squeeze(2)?)
    }

    fn check(&self, latent: &Tensor) -> Result<()> {
        let (channels, most) = (self.config.in_channels, self.config.max_len);
        match *latent.dims() {
            [batch, found, frames] if found == channels && batch > 0 && (1..=most).contains(&frames) => {
                Ok(())
            }
            ref found => {
                let expected = format!("[batch, {channels}, frames] with 1 to {most} frames");
                Err(ModelError::input("the latent", expected, format!("{found:?}")))
            }
        }
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
