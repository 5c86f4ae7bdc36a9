//! Flag-DiT for text: the network of Lumina-T2I.
//!
//! Source: `DiT_Llama` of Lumina-T2X `lumina_t2i/models/model.py`.

use candle_core::{DType, Device, Tensor};

use super::block::{BlockShape, BlockStyle, Feed};
use super::caption::CaptionEmbedder;
use super::sequence::Layout;
use super::trunk::{Condition, Stage, Trunk, TrunkNames};
use super::{FlagDitConfig, ForwardOptions, PreparedCaption};
use crate::text::TextFeatures;
use crate::weights::{Checkpoint, Expected, KeyMap, Weights};
use crate::{Interrupt, ModelError, Result};

/// The Flag-DiT of Lumina-T2I.
///
/// A pure function as [`NextDit`](super::NextDit) is one. Positions run along the sequence, in which a learned
/// `[nextline]` token closes every row of patches. With [`ForwardOptions::rope`], `linear` divides positions and `ntk`
/// multiplies the base; unlike the original, an evaluation does not remember those of the one before.
#[derive(Clone, Debug)]
pub struct FlagDit {
    row_end: Tensor,
    pad_token: Tensor,
    /// `[nextframe]`, for latents of several frames.
    frame_end: Option<Tensor>,
    caption: CaptionEmbedder,
    trunk: Trunk,
    config: FlagDitConfig,
}

impl FlagDit {
    /// Loads a checkpoint.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(
        checkpoint: &Checkpoint,
        config: &FlagDitConfig,
        dtype: DType,
        device: &Device,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let weights = Weights::open(checkpoint, KeyMap::identity(), dtype, device, interrupt)?;
        Self::from_weights(&weights, config)
    }

    /// Loads from weights under their canonical names.
    ///
    /// # Errors
    /// As [`Weights::tensor`]; [`ModelError::Input`] for sizes that no network has.
    pub fn from_weights(weights: &Weights, config: &FlagDitConfig) -> Result<Self> {
        config.check().map_err(|reason| ModelError::input("the config", "one of a Flag-DiT", reason))?;
        let (sizes, channels) = (config.sizes.clone(), config.cross_attention_dim);
        let size = sizes.hidden_size;
        let shape =
            BlockShape { sizes, caption: Some(channels), style: BlockStyle::Flag, feeds: vec![Feed::Dense] };
        Ok(Self {
            row_end: weights.tensor("eol_token", &[size])?,
            pad_token: weights.tensor("pad_token", &[size])?,
            frame_end: if config.frames { Some(weights.tensor("eof_token", &[size])?) } else { None },
            caption: CaptionEmbedder::load(&weights.under("cap_embedder"), &shape.sizes, channels)?,
            trunk: Trunk::load(weights, &TrunkNames::PICTURES, &shape, true)?,
            config: config.clone(),
        })
    }

    /// The tensors that a checkpoint must have.
    ///
    /// # Errors
    /// As [`from_weights`](Self::from_weights).
    pub fn expected(config: &FlagDitConfig) -> Result<Expected> {
        let plan = Weights::plan();
        Self::from_weights(&plan, config)?;
        Ok(plan.planned())
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &FlagDitConfig {
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

    /// Makes of a caption what does not change from step to step.
    ///
    /// # Errors
    /// As [`NextDit::prepare`](super::NextDit::prepare).
    pub fn prepare(&self, caption: &TextFeatures) -> Result<PreparedCaption> {
        self.caption.prepare(caption, &self.trunk.blocks)
    }

    /// The raw output of the network.
    ///
    /// # Shapes
    /// `latent` is `[batch, in_channels, height, width]`, `time` has one entry or one for each latent; the result is
    /// `[batch, out_channels, height, width]` in the number format of the latent.
    ///
    /// # Errors
    /// [`ModelError::Input`] when latent, time and caption do not fit the network or each other;
    /// [`ModelError::Interrupted`].
    pub fn forward(
        &self,
        latent: &Tensor,
        time: &[f64],
        caption: &PreparedCaption,
        options: &ForwardOptions,
    ) -> Result<Tensor> {
        self.forward_observed(latent, time, caption, options, &mut |_, _| Ok(()))
    }

    /// The velocity from noise to data: the first `in_channels` channels of [`forward`](Self::forward).
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn velocity(
        &self,
        latent: &Tensor,
        time: &[f64],
        caption: &PreparedCaption,
        options: &ForwardOptions,
    ) -> Result<Tensor> {
        self.trunk.velocity(&self.forward(latent, time, caption, options)?)
    }

    /// As [`forward`](Self::forward), and shows the state at every [`Stage`].
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and those of `observe`.
    pub fn forward_observed(
        &self,
        latent: &Tensor,
        time: &[f64],
        caption: &PreparedCaption,
        options: &ForwardOptions,
        observe: &mut dyn FnMut(Stage, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let condition = Condition { pooled: &caption.pooled, caption: Some(caption) };
        self.trunk.forward(latent, time, &condition, self.layout(), options, observe)
    }

    /// As [`forward_observed`](Self::forward_observed), for latents of different sizes.
    ///
    /// # Shapes
    /// Each latent is `[in_channels, height, width]`, each result `[out_channels, height, width]`.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and those of `observe`.
    pub fn forward_list_observed(
        &self,
        latents: &[Tensor],
        time: &[f64],
        caption: &PreparedCaption,
        options: &ForwardOptions,
        observe: &mut dyn FnMut(Stage, &Tensor) -> Result<()>,
    ) -> Result<Vec<Tensor>> {
        let condition = Condition { pooled: &caption.pooled, caption: Some(caption) };
        let layout = (self.layout(), &self.pad_token);
        self.trunk.forward_list(latents, time, &condition, layout, options, observe)
    }

    /// As [`forward_list_observed`](Self::forward_list_observed), without showing anything.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_list(
        &self,
        latents: &[Tensor],
        time: &[f64],
        caption: &PreparedCaption,
        options: &ForwardOptions,
    ) -> Result<Vec<Tensor>> {
        self.forward_list_observed(latents, time, caption, options, &mut |_, _| Ok(()))
    }

    /// As [`forward_observed`](Self::forward_observed), for latents of several frames, each of which a `[nextframe]`
    /// token closes.
    ///
    /// A placeholder: the papers describe it (arXiv 2405.05945), but neither weights nor code were published, and
    /// there is no reference to compare with.
    ///
    /// # Shapes
    /// `latent` is `[batch, in_channels, frames, height, width]`, the result `[batch, out_channels, frames, height,
    /// width]`.
    ///
    /// # Errors
    /// As [`forward`](Self::forward); [`ModelError::Input`] when the network was loaded without a `[nextframe]` token.
    pub fn forward_frames(
        &self,
        latent: &Tensor,
        time: &[f64],
        caption: &PreparedCaption,
        options: &ForwardOptions,
        observe: &mut dyn FnMut(Stage, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let Some(frame_end) = &self.frame_end else {
            let found = "one of single pictures";
            return Err(ModelError::input("the network", "one with a `[nextframe]` token", found));
        };
        let condition = Condition { pooled: &caption.pooled, caption: Some(caption) };
        let layout = Layout::Line { row_end: Some(&self.row_end), frame_end: Some(frame_end) };
        self.trunk.forward_frames(latent, time, &condition, layout, options, observe)
    }

    fn layout(&self) -> Layout<'_> {
        Layout::Line { row_end: Some(&self.row_end), frame_end: None }
    }
}
