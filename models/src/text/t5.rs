//! The encoder of a T5 or FLAN-T5.
//!
//! Source: `modeling_t5.py` of transformers.

use candle_core::{DType, Device, Tensor};

use super::prefix::prefix_of;
use super::t5_position::PositionBias;
use super::token_rows::TokenRows;
use super::{T5Config, TokenBatch, gguf};
use crate::nn::{AttentionMask, Linear, RmsNorm, Scores, SwiGlu, SwiGluNames, attention_with};
use crate::weights::{Checkpoint, Expected, KeyMap, Weights};
use crate::{Interrupt, Result};

/// The encoder of a T5.
#[derive(Clone, Debug)]
pub struct T5Encoder {
    embedding: TokenRows,
    position: PositionBias,
    layers: Vec<Layer>,
    norm: RmsNorm,
    config: T5Config,
    dtype: DType,
    device: Device,
}

#[derive(Clone, Debug)]
struct Layer {
    attention_norm: RmsNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    feed_forward_norm: RmsNorm,
    feed_forward: SwiGlu,
}

impl T5Encoder {
    /// Reads the encoder.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, config: &T5Config) -> Result<Self> {
        let encoder = weights.under("encoder");
        let table = encoder.under("block.0.layer.0.SelfAttention.relative_attention_bias");
        let layers = (0..config.num_layers)
            .map(|layer| Layer::load(&encoder.under("block").under(layer).under("layer"), config))
            .collect::<Result<Vec<_>>>()?;
        let norm = encoder.under("final_layer_norm");
        Ok(Self {
            embedding: TokenRows::load(weights, "shared.weight", config.vocab_size, config.d_model)?,
            position: PositionBias::load(&table, config)?,
            layers,
            norm: RmsNorm::load_rounded(&norm, config.d_model, config.layer_norm_epsilon)?,
            config: config.clone(),
            dtype: weights.dtype(),
            device: weights.device().clone(),
        })
    }

    /// The tensors that [`load`](Self::load) reads.
    ///
    /// # Errors
    /// [`crate::ModelError::Candle`] when memory runs out.
    pub fn expected(config: &T5Config) -> Result<Expected> {
        let plan = Weights::plan();
        Self::load(&plan, config)?;
        Ok(plan.planned())
    }

    /// Names behind whatever prefix `checkpoint` has, where the table of tokens may have either of its two names; or the
    /// names of llama.cpp.
    pub fn key_map(checkpoint: &Checkpoint) -> KeyMap {
        if gguf::has_its_names(checkpoint) {
            return gguf::t5_keys();
        }
        let prefix = prefix_of(checkpoint, "encoder.final_layer_norm.weight").unwrap_or_default();
        KeyMap::new(move |name| {
            let mut names = vec![format!("{prefix}{name}")];
            if name == "shared.weight" {
                names.push(format!("{prefix}encoder.embed_tokens.weight"));
            }
            names
        })
    }

    /// Whether a stored tensor may stay unread: the second copy of the table of tokens, and the decoder.
    pub fn is_ignorable(stored: &str) -> bool {
        stored.ends_with("encoder.embed_tokens.weight")
            || stored.starts_with("decoder.")
            || stored.starts_with("dec.")
            || matches!(stored, "lm_head.weight" | "output.weight")
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &T5Config {
        &self.config
    }

    /// The last hidden state, after the final norm.
    ///
    /// Lumina's music and audio mask no padding: they pass a batch whose mask is 1 everywhere.
    ///
    /// # Shapes
    /// `[prompts, tokens, d_model]`.
    ///
    /// # Errors
    /// [`crate::ModelError::Input`] for an empty or ragged batch or an unknown token; [`ModelError::Interrupted`].
    pub fn forward(&self, batch: &TokenBatch, interrupt: &Interrupt) -> Result<Tensor> {
        let mut state = self.embed(batch)?;
        let context = self.context(batch)?;
        for layer in &self.layers {
            interrupt.check()?;
            state = layer.forward(&state, &context, &self.config)?;
        }
        self.norm.forward(&state)
    }

    /// Every hidden state as transformers counts them: the embedding, then the output of each layer, the last one after
    /// the final norm.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn hidden_states(&self, batch: &TokenBatch, interrupt: &Interrupt) -> Result<Vec<Tensor>> {
        let mut states = vec![self.embed(batch)?];
        let context = self.context(batch)?;
        for layer in &self.layers {
            interrupt.check()?;
            if let Some(state) = states.last() {
                states.push(layer.forward(state, &context, &self.config)?);
            }
        }
        if let Some(last) = states.last_mut() {
            *last = self.norm.forward(last)?;
        }
        Ok(states)
    }

    /// The residual stream. In f16 it is held in f32, as the feed-forward layers give f32 then.
    fn embed(&self, batch: &TokenBatch) -> Result<Tensor> {
        let rows = self.embedding.rows(batch, self.dtype, &self.device)?;
        Ok(if self.dtype == DType::F16 { rows.to_dtype(DType::F32)? } else { rows })
    }

    fn context(&self, batch: &TokenBatch) -> Result<Context> {
        let mask = AttentionMask::keys(&batch.mask, &self.device)?;
        let bias = self.position.of(batch.length(), &self.config, &self.device)?;
        Ok(Context { mask, bias })
    }
}

/// What all layers share.
struct Context {
    mask: AttentionMask,
    bias: Tensor,
}

impl Layer {
    fn load(weights: &Weights, config: &T5Config) -> Result<Self> {
        let (size, eps) = (config.d_model, config.layer_norm_epsilon);
        let inner = config.num_heads * config.d_kv;
        let (first, second) = (weights.under(0), weights.under(1));
        let attention = first.under("SelfAttention");
        let feed_forward = second.under("DenseReluDense");
        let names = SwiGluNames { gate: "wi_0", up: "wi_1", down: "wo" };
        // Published weights give infinities in f16 here: transformers keeps this projection in f32 as well.
        let load_feed_forward =
            if weights.dtype() == DType::F16 { SwiGlu::load_with_wide_down } else { SwiGlu::load };
        Ok(Self {
            attention_norm: RmsNorm::load_rounded(&first.under("layer_norm"), size, eps)?,
            query: Linear::load_without_bias(&attention.under("q"), size, inner)?,
            key: Linear::load_without_bias(&attention.under("k"), size, inner)?,
            value: Linear::load_without_bias(&attention.under("v"), size, inner)?,
            output: Linear::load_without_bias(&attention.under("o"), inner, size)?,
            feed_forward_norm: RmsNorm::load_rounded(&second.under("layer_norm"), size, eps)?,
            feed_forward: load_feed_forward(&feed_forward, names, size, config.d_ff, config.activation)?,
        })
    }

    fn forward(&self, state: &Tensor, context: &Context, config: &T5Config) -> Result<Tensor> {
        let (batch, tokens, _) = state.dims3()?;
        let split = |tensor: Tensor| -> Result<Tensor> {
            let heads = tensor.reshape((batch, tokens, config.num_heads, config.d_kv))?;
            Ok(heads.transpose(1, 2)?.contiguous()?)
        };
        let normed = self.attention_norm.forward(state)?;
        let query = split(self.query.forward(&normed)?)?;
        let key = split(self.key.forward(&normed)?)?;
        let value = split(self.value.forward(&normed)?)?;
        // Not divided by the root of the channels: the initial weights have it in them.
        let rules =
            Scores { scale: 1.0, soft_cap: None, bias: Some(&context.bias), mask: Some(&context.mask) };
        let seen = attention_with(&query, &key, &value, &rules)?;
        let joined = seen.transpose(1, 2)?.contiguous()?.reshape((batch, tokens, ()))?;
        let state = (state + self.output.forward(&joined)?.to_dtype(state.dtype())?)?;
        let fed = self.feed_forward.forward(&self.feed_forward_norm.forward(&state)?)?;
        Ok((&state + fed.to_dtype(state.dtype())?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_name_of_the_table_and_any_prefix_will_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]).unwrap();
        let names = ["t5.encoder.final_layer_norm.weight", "t5.encoder.embed_tokens.weight"];
        let tensors = names.map(|name| (name, view.clone()));
        std::fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
        let checkpoint = Checkpoint::open_file(&path).unwrap();
        let keys = T5Encoder::key_map(&checkpoint);
        let found = keys.resolve("shared.weight", &checkpoint);
        assert_eq!(found.as_deref(), Some("t5.encoder.embed_tokens.weight"));
    }
}
