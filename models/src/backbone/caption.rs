//! What the network makes of a caption once, before the first step.

use candle_core::Tensor;

use crate::Result;
use crate::nn::AttentionMask;

/// Caption keys and values of every block and the pooled caption: the part of an evaluation that does not depend on
/// the latent or on the time. Made by [`NextDit::prepare`](super::NextDit::prepare).
#[derive(Clone, Debug)]
pub struct PreparedCaption {
    /// `[batch, conditioning_size]`.
    pub(crate) pooled: Tensor,
    pub(crate) layers: Vec<CaptionKeys>,
    pub(crate) mask: AttentionMask,
}

/// Caption keys and values of one block, each `[batch, key_heads, tokens, head_dim]`.
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
    }

    /// The prompts `start..start + count` alone.
    ///
    /// # Errors
    /// [`ModelError::Candle`](crate::ModelError::Candle) when there are not so many.
    pub fn rows(&self, start: usize, count: usize) -> Result<Self> {
        let part = |tensor: &Tensor| -> Result<Tensor> { Ok(tensor.narrow(0, start, count)?.contiguous()?) };
        let layer =
            |layer: &CaptionKeys| Ok(CaptionKeys { key: part(&layer.key)?, value: part(&layer.value)? });
        Ok(Self {
            pooled: part(&self.pooled)?,
            layers: self.layers.iter().map(layer).collect::<Result<_>>()?,
            mask: self.mask.rows(start, count)?,
        })
    }

    /// Number of prompts.
    pub fn batch(&self) -> usize {
        self.pooled.dims().first().copied().unwrap_or(0)
    }
}
