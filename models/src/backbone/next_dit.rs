//! Next-DiT for text.
//!
//! Source: `NextDiT` of Lumina-T2X `lumina_next_t2i/models/model.py`; `LuminaNextDiT2DModel` of diffusers is the same
//! network under other names, that of `lumina_next_t2i_mini` and `lumina_next_compositional_generation` under the same.

use candle_core::{DType, Device, Tensor};

use super::block::{BlockShape, BlockStyle, Feed};
use super::caption::CaptionEmbedder;
use super::options::AttentionGrowth;
use super::region::{Region, Regions};
use super::sequence::Layout;
use super::trunk::{Condition, Stage, Trunk, TrunkNames};
use super::{Dialect, ForwardOptions, NextDitConfig, PreparedCaption};
use crate::text::TextFeatures;
use crate::weights::{Checkpoint, Expected, Weights};
use crate::{Interrupt, ModelError, Result};

/// The Next-DiT of Lumina-Next.
///
/// A pure function of latent, time and caption: time 0 is noise, time 1 is data, and the velocity points from noise to
/// data.
#[derive(Clone, Debug)]
pub struct NextDit {
    caption: CaptionEmbedder,
    pad_token: Tensor,
    trunk: Trunk,
    config: NextDitConfig,
}

impl NextDit {
    /// Loads a checkpoint in any [`Dialect`].
    ///
    /// # Errors
    /// As [`Dialect::detect`] and [`Weights::tensor`].
    pub fn load(
        checkpoint: &Checkpoint,
        config: &NextDitConfig,
        dtype: DType,
        device: &Device,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let keys = Dialect::detect(checkpoint)?.key_map();
        Self::from_weights(&Weights::open(checkpoint, keys, dtype, device, interrupt)?, config)
    }

    /// Loads from weights under their canonical names.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn from_weights(weights: &Weights, config: &NextDitConfig) -> Result<Self> {
        let sizes = config.sizes();
        let channels = config.cross_attention_dim;
        let shape = BlockShape {
            sizes: sizes.clone(),
            caption: Some(channels),
            style: BlockStyle::Next,
            feeds: vec![Feed::Dense],
        };
        Ok(Self {
            caption: CaptionEmbedder::load(&weights.under("cap_embedder"), &sizes, channels)?,
            pad_token: weights.tensor("pad_token", &[sizes.hidden_size])?,
            trunk: Trunk::load(weights, &TrunkNames::PICTURES, &shape, false)?,
            config: config.clone(),
        })
    }

    /// The tensors that a checkpoint must have, by canonical name.
    ///
    /// # Errors
    /// [`ModelError::Candle`] when memory runs out.
    pub fn expected(config: &NextDitConfig) -> Result<Expected> {
        let plan = Weights::plan();
        Self::from_weights(&plan, config)?;
        Ok(plan.planned())
    }

    /// The same network with another rule for proportional attention.
    #[must_use]
    pub fn with_attention_growth(mut self, growth: AttentionGrowth) -> Self {
        self.trunk.growth = growth;
        self
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &NextDitConfig {
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
    /// [`ModelError::Input`] when the features have other channels than the network reads, or when all tokens of a
    /// prompt are masked (its mean would be 0 / 0).
    pub fn prepare(&self, caption: &TextFeatures) -> Result<PreparedCaption> {
        self.caption.prepare(caption, &self.trunk.blocks)
    }

    /// As [`prepare`](Self::prepare), for captions that are each read by a part of the picture only; `global` alone is
    /// pooled into the conditioning vector, for all latents.
    ///
    /// What a token reads is the sum over the captions of its latent, each times its weight there; a token without a
    /// caption reads nothing. A guided evaluation has latent 0 with its regions and latent 1 with the
    /// unconditional caption on all of it.
    ///
    /// Source: `forward_with_cfg` and `Attention.forward` of Lumina-T2X
    /// `lumina_next_compositional_generation/models/model.py`.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare); [`ModelError::Input`] when there is not one region for each caption, or the
    /// regions do not fit each other.
    pub fn prepare_regions(
        &self,
        captions: &TextFeatures,
        global: &TextFeatures,
        regions: &[Region],
    ) -> Result<PreparedCaption> {
        let count = captions.features.dims().first().copied().unwrap_or(0);
        if regions.len() != count {
            let expected = format!("{count}, one a caption");
            return Err(ModelError::input("the number of regions", expected, regions.len().to_string()));
        }
        let (regions, batch) = Regions::new(regions, self.device())?;
        let (layers, mask) = self.caption.keys(captions, &self.trunk.blocks)?;
        let pooled = self.caption.pool(global)?;
        if pooled.dim(0)? != 1 {
            let found = pooled.dim(0)?.to_string();
            return Err(ModelError::input("the number of global captions", "1", found));
        }
        Ok(PreparedCaption { pooled: pooled.repeat((batch, 1))?, layers, mask, regions: Some(regions) })
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
        self.trunk.forward(latent, time, &condition, Layout::Grid, options, observe)
    }

    /// As [`forward`](Self::forward), for latents of different sizes.
    ///
    /// # Shapes
    /// Each latent is `[in_channels, height, width]`, each result `[out_channels, height, width]`.
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

    /// As [`forward_list`](Self::forward_list), and shows the state at every [`Stage`].
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
        let layout = (Layout::Grid, &self.pad_token);
        self.trunk.forward_list(latents, time, &condition, layout, options, observe)
    }

    /// As [`forward_observed`](Self::forward_observed), for latents of several frames, with positions in three axes as
    /// [`frames_table`](super::frames_table) has them.
    ///
    /// The paper describes it (arXiv 2406.18583), but neither weights nor code were published: there is no reference to
    /// compare with, and weights for pictures make no sense here, not even for one frame.
    ///
    /// # Shapes
    /// `latent` is `[batch, in_channels, frames, height, width]`, the result `[batch, out_channels, frames, height,
    /// width]`.
    ///
    /// # Errors
    /// As [`forward`](Self::forward); [`ModelError::Input`] when 6 does not divide the channels of a head.
    pub fn forward_frames(
        &self,
        latent: &Tensor,
        time: &[f64],
        caption: &PreparedCaption,
        options: &ForwardOptions,
        observe: &mut dyn FnMut(Stage, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let condition = Condition { pooled: &caption.pooled, caption: Some(caption) };
        self.trunk.forward_frames(latent, time, &condition, Layout::Frames, options, observe)
    }
}
