//! The whole network.
//!
//! Source: `NextDiT` of Lumina-T2X `lumina_next_t2i/models/model.py`; `LuminaNextDiT2DModel` of diffusers is the same
//! network under other names.

use candle_core::{DType, Device, Tensor};

use super::block::{Block, BlockContext};
use super::sequence::Sequence;
use super::{Dialect, ForwardOptions, NextDitConfig, PreparedCaption, unpatchify};
use crate::nn::timestep::TimestepEmbedder;
use crate::nn::{AttentionMask, LayerNorm, Linear};
use crate::text::TextFeatures;
use crate::weights::{Checkpoint, Expected, Weights};
use crate::{Interrupt, ModelError, Result};

/// Epsilon of the norm over the pooled caption.
const CAPTION_EPS: f64 = 1e-5;
/// Epsilon of the norm before the output.
const FINAL_EPS: f64 = 1e-6;

/// A point inside the network at which [`NextDit::forward_observed`] shows its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Tokens before the first block, `[batch, tokens, hidden_size]`.
    PatchEmbed,
    /// The conditioning vector before its SiLU, `[batch, conditioning_size]`.
    Conditioning,
    /// Tokens after a block, `[batch, tokens, hidden_size]`.
    Block(usize),
}

/// The Next-DiT of Lumina-Next.
///
/// A pure function of latent, time and caption: time 0 is noise, time 1 is data, and the velocity points from noise to
/// data.
#[derive(Clone, Debug)]
pub struct NextDit {
    patch_embedder: Linear,
    time_embedder: TimestepEmbedder,
    caption_norm: LayerNorm,
    caption_embedder: Linear,
    pad_token: Tensor,
    blocks: Vec<Block>,
    final_norm: LayerNorm,
    final_modulation: Linear,
    final_linear: Linear,
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
        let (size, conditioning) = (config.hidden_size, config.conditioning_size());
        let area = config.patch_size * config.patch_size;
        let caption = weights.under("cap_embedder");
        let last = weights.under("final_layer");
        let blocks = (0..config.num_layers)
            .map(|layer| Block::load(&weights.under("layers").under(layer), config))
            .collect::<Result<_>>()?;
        Ok(Self {
            patch_embedder: Linear::load(&weights.under("x_embedder"), area * config.in_channels, size)?,
            time_embedder: TimestepEmbedder::load(&weights.under("t_embedder"), conditioning)?,
            caption_norm: LayerNorm::load(&caption.under(0), config.cross_attention_dim, CAPTION_EPS)?,
            caption_embedder: Linear::load(&caption.under(1), config.cross_attention_dim, conditioning)?,
            pad_token: weights.tensor("pad_token", &[size])?,
            blocks,
            final_norm: LayerNorm::plain(FINAL_EPS),
            final_modulation: Linear::load(&last.under("adaLN_modulation").under(1), conditioning, size)?,
            final_linear: Linear::load(&last.under("linear"), size, area * config.out_channels())?,
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

    /// The configuration it was loaded with.
    pub fn config(&self) -> &NextDitConfig {
        &self.config
    }

    /// The device that its weights are on.
    pub fn device(&self) -> &Device {
        self.pad_token.device()
    }

    /// The number format of its weights.
    pub fn dtype(&self) -> DType {
        self.pad_token.dtype()
    }

    /// Makes of a caption what does not change from step to step.
    ///
    /// # Errors
    /// [`ModelError::Input`] when the features have other channels than the network reads, or when all tokens of a
    /// prompt are masked (its mean would be 0 / 0).
    pub fn prepare(&self, caption: &TextFeatures) -> Result<PreparedCaption> {
        let expected = self.config.cross_attention_dim;
        match caption.features.dims() {
            [rows, tokens, channels]
                if *rows > 0 && *channels == expected && caption.mask.dims() == [*rows, *tokens] => {}
            found => {
                let expected = format!("[batch, tokens, {expected}] with a mask [batch, tokens]");
                return Err(ModelError::input("the caption", expected, format!("{found:?}")));
            }
        }
        let rows = caption.mask.to_dtype(DType::U32)?.to_vec2::<u32>()?;
        if let Some(row) = rows.iter().position(|row| row.iter().all(|&seen| seen == 0)) {
            let what = format!("the mask of caption {row}");
            return Err(ModelError::input(what, "at least one token that is not masked", "all masked"));
        }
        let features = caption.features.to_device(self.device())?;
        let mask = caption.mask.to_device(self.device())?.to_dtype(DType::F32)?.unsqueeze(2)?;
        let sum = features.to_dtype(DType::F32)?.broadcast_mul(&mask)?.sum(1)?;
        // The mean is of the raw features; those that attention reads are normed in each block.
        let mean = sum.broadcast_div(&mask.sum(1)?)?.to_dtype(self.dtype())?;
        let features = features.to_dtype(self.dtype())?;
        Ok(PreparedCaption {
            pooled: self.caption_embedder.forward(&self.caption_norm.forward(&mean)?)?,
            layers: self.blocks.iter().map(|block| block.caption_keys(&features)).collect::<Result<_>>()?,
            mask: AttentionMask::keys(&rows, self.device())?,
        })
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
        let output = self.forward(latent, time, caption, options)?;
        Ok(output.narrow(1, 0, self.config.in_channels)?.contiguous()?)
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
        let state = latent.to_device(self.device())?.to_dtype(self.dtype())?;
        let sequence = Sequence::of_batch(&state, &self.patch_embedder, &self.config, options.rope)?;
        let output = self.run(&sequence, time, caption, options, observe)?;
        let grid = sequence.grids.first().copied().unwrap_or_default();
        Ok(unpatchify(&output, grid, self.config.patch_size)?.to_dtype(latent.dtype())?)
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
        let states = latents
            .iter()
            .map(|latent| latent.to_device(self.device())?.to_dtype(self.dtype()))
            .collect::<candle_core::Result<Vec<_>>>()?;
        if states.is_empty() {
            return Ok(Vec::new());
        }
        let (embedder, config) = (&self.patch_embedder, &self.config);
        let sequence = Sequence::of_list(&states, embedder, &self.pad_token, config, options.rope)?;
        let output = self.run(&sequence, time, caption, options, &mut |_, _| Ok(()))?;
        let mut results = Vec::with_capacity(latents.len());
        for (row, (latent, grid)) in latents.iter().zip(&sequence.grids).enumerate() {
            let tokens = output.narrow(0, row, 1)?.narrow(1, 0, grid.0 * grid.1)?;
            let result = unpatchify(&tokens, *grid, self.config.patch_size)?;
            results.push(result.squeeze(0)?.to_dtype(latent.dtype())?);
        }
        Ok(results)
    }

    fn run(
        &self,
        sequence: &Sequence,
        time: &[f64],
        caption: &PreparedCaption,
        options: &ForwardOptions,
        observe: &mut dyn FnMut(Stage, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let (batch, length, _) = sequence.tokens.dims3()?;
        if caption.batch() != batch {
            let found = caption.batch().to_string();
            return Err(ModelError::input("the number of captions", format!("{batch}, one a latent"), found));
        }
        if caption.layers.len() != self.blocks.len() {
            return Err(ModelError::input("the prepared caption", "one of this network", "one of another"));
        }
        let times = match time {
            [one] => vec![*one; batch],
            many if many.len() == batch => many.to_vec(),
            many => {
                let expected = format!("1 or {batch}");
                return Err(ModelError::input("the number of times", expected, many.len().to_string()));
            }
        };
        let scale = options.attention_scale(length, self.config.head_dim())?;
        let context = BlockContext {
            table: &sequence.table,
            mask: sequence.mask.as_ref(),
            caption_mask: &caption.mask,
            scale,
        };
        let conditioning = (self.time_embedder.forward(&times)? + &caption.pooled)?;
        observe(Stage::PatchEmbed, &sequence.tokens)?;
        observe(Stage::Conditioning, &conditioning)?;
        // Every modulation begins with the same SiLU.
        let conditioning = conditioning.silu()?;
        let mut tokens = sequence.tokens.clone();
        for (index, (block, keys)) in self.blocks.iter().zip(&caption.layers).enumerate() {
            options.interrupt.check()?;
            tokens = block.forward(&tokens, &conditioning, keys, &context)?;
            observe(Stage::Block(index), &tokens)?;
        }
        let scale = (self.final_modulation.forward(&conditioning)?.unsqueeze(1)? + 1.0)?;
        self.final_linear.forward(&self.final_norm.forward(&tokens)?.broadcast_mul(&scale)?)
    }
}
