//! One block of the audio Flag-DiT.

use candle_core::{D, Tensor};

use super::AudioFlagDitConfig;
use crate::Result;
use crate::nn::rope::{RotaryTable, rotate_pairs};
use crate::nn::{Activation, Linear, RmsNorm, SwiGlu, SwiGluNames, attention};
use crate::weights::Weights;

/// `x += gate * f(norm(x) * (1 + scale) + shift)`, for attention and then for the feed-forward layer.
///
/// Source: `TransformerBlock` of Lumina-T2X `lumina_audio/models/diffusion/flag_large_dit.py`.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    attention: JointAttention,
    feed_forward: SwiGlu,
    attention_norm: RmsNorm,
    ffn_norm: RmsNorm,
    modulation: Linear,
}

impl Block {
    pub(crate) fn load(weights: &Weights, config: &AudioFlagDitConfig) -> Result<Self> {
        let (size, hidden) = (config.hidden_size, config.feed_forward_dim());
        let norm = |name: &str| RmsNorm::load(&weights.under(name), size, config.norm_eps);
        let names = SwiGluNames { gate: "w1", up: "w3", down: "w2" };
        let feed_forward = weights.under("feed_forward");
        Ok(Self {
            attention: JointAttention::load(weights, config)?,
            feed_forward: SwiGlu::load(&feed_forward, names, size, hidden, Activation::Silu)?,
            attention_norm: norm("attention_norm")?,
            ffn_norm: norm("ffn_norm")?,
            modulation: Linear::load(&weights.under("adaLN_modulation").under(1), size, 6 * size)?,
        })
    }

    pub(crate) fn context_keys(&self, context: &Tensor) -> Result<ContextKeys> {
        self.attention.context_keys(context)
    }

    /// # Shapes
    /// `tokens` is `[batch, frames, hidden_size]`, `conditioning` (after SiLU) `[batch, hidden_size]`.
    pub(crate) fn forward(
        &self,
        tokens: &Tensor,
        conditioning: &Tensor,
        context: &ContextKeys,
        table: &RotaryTable,
    ) -> Result<Tensor> {
        let parts = self.modulation.forward(conditioning)?.unsqueeze(1)?.chunk(6, D::Minus1)?;
        let part = |index: usize| parts.get(index).map_or_else(|| Ok(tokens.clone()), Tensor::contiguous);
        let (shift, scale, gate) = (part(0)?, part(1)?, part(2)?);
        let normed = modulate(&self.attention_norm.forward(tokens)?, &shift, &scale)?;
        let attended = self.attention.forward(&normed, context, table)?;
        let tokens = (tokens + attended.broadcast_mul(&gate)?)?;

        let (shift, scale, gate) = (part(3)?, part(4)?, part(5)?);
        let normed = modulate(&self.ffn_norm.forward(&tokens)?, &shift, &scale)?;
        Ok((&tokens + self.feed_forward.forward(&normed)?.broadcast_mul(&gate)?)?)
    }
}

/// `x * (1 + scale) + shift`.
pub(crate) fn modulate(input: &Tensor, shift: &Tensor, scale: &Tensor) -> Result<Tensor> {
    Ok(input.broadcast_mul(&(scale + 1.0)?)?.broadcast_add(shift)?)
}

/// Keys and values of a context for one block, `[batch, heads, tokens, head_dim]`.
#[derive(Clone, Debug)]
pub(crate) struct ContextKeys {
    key: Tensor,
    value: Tensor,
}

impl ContextKeys {
    /// Those of the rows `start..start + count`.
    pub(crate) fn rows(&self, start: usize, count: usize) -> Result<Self> {
        let part = |tensor: &Tensor| tensor.narrow(0, start, count)?.contiguous();
        Ok(Self { key: part(&self.key)?, value: part(&self.value)? })
    }

    pub(crate) fn byte_size(&self) -> u64 {
        let bytes = |tensor: &Tensor| (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64;
        bytes(&self.key) + bytes(&self.value)
    }
}

/// Attention over the frames and, gated per head, over the context, with one output projection.
///
/// Source: `Attention` of the same file.
#[derive(Clone, Debug)]
struct JointAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    context_key: Linear,
    context_value: Linear,
    context_norm: RmsNorm,
    output: Linear,
    /// `tanh(gate)`, `[1, heads, 1, 1]`.
    gate: Tensor,
    heads: usize,
}

impl JointAttention {
    fn load(block: &Weights, config: &AudioFlagDitConfig) -> Result<Self> {
        let weights = block.under("attention");
        let (size, context, heads) = (config.hidden_size, config.context_dim, config.num_heads);
        let linear =
            |name: &str, inputs: usize| Linear::load_without_bias(&weights.under(name), inputs, size);
        Ok(Self {
            query: linear("wq", size)?,
            key: linear("wk", size)?,
            value: linear("wv", size)?,
            context_key: linear("wk_y", context)?,
            context_value: linear("wv_y", context)?,
            context_norm: RmsNorm::load(&block.under("attention_y_norm"), context, config.norm_eps)?,
            output: linear("wo", size)?,
            gate: weights.tensor("gate", &[heads])?.contiguous()?.tanh()?.reshape((1, heads, 1, 1))?,
            heads,
        })
    }

    fn context_keys(&self, context: &Tensor) -> Result<ContextKeys> {
        let normed = self.context_norm.forward(context)?;
        Ok(ContextKeys {
            key: self.split(self.context_key.forward(&normed)?)?,
            value: self.split(self.context_value.forward(&normed)?)?,
        })
    }

    fn forward(&self, tokens: &Tensor, context: &ContextKeys, table: &RotaryTable) -> Result<Tensor> {
        let query = rotate_pairs(&self.split(self.query.forward(tokens)?)?, table)?;
        let key = rotate_pairs(&self.split(self.key.forward(tokens)?)?, table)?;
        let value = self.split(self.value.forward(tokens)?)?;
        let scale = 1.0 / (query.dim(D::Minus1)? as f64).sqrt();
        let seen = attention(&query, &key, &value, scale, None)?;
        // The context is asked with the turned query; its keys are not turned.
        let read = attention(&query, &context.key, &context.value, scale, None)?;
        let joined = (seen + read.broadcast_mul(&self.gate)?)?;
        self.output.forward(&joined.transpose(1, 2)?.contiguous()?.reshape(tokens.shape())?)
    }

    /// `[batch, tokens, size]` to `[batch, heads, tokens, head_dim]`.
    fn split(&self, tensor: Tensor) -> Result<Tensor> {
        let (batch, tokens, size) = tensor.dims3()?;
        let heads = tensor.reshape((batch, tokens, self.heads, size / self.heads.max(1)))?;
        Ok(heads.transpose(1, 2)?.contiguous()?)
    }
}
