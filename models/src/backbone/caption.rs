//! What a network makes of a caption once, before the first step.

use candle_core::{DType, Device, Tensor};

use super::DitSizes;
use super::block::Block;
use super::region::Regions;
use crate::nn::{AttentionMask, LayerNorm, Linear};
use crate::text::TextFeatures;
use crate::weights::Weights;
use crate::{ModelError, Result};

/// Epsilon of the norm over the pooled caption.
const CAPTION_EPS: f64 = 1e-5;

/// Caption keys and values of every block and the pooled caption: the part of an evaluation that does not depend on
/// the latent or on the time. Made by [`NextDit::prepare`](super::NextDit::prepare) and its like.
#[derive(Clone, Debug)]
pub struct PreparedCaption {
    /// `[batch, conditioning_size]`.
    pub(crate) pooled: Tensor,
    /// One row a latent, or one row a region.
    pub(crate) layers: Vec<CaptionKeys>,
    pub(crate) mask: AttentionMask,
    /// Which tokens each caption is for; none where each latent has one caption.
    pub(crate) regions: Option<Regions>,
}

/// Caption keys and values of one block, each `[captions, key_heads, tokens, head_dim]`.
#[derive(Clone, Debug)]
pub(crate) struct CaptionKeys {
    pub(crate) key: Tensor,
    pub(crate) value: Tensor,
}

impl PreparedCaption {
    /// Bytes that it holds.
    pub fn byte_size(&self) -> u64 {
        let bytes = |tensor: &Tensor| (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64;
        bytes(&self.pooled)
            + self.layers.iter().map(|layer| bytes(&layer.key) + bytes(&layer.value)).sum::<u64>()
            + self.regions.as_ref().map_or(0, |regions| bytes(&regions.weights))
    }

    /// What the latents `start..start + count` need, alone.
    ///
    /// # Errors
    /// [`ModelError::Candle`](crate::ModelError::Candle) when there are not so many.
    pub fn rows(&self, start: usize, count: usize) -> Result<Self> {
        let part = |tensor: &Tensor| -> Result<Tensor> { Ok(tensor.narrow(0, start, count)?.contiguous()?) };
        let pooled = part(&self.pooled)?;
        if let Some(regions) = &self.regions {
            let (kept, regions) = regions.rows(start, count)?;
            let pick = |tensor: &Tensor| -> Result<Tensor> { Ok(tensor.index_select(&kept, 0)?) };
            let layer =
                |layer: &CaptionKeys| Ok(CaptionKeys { key: pick(&layer.key)?, value: pick(&layer.value)? });
            return Ok(Self {
                pooled,
                layers: self.layers.iter().map(layer).collect::<Result<_>>()?,
                mask: self.mask.select(&kept)?,
                regions: Some(regions),
            });
        }
        let layer =
            |layer: &CaptionKeys| Ok(CaptionKeys { key: part(&layer.key)?, value: part(&layer.value)? });
        Ok(Self {
            pooled,
            layers: self.layers.iter().map(layer).collect::<Result<_>>()?,
            mask: self.mask.rows(start, count)?,
            regions: None,
        })
    }

    /// Number of latents that it is for.
    pub fn batch(&self) -> usize {
        self.pooled.dims().first().copied().unwrap_or(0)
    }

    /// Refuses to be read by a network or for latents that it was not made for.
    pub(crate) fn check(&self, batch: usize, blocks: usize, tokens: usize) -> Result<()> {
        if self.batch() != batch {
            let found = self.batch().to_string();
            return Err(ModelError::input("the number of captions", format!("{batch}, one a latent"), found));
        }
        if self.layers.len() != blocks {
            return Err(ModelError::input("the prepared caption", "one of this network", "one of another"));
        }
        match self.regions.as_ref().map(Regions::tokens) {
            Some(found) if found != tokens => {
                let found = format!("{found} tokens");
                Err(ModelError::input("the regions of the captions", format!("{tokens} tokens"), found))
            }
            _ => Ok(()),
        }
    }
}

/// The pooled caption as a part of the conditioning vector: `cap_embedder` of Lumina-T2X.
#[derive(Clone, Debug)]
pub(crate) struct CaptionEmbedder {
    norm: LayerNorm,
    linear: Linear,
    channels: usize,
}

impl CaptionEmbedder {
    pub(crate) fn load(weights: &Weights, sizes: &DitSizes, channels: usize) -> Result<Self> {
        Ok(Self {
            norm: LayerNorm::load(&weights.under(0), channels, CAPTION_EPS)?,
            linear: Linear::load(&weights.under(1), channels, sizes.conditioning_size())?,
            channels,
        })
    }

    /// One caption for each latent.
    pub(crate) fn prepare(&self, caption: &TextFeatures, blocks: &[Block]) -> Result<PreparedCaption> {
        let (layers, mask) = self.keys(caption, blocks)?;
        Ok(PreparedCaption { pooled: self.pool(caption)?, layers, mask, regions: None })
    }

    /// Keys and values for all blocks, and which of them are seen.
    pub(crate) fn keys(
        &self,
        caption: &TextFeatures,
        blocks: &[Block],
    ) -> Result<(Vec<CaptionKeys>, AttentionMask)> {
        let rows = self.check(caption)?;
        let features = caption.features.to_device(self.device())?.to_dtype(self.dtype())?;
        let layers = blocks.iter().map(|block| block.caption_keys(&features)).collect::<Result<_>>()?;
        Ok((layers, AttentionMask::keys(&rows, self.device())?))
    }

    /// `[captions, conditioning_size]`.
    pub(crate) fn pool(&self, caption: &TextFeatures) -> Result<Tensor> {
        self.check(caption)?;
        let features = caption.features.to_device(self.device())?;
        let mask = caption.mask.to_device(self.device())?.to_dtype(DType::F32)?.unsqueeze(2)?;
        let sum = features.to_dtype(DType::F32)?.broadcast_mul(&mask)?.sum(1)?;
        // The mean is of the raw features; those that attention reads are normed in each block.
        let mean = sum.broadcast_div(&mask.sum(1)?)?.to_dtype(self.dtype())?;
        self.linear.forward(&self.norm.forward(&mean)?)
    }

    /// The mask as numbers.
    fn check(&self, caption: &TextFeatures) -> Result<Vec<Vec<u32>>> {
        let expected = self.channels;
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
        Ok(rows)
    }

    fn device(&self) -> &Device {
        self.linear.device()
    }

    fn dtype(&self) -> DType {
        self.linear.dtype()
    }
}
