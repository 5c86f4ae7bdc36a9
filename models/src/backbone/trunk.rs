//! What all networks have between tokens and velocity: embedders, blocks, and the layer at the end.

use candle_core::{D, DType, Device, Tensor};

use super::block::{Block, BlockContext, BlockShape};
use super::options::AttentionGrowth;
use super::sequence::{Layout, Sequence, Sequencer};
use super::{DitSizes, ForwardOptions, PreparedCaption};
use crate::nn::timestep::TimestepEmbedder;
use crate::nn::{LayerNorm, Linear};
use crate::weights::Weights;
use crate::{ModelError, Result};

/// Epsilon of the norm before the output.
const FINAL_EPS: f64 = 1e-6;

/// A point inside a network at which its state is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Tokens before the first block, `[batch, tokens, hidden_size]`.
    PatchEmbed,
    /// The embedded time alone, `[batch, conditioning_size]`.
    Time,
    /// The conditioning vector before its SiLU, `[batch, conditioning_size]`.
    Conditioning,
    /// The logits by which a mixture of experts chose, `[rows, experts]`.
    Routing {
        /// The block.
        block: usize,
        /// Which mixture of the block.
        mixture: usize,
    },
    /// Tokens after a block, `[batch, tokens, hidden_size]`.
    Block(usize),
}

/// What is shown the state of a network.
pub(crate) type Observer<'a> = dyn FnMut(Stage, &Tensor) -> Result<()> + 'a;

/// What tells a network what to make.
pub(crate) struct Condition<'a> {
    /// Added to the embedded time, `[batch, conditioning_size]`.
    pub(crate) pooled: &'a Tensor,
    pub(crate) caption: Option<&'a PreparedCaption>,
}

/// Names that not all networks share.
pub(crate) struct TrunkNames {
    /// The layer that makes tokens of patches.
    pub(crate) embedder: &'static str,
    /// Before the number of a block.
    pub(crate) blocks: &'static str,
}

impl TrunkNames {
    /// Those of all networks for pictures.
    pub(crate) const PICTURES: Self = Self { embedder: "x_embedder", blocks: "layers" };
}

#[derive(Clone, Debug)]
pub(crate) struct Trunk {
    patch_embedder: Linear,
    time_embedder: TimestepEmbedder,
    pub(crate) blocks: Vec<Block>,
    final_norm: LayerNorm,
    final_modulation: Linear,
    final_linear: Linear,
    /// Whether the last modulation has a shift before its scale.
    final_shift: bool,
    pub(crate) sizes: DitSizes,
    pub(crate) growth: AttentionGrowth,
}

impl Trunk {
    pub(crate) fn load(
        weights: &Weights,
        names: &TrunkNames,
        shape: &BlockShape,
        final_shift: bool,
    ) -> Result<Self> {
        let sizes = shape.sizes.clone();
        let (size, conditioning) = (sizes.hidden_size, sizes.conditioning_size());
        let area = sizes.patch_size * sizes.patch_size;
        let last = weights.under("final_layer");
        let parts = 1 + usize::from(final_shift);
        Ok(Self {
            patch_embedder: Linear::load(&weights.under(names.embedder), area * sizes.in_channels, size)?,
            time_embedder: TimestepEmbedder::load(&weights.under("t_embedder"), conditioning)?,
            blocks: (0..sizes.num_layers)
                .map(|layer| Block::load(&weights.under(names.blocks).under(layer), shape))
                .collect::<Result<_>>()?,
            final_norm: LayerNorm::plain(FINAL_EPS),
            final_modulation: Linear::load(
                &last.under("adaLN_modulation").under(1),
                conditioning,
                parts * size,
            )?,
            final_linear: Linear::load(&last.under("linear"), size, area * sizes.out_channels())?,
            final_shift,
            sizes,
            growth: AttentionGrowth::default(),
        })
    }

    pub(crate) fn device(&self) -> &Device {
        self.patch_embedder.device()
    }

    pub(crate) fn dtype(&self) -> DType {
        self.patch_embedder.dtype()
    }

    pub(crate) fn sequencer<'a>(&'a self, layout: Layout<'a>, options: &ForwardOptions) -> Sequencer<'a> {
        Sequencer { embedder: &self.patch_embedder, sizes: &self.sizes, layout, rope: options.rope }
    }

    /// A latent in the format of the weights.
    pub(crate) fn state(&self, latent: &Tensor) -> Result<Tensor> {
        Ok(latent.to_device(self.device())?.to_dtype(self.dtype())?)
    }

    /// A batch of latents of one size, see [`NextDit::forward_observed`](super::NextDit::forward_observed).
    pub(crate) fn forward(
        &self,
        latent: &Tensor,
        time: &[f64],
        condition: &Condition<'_>,
        layout: Layout<'_>,
        options: &ForwardOptions,
        observe: &mut Observer<'_>,
    ) -> Result<Tensor> {
        let sequencer = self.sequencer(layout, options);
        let sequence = sequencer.batch(&self.state(latent)?)?;
        self.finish(&sequencer, &sequence, time, condition, options, observe)?
            .to_dtype(latent.dtype())
            .map_err(Into::into)
    }

    /// A batch of latents of several frames.
    pub(crate) fn forward_frames(
        &self,
        latent: &Tensor,
        time: &[f64],
        condition: &Condition<'_>,
        layout: Layout<'_>,
        options: &ForwardOptions,
        observe: &mut Observer<'_>,
    ) -> Result<Tensor> {
        let sequencer = self.sequencer(layout, options);
        let sequence = sequencer.frames(&self.state(latent)?)?;
        self.finish(&sequencer, &sequence, time, condition, options, observe)?
            .to_dtype(latent.dtype())
            .map_err(Into::into)
    }

    fn finish(
        &self,
        sequencer: &Sequencer<'_>,
        sequence: &Sequence,
        time: &[f64],
        condition: &Condition<'_>,
        options: &ForwardOptions,
        observe: &mut Observer<'_>,
    ) -> Result<Tensor> {
        let output = self.run(sequence, time, condition, options, observe)?;
        match sequence.grids.first() {
            Some(grid) => sequencer.latents(&output, *grid),
            None => Ok(output),
        }
    }

    /// Latents of different sizes, see [`NextDit::forward_list`](super::NextDit::forward_list).
    pub(crate) fn forward_list(
        &self,
        latents: &[Tensor],
        time: &[f64],
        condition: &Condition<'_>,
        layout: (Layout<'_>, &Tensor),
        options: &ForwardOptions,
        observe: &mut Observer<'_>,
    ) -> Result<Vec<Tensor>> {
        if latents.is_empty() {
            return Ok(Vec::new());
        }
        let states = latents.iter().map(|latent| self.state(latent)).collect::<Result<Vec<_>>>()?;
        let (layout, pad_token) = layout;
        let sequencer = self.sequencer(layout, options);
        let sequence = sequencer.list(&states, pad_token)?;
        let output = self.run(&sequence, time, condition, options, observe)?;
        let mut results = Vec::with_capacity(latents.len());
        for (row, (latent, grid)) in latents.iter().zip(&sequence.grids).enumerate() {
            let result = sequencer.latents(&output.narrow(0, row, 1)?, *grid)?;
            results.push(result.squeeze(0)?.to_dtype(latent.dtype())?);
        }
        Ok(results)
    }

    /// The velocity of a raw output: the channels without the variances that were never trained.
    pub(crate) fn velocity(&self, output: &Tensor) -> Result<Tensor> {
        Ok(output.narrow(1, 0, self.sizes.in_channels)?.contiguous()?)
    }

    fn run(
        &self,
        sequence: &Sequence,
        time: &[f64],
        condition: &Condition<'_>,
        options: &ForwardOptions,
        observe: &mut Observer<'_>,
    ) -> Result<Tensor> {
        let (batch, length, _) = sequence.tokens.dims3()?;
        if let Some(caption) = condition.caption {
            caption.check(batch, self.blocks.len(), length)?;
        }
        let times = match time {
            [one] => vec![*one; batch],
            many if many.len() == batch => many.to_vec(),
            many => {
                let expected = format!("1 or {batch}");
                return Err(ModelError::input("the number of times", expected, many.len().to_string()));
            }
        };
        let scale = options.attention_scale(length, self.sizes.head_dim(), self.growth)?;
        let time = self.time_embedder.forward(&times)?;
        let context = BlockContext {
            table: &sequence.table,
            mask: sequence.mask.as_ref(),
            caption: condition.caption,
            scale,
            time: &time,
        };
        let conditioning = (&time + condition.pooled)?;
        observe(Stage::PatchEmbed, &sequence.tokens)?;
        observe(Stage::Time, &time)?;
        observe(Stage::Conditioning, &conditioning)?;
        // Every modulation begins with the same SiLU.
        let conditioning = conditioning.silu()?;
        let mut tokens = sequence.tokens.clone();
        for (index, block) in self.blocks.iter().enumerate() {
            options.interrupt.check()?;
            let keys = condition.caption.and_then(|caption| caption.layers.get(index));
            let mut routed =
                |mixture: usize, logits: &Tensor| observe(Stage::Routing { block: index, mixture }, logits);
            tokens = block.forward(&tokens, &conditioning, keys, &context, &mut routed)?;
            observe(Stage::Block(index), &tokens)?;
        }
        self.last(&tokens, &conditioning)
    }

    /// Source: `FinalLayer` of Lumina-T2X; Next-DiT for text has no shift there.
    fn last(&self, tokens: &Tensor, conditioning: &Tensor) -> Result<Tensor> {
        let modulation = self.final_modulation.forward(conditioning)?.unsqueeze(1)?;
        let normed = self.final_norm.forward(tokens)?;
        let size = self.sizes.hidden_size;
        let modulated = if self.final_shift {
            let shift = modulation.narrow(D::Minus1, 0, size)?.contiguous()?;
            let scale = (modulation.narrow(D::Minus1, size, size)?.contiguous()? + 1.0)?;
            normed.broadcast_mul(&scale)?.broadcast_add(&shift)?
        } else {
            normed.broadcast_mul(&(modulation + 1.0)?)?
        };
        self.final_linear.forward(&modulated)
    }
}
