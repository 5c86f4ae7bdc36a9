//! One layer of a decoder.

use candle_core::{DType, Device, Tensor};

use super::decoder_config::{NormStyle, Rotation};
use super::{DecoderConfig, TokenBatch};
use crate::Result;
use crate::nn::rope::{RotaryTable, rotate_halves, rotate_pairs};
use crate::nn::{AttentionMask, Linear, RmsNorm, Scores, SwiGlu, SwiGluNames, attention_with};
use crate::weights::Weights;

/// Attention and feed-forward layer, each added to what it is given.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    input_norm: RmsNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    /// Of queries and of keys.
    head_norms: Option<(RmsNorm, RmsNorm)>,
    feed_forward_norm: RmsNorm,
    feed_forward: SwiGlu,
    /// Of what attention and feed-forward layer give.
    post_norms: Option<(RmsNorm, RmsNorm)>,
}

/// What the layers share for one batch.
pub(super) struct Context {
    table: RotaryTable,
    mask: AttentionMask,
    /// The mask of windowed layers, if there are any.
    windowed: Option<AttentionMask>,
    is_windowed: Vec<bool>,
}

/// What one layer needs to know about a batch.
pub(super) struct LayerContext<'a> {
    table: &'a RotaryTable,
    mask: &'a AttentionMask,
}

impl Context {
    pub(super) fn new(batch: &TokenBatch, config: &DecoderConfig, device: &Device) -> Result<Self> {
        let is_windowed: Vec<bool> =
            (0..config.num_hidden_layers).map(|layer| config.is_windowed(layer)).collect();
        // A window as long as the row hides nothing.
        let window = config.sliding_window.filter(|&window| window < batch.length());
        let windowed = window.filter(|_| is_windowed.contains(&true));
        Ok(Self {
            table: RotaryTable::sequence(batch.length(), config.head_dim, config.rope_theta, device)?,
            mask: AttentionMask::causal(&batch.mask, device)?,
            windowed: windowed
                .map(|window| AttentionMask::causal_window(&batch.mask, window, device))
                .transpose()?,
            is_windowed,
        })
    }

    /// What layer `index` needs.
    pub(super) fn of(&self, index: usize) -> LayerContext<'_> {
        let windowed = self.is_windowed.get(index).copied().unwrap_or(false);
        let mask = self.windowed.as_ref().filter(|_| windowed).unwrap_or(&self.mask);
        LayerContext { table: &self.table, mask }
    }
}

/// Reads a norm in the style of the network.
///
/// # Errors
/// As [`Weights::tensor`].
pub(super) fn load_norm(weights: &Weights, size: usize, config: &DecoderConfig) -> Result<RmsNorm> {
    match config.norm {
        NormStyle::OnePlusWeight => RmsNorm::load_offset(weights, size, config.rms_norm_eps),
        NormStyle::Weight => RmsNorm::load_rounded(weights, size, config.rms_norm_eps),
        NormStyle::Sum => RmsNorm::load(&weights.with_dtype(DType::F32), size, config.rms_norm_eps),
    }
}

impl Layer {
    pub(super) fn load(weights: &Weights, config: &DecoderConfig) -> Result<Self> {
        let size = config.hidden_size;
        let queries = config.num_attention_heads * config.head_dim;
        let keys = config.num_key_value_heads * config.head_dim;
        let attention = weights.under("self_attn");
        let names = SwiGluNames { gate: "gate_proj", up: "up_proj", down: "down_proj" };
        let mlp = weights.under("mlp");
        let norm = |name: &str| load_norm(&weights.under(name), size, config);
        let head_norm = |name: &str| load_norm(&attention.under(name), config.head_dim, config);
        // In a layer with four norms `post_attention_layernorm` is what its name says; in one with two it is the norm
        // before the feed-forward layer.
        let (feed_forward_norm, post_norms) = if config.post_norms {
            let post = (norm("post_attention_layernorm")?, norm("post_feedforward_layernorm")?);
            (norm("pre_feedforward_layernorm")?, Some(post))
        } else {
            (norm("post_attention_layernorm")?, None)
        };
        Ok(Self {
            input_norm: norm("input_layernorm")?,
            query: Linear::load_without_bias(&attention.under("q_proj"), size, queries)?,
            key: Linear::load_without_bias(&attention.under("k_proj"), size, keys)?,
            value: Linear::load_without_bias(&attention.under("v_proj"), size, keys)?,
            output: Linear::load_without_bias(&attention.under("o_proj"), queries, size)?,
            head_norms: if config.query_key_norm {
                Some((head_norm("q_norm")?, head_norm("k_norm")?))
            } else {
                None
            },
            feed_forward_norm,
            feed_forward: SwiGlu::load(&mlp, names, size, config.intermediate_size, config.activation)?,
            post_norms,
        })
    }

    /// # Shapes
    /// `[prompts, tokens, hidden_size]` to the same.
    pub(super) fn forward(
        &self,
        state: &Tensor,
        context: &LayerContext<'_>,
        config: &DecoderConfig,
    ) -> Result<Tensor> {
        let (batch, tokens, _) = state.dims3()?;
        let split = |tensor: Tensor, heads: usize| -> Result<Tensor> {
            Ok(tensor.reshape((batch, tokens, heads, config.head_dim))?.transpose(1, 2)?.contiguous()?)
        };
        let normed = self.input_norm.forward(state)?;
        let mut query = split(self.query.forward(&normed)?, config.num_attention_heads)?;
        let mut key = split(self.key.forward(&normed)?, config.num_key_value_heads)?;
        let value = split(self.value.forward(&normed)?, config.num_key_value_heads)?;
        if let Some((query_norm, key_norm)) = &self.head_norms {
            query = query_norm.forward(&query)?;
            key = key_norm.forward(&key)?;
        }
        let rotate = match config.rotation {
            Rotation::Halves => rotate_halves,
            Rotation::Pairs => rotate_pairs,
        };
        let query = rotate(&query, context.table)?;
        let key = rotate(&key, context.table)?;
        let rules = Scores {
            scale: 1.0 / config.query_pre_attn_scalar.sqrt(),
            soft_cap: config.attn_logit_softcapping,
            bias: None,
            mask: Some(context.mask),
        };
        let seen = attention_with(&query, &key, &value, &rules)?;
        let joined = seen.transpose(1, 2)?.contiguous()?.reshape((batch, tokens, ()))?;
        let mut attended = self.output.forward(&joined)?;
        if let Some((norm, _)) = &self.post_norms {
            attended = norm.forward(&attended)?;
        }
        let state = (state + attended)?;
        let mut fed = self.feed_forward.forward(&self.feed_forward_norm.forward(&state)?)?;
        if let Some((_, norm)) = &self.post_norms {
            fed = norm.forward(&fed)?;
        }
        Ok((state + fed)?)
    }
}
