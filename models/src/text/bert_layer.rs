//! One layer of a BERT.

use candle_core::Tensor;

use super::BertConfig;
use crate::Result;
use crate::nn::{Activation, AttentionMask, LayerNorm, Linear, attention};
use crate::weights::Weights;

/// Attention and feed-forward layer, each added to what it is given and then normalised.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    attention_norm: LayerNorm,
    up: Linear,
    activation: Activation,
    down: Linear,
    feed_forward_norm: LayerNorm,
}

impl Layer {
    pub(super) fn load(weights: &Weights, config: &BertConfig) -> Result<Self> {
        let (size, hidden, eps) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let attention = weights.under("attention");
        let linear = |name: &str| Linear::load(&attention.under(name), size, size);
        Ok(Self {
            query: linear("self.query")?,
            key: linear("self.key")?,
            value: linear("self.value")?,
            output: linear("output.dense")?,
            attention_norm: LayerNorm::load(&attention.under("output.LayerNorm"), size, eps)?,
            up: Linear::load(&weights.under("intermediate.dense"), size, hidden)?,
            activation: config.activation,
            down: Linear::load(&weights.under("output.dense"), hidden, size)?,
            feed_forward_norm: LayerNorm::load(&weights.under("output.LayerNorm"), size, eps)?,
        })
    }

    /// # Shapes
    /// `[prompts, tokens, hidden_size]` to the same.
    pub(super) fn forward(
        &self,
        state: &Tensor,
        mask: &AttentionMask,
        config: &BertConfig,
    ) -> Result<Tensor> {
        let (batch, tokens, _) = state.dims3()?;
        let split = |tensor: Tensor| -> Result<Tensor> {
            let heads = tensor.reshape((batch, tokens, config.num_attention_heads, config.head_dim()))?;
            Ok(heads.transpose(1, 2)?.contiguous()?)
        };
        let query = split(self.query.forward(state)?)?;
        let key = split(self.key.forward(state)?)?;
        let value = split(self.value.forward(state)?)?;
        let scale = 1.0 / (config.head_dim() as f64).sqrt();
        let seen = attention(&query, &key, &value, scale, Some(mask))?;
        let joined = seen.transpose(1, 2)?.contiguous()?.reshape((batch, tokens, ()))?;
        let state = self.attention_norm.forward(&(self.output.forward(&joined)? + state)?)?;
        let fed = self.down.forward(&self.activation.apply(&self.up.forward(&state)?)?)?;
        self.feed_forward_norm.forward(&(fed + state)?)
    }
}
