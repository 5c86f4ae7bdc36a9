//! One block of Next-DiT.

use candle_core::{D, Tensor};

use super::NextDitConfig;
use super::caption::CaptionKeys;
use crate::Result;
use crate::nn::rope::{RotaryTable, rotate_pairs};
use crate::nn::{Activation, AttentionMask, LayerNorm, Linear, RmsNorm, SwiGlu, SwiGluNames, attention};
use crate::weights::Weights;

/// Epsilon of the norms of queries and keys, whatever the config says.
const QK_EPS: f64 = 1e-5;

/// What all blocks of one evaluation share.
pub(crate) struct BlockContext<'a> {
    pub(crate) table: &'a RotaryTable,
    /// Which tokens are not padding, for latents of different sizes in one batch.
    pub(crate) mask: Option<&'a AttentionMask>,
    pub(crate) caption_mask: &'a AttentionMask,
    pub(crate) scale: f64,
}

/// `x += tanh(gate) * norm2(f(norm1(x) * (1 + scale)))`, for attention and then for the feed-forward layer.
///
/// Source: `TransformerBlock` of Lumina-T2X `lumina_next_t2i/models/model.py`, `LuminaNextDiTBlock` of diffusers.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    attention: JointAttention,
    feed_forward: SwiGlu,
    attention_norm1: RmsNorm,
    attention_norm2: RmsNorm,
    ffn_norm1: RmsNorm,
    ffn_norm2: RmsNorm,
    modulation: Linear,
}

impl Block {
    pub(crate) fn load(weights: &Weights, config: &NextDitConfig) -> Result<Self> {
        let (size, eps) = (config.hidden_size, config.norm_eps);
        let norm = |name: &str| RmsNorm::load(&weights.under(name), size, eps);
        let names = SwiGluNames { gate: "w1", up: "w3", down: "w2" };
        let hidden = config.feed_forward_dim();
        Ok(Self {
            attention: JointAttention::load(weights, config)?,
            feed_forward: SwiGlu::load(
                &weights.under("feed_forward"),
                names,
                size,
                hidden,
                Activation::Silu,
            )?,
            attention_norm1: norm("attention_norm1")?,
            attention_norm2: norm("attention_norm2")?,
            ffn_norm1: norm("ffn_norm1")?,
            ffn_norm2: norm("ffn_norm2")?,
            modulation: Linear::load(
                &weights.under("adaLN_modulation").under(1),
                config.conditioning_size(),
                4 * size,
            )?,
        })
    }

    pub(crate) fn caption_keys(&self, features: &Tensor) -> Result<CaptionKeys> {
        self.attention.caption_keys(features)
    }

    /// # Shapes
    /// `tokens` is `[batch, tokens, hidden_size]`, `conditioning` (after SiLU) `[batch, conditioning_size]`.
    pub(crate) fn forward(
        &self,
        tokens: &Tensor,
        conditioning: &Tensor,
        caption: &CaptionKeys,
        context: &BlockContext<'_>,
    ) -> Result<Tensor> {
        let parts = self.modulation.forward(conditioning)?.unsqueeze(1)?.chunk(4, D::Minus1)?;
        let part = |index: usize| parts.get(index).map_or_else(|| Ok(tokens.clone()), Tensor::contiguous);
        let (scale_attention, gate_attention) = ((part(0)? + 1.0)?, part(1)?.tanh()?);
        let (scale_feed, gate_feed) = ((part(2)? + 1.0)?, part(3)?.tanh()?);

        let normed = self.attention_norm1.forward(tokens)?.broadcast_mul(&scale_attention)?;
        let attended = self.attention_norm2.forward(&self.attention.forward(&normed, caption, context)?)?;
        let tokens = (tokens + attended.broadcast_mul(&gate_attention)?)?;

        let normed = self.ffn_norm1.forward(&tokens)?.broadcast_mul(&scale_feed)?;
        let fed = self.ffn_norm2.forward(&self.feed_forward.forward(&normed)?)?;
        Ok((&tokens + fed.broadcast_mul(&gate_feed)?)?)
    }
}

/// Attention over the picture and, gated per head, over the caption, with one output projection.
///
/// Source: `Attention` of Lumina-T2X `lumina_next_t2i/models/model.py`.
#[derive(Clone, Debug)]
struct JointAttention {
    query: Projection,
    key: Projection,
    value: Projection,
    /// A query of its own for the caption; none where it is the query of the picture, as in all published weights.
    caption_query: Option<Projection>,
    caption_key: Projection,
    caption_value: Projection,
    caption_norm: RmsNorm,
    output: Linear,
    /// `tanh(gate)`, `[1, heads, 1, 1]`.
    gate: Tensor,
}

impl JointAttention {
    fn load(block: &Weights, config: &NextDitConfig) -> Result<Self> {
        let weights = block.under("attention");
        let (size, heads, key_heads) = (config.hidden_size, config.num_attention_heads, config.key_heads());
        let (head_dim, caption_size) = (config.head_dim(), config.cross_attention_dim);
        let load = |name: &str, norm: Option<&str>, inputs: usize, heads: usize| -> Result<Projection> {
            let linear = Linear::load_without_bias(&weights.under(name), inputs, heads * head_dim)?;
            let norm = norm.filter(|_| config.qk_norm);
            let norm = norm.map(|norm| LayerNorm::load(&weights.under(norm), heads * head_dim, QK_EPS));
            Ok(Projection { linear, norm: norm.transpose()?, heads })
        };
        let query = load("wq", Some("q_norm"), size, heads)?;
        let caption_query = match Linear::load_optional(&weights.under("wq_y"), size, size)? {
            Some(linear) => {
                let norm = LayerNorm::load_optional(&weights.under("q_norm_y"), size, QK_EPS)?;
                let own = Projection { linear, norm: norm.or_else(|| query.norm.clone()), heads };
                if own.equals(&query)? { None } else { Some(own) }
            }
            None => {
                // Asked for in any case, so that a plan knows both names.
                LayerNorm::load_optional(&weights.under("q_norm_y"), size, QK_EPS)?;
                None
            }
        };
        Ok(Self {
            query,
            caption_query,
            key: load("wk", Some("k_norm"), size, key_heads)?,
            value: load("wv", None, size, key_heads)?,
            caption_key: load("wk_y", Some("ky_norm"), caption_size, key_heads)?,
            caption_value: load("wv_y", None, caption_size, key_heads)?,
            caption_norm: RmsNorm::load(&block.under("attention_y_norm"), caption_size, config.norm_eps)?,
            output: Linear::load_without_bias(&weights.under("wo"), size, size)?,
            gate: weights.tensor("gate", &[heads])?.contiguous()?.tanh()?.reshape((1, heads, 1, 1))?,
        })
    }

    fn caption_keys(&self, features: &Tensor) -> Result<CaptionKeys> {
        let normed = self.caption_norm.forward(features)?;
        Ok(CaptionKeys {
            key: self.caption_key.forward(&normed)?,
            value: self.caption_value.forward(&normed)?,
        })
    }

    fn forward(&self, tokens: &Tensor, caption: &CaptionKeys, context: &BlockContext<'_>) -> Result<Tensor> {
        let (batch, length, size) = tokens.dims3()?;
        let query = rotate_pairs(&self.query.forward(tokens)?, context.table)?;
        let key = rotate_pairs(&self.key.forward(tokens)?, context.table)?;
        let value = self.value.forward(tokens)?;
        let seen = attention(&query, &key, &value, context.scale, context.mask)?;
        // The caption is asked with the turned query; its keys are not turned.
        let query = match &self.caption_query {
            Some(own) => rotate_pairs(&own.forward(tokens)?, context.table)?,
            None => query,
        };
        let scale = 1.0 / (query.dim(D::Minus1)? as f64).sqrt();
        let read = attention(&query, &caption.key, &caption.value, scale, Some(context.caption_mask))?;
        let joined = (seen + read.broadcast_mul(&self.gate)?)?;
        self.output.forward(&joined.transpose(1, 2)?.contiguous()?.reshape((batch, length, size))?)
    }
}

/// A linear layer whose output is normed over all heads together and then split into heads.
#[derive(Clone, Debug)]
struct Projection {
    linear: Linear,
    norm: Option<LayerNorm>,
    heads: usize,
}

impl Projection {
    /// # Shapes
    /// `[batch, tokens, inputs]` to `[batch, heads, tokens, head_dim]`.
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let output = self.linear.forward(input)?;
        let output = match &self.norm {
            Some(norm) => norm.forward(&output)?,
            None => output,
        };
        let (batch, tokens, size) = output.dims3()?;
        let split = output.reshape((batch, tokens, self.heads, size / self.heads.max(1)))?;
        Ok(split.transpose(1, 2)?.contiguous()?)
    }

    fn equals(&self, other: &Self) -> Result<bool> {
        let norms = match (
            self.norm.as_ref().and_then(LayerNorm::affine),
            other.norm.as_ref().and_then(LayerNorm::affine),
        ) {
            (Some(a), Some(b)) => same(&a.0, &b.0)? && same(&a.1, &b.1)?,
            (None, None) => true,
            _ => false,
        };
        Ok(norms && same(self.linear.weight(), other.linear.weight())?)
    }
}

fn same(a: &Tensor, b: &Tensor) -> Result<bool> {
    let differing = a.ne(b)?.flatten_all()?.max(0)?.to_scalar::<u8>()?;
    Ok(a.dims() == b.dims() && differing == 0)
}
