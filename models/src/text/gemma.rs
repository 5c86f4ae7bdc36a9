//! Gemma, first generation, as a text encoder.
//!
//! Source: `modeling_gemma.py` of transformers.

use candle_core::{DType, Tensor};

use super::{GemmaConfig, TokenBatch};
use crate::nn::rope::{RotaryTable, rotate_halves};
use crate::nn::{AttentionMask, Linear, RmsNorm, SwiGlu, SwiGluNames, attention};
use crate::weights::{Checkpoint, Expected, KeyMap, Weights};
use crate::{Interrupt, ModelError, Result};

/// A Gemma without its output head.
#[derive(Clone, Debug)]
pub struct Gemma {
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: Option<RmsNorm>,
    config: GemmaConfig,
    dtype: DType,
    device: candle_core::Device,
}

#[derive(Clone, Debug)]
struct Layer {
    input_norm: RmsNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    feed_forward_norm: RmsNorm,
    feed_forward: SwiGlu,
}

impl Gemma {
    /// Reads what text features need: every layer but the last. The last layer and the final norm are not read.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, config: &GemmaConfig) -> Result<Self> {
        Self::load_layers(weights, config, config.num_hidden_layers.saturating_sub(1))
    }

    /// Reads the whole network.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load_whole(weights: &Weights, config: &GemmaConfig) -> Result<Self> {
        let norm = RmsNorm::load_offset(&weights.under("norm"), config.hidden_size, config.rms_norm_eps)?;
        let gemma = Self::load_layers(weights, config, config.num_hidden_layers)?;
        Ok(Self { norm: Some(norm), ..gemma })
    }

    fn load_layers(weights: &Weights, config: &GemmaConfig, count: usize) -> Result<Self> {
        let shape = [config.vocab_size, config.hidden_size];
        // Few rows of the table are needed, so it stays in its number format: converted it would be the largest part.
        let embedding = weights.under("embed_tokens").tensor_as_stored("weight", &shape)?;
        let layers = (0..count)
            .map(|layer| Layer::load(&weights.under("layers").under(layer), config))
            .collect::<Result<Vec<_>>>()?;
        let (dtype, device) = (weights.dtype(), weights.device().clone());
        Ok(Self { embedding, layers, norm: None, config: config.clone(), dtype, device })
    }

    /// The tensors that [`load`](Self::load) reads.
    ///
    /// # Errors
    /// [`ModelError::Candle`] when memory runs out.
    pub fn expected(config: &GemmaConfig) -> Result<Expected> {
        let plan = Weights::plan();
        Self::load(&plan, config)?;
        Ok(plan.planned())
    }

    /// Names with or without the `model.` prefix, whichever `checkpoint` has.
    pub fn key_map(checkpoint: &Checkpoint) -> KeyMap {
        if checkpoint.get("model.embed_tokens.weight").is_some() {
            KeyMap::with_prefix("model.")
        } else {
            KeyMap::identity()
        }
    }

    /// Whether a stored tensor may stay unread: the last layer, the final norm, the output head, position tables.
    pub fn is_ignorable(config: &GemmaConfig, stored: &str) -> bool {
        let name = stored.strip_prefix("model.").unwrap_or(stored);
        let last = format!("layers.{}.", config.num_hidden_layers.saturating_sub(1));
        name.starts_with(&last)
            || name == "norm.weight"
            || name == "lm_head.weight"
            || name.ends_with("rotary_emb.inv_freq")
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &GemmaConfig {
        &self.config
    }

    /// The output of layer `stop_after_layer` (counted from 1; 0 is the embedding), by default of the last layer but
    /// one, which is what Lumina uses. No final norm is applied.
    ///
    /// Positions count from the start of the padded row; attention is causal and does not see padding.
    ///
    /// # Shapes
    /// `[prompts, tokens, hidden_size]`.
    ///
    /// # Errors
    /// [`ModelError::Input`] for an empty or ragged batch, an unknown token or a layer that is not loaded;
    /// [`ModelError::Interrupted`].
    pub fn forward(
        &self,
        batch: &TokenBatch,
        stop_after_layer: Option<usize>,
        interrupt: &Interrupt,
    ) -> Result<Tensor> {
        let stop = stop_after_layer.unwrap_or(self.config.num_hidden_layers.saturating_sub(1));
        let Some(layers) = self.layers.get(..stop) else {
            let expected = format!("at most {}", self.layers.len());
            return Err(ModelError::input("the layer to stop after", expected, stop.to_string()));
        };
        let mut state = self.embed(batch)?;
        let context = Context::new(batch, &self.config, state.device())?;
        for layer in layers {
            interrupt.check()?;
            state = layer.forward(&state, &context, &self.config)?;
        }
        Ok(state)
    }

    /// Every hidden state as transformers counts them: the embedding, then the output of each loaded layer. In a whole
    /// network the final norm is applied to the last one.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn hidden_states(&self, batch: &TokenBatch, interrupt: &Interrupt) -> Result<Vec<Tensor>> {
        let mut states = vec![self.embed(batch)?];
        let context = Context::new(batch, &self.config, &self.device)?;
        for layer in &self.layers {
            interrupt.check()?;
            if let Some(state) = states.last() {
                states.push(layer.forward(state, &context, &self.config)?);
            }
        }
        if let Some((norm, last)) = self.norm.as_ref().zip(states.last_mut()) {
            *last = norm.forward(last)?;
        }
        Ok(states)
    }

    fn embed(&self, batch: &TokenBatch) -> Result<Tensor> {
        let (rows, tokens) = (batch.ids.len(), batch.length());
        let sizes_agree = batch.mask.len() == rows
            && batch.ids.iter().chain(&batch.mask).all(|row| row.len() == tokens)
            && rows * tokens > 0;
        if !sizes_agree {
            return Err(ModelError::input("the token batch", "rows of one length", "empty or ragged"));
        }
        let ids = batch.ids.concat();
        if let Some(id) = ids.iter().find(|&&id| id as usize >= self.config.vocab_size) {
            let expected = format!("below the vocabulary size {}", self.config.vocab_size);
            return Err(ModelError::input("a token number", expected, id.to_string()));
        }
        let ids = Tensor::new(ids, &candle_core::Device::Cpu)?;
        let rows = self.embedding.index_select(&ids, 0)?.reshape((rows, tokens, self.config.hidden_size))?;
        let rows = rows.to_dtype(self.dtype)?.to_device(&self.device)?;
        // The factor is rounded to the number format of the network: 45.25 and not 45.2548 in bf16.
        let root = Tensor::new((self.config.hidden_size as f64).sqrt() as f32, &self.device)?;
        Ok(rows.broadcast_mul(&root.to_dtype(self.dtype)?)?)
    }
}

/// What all layers share.
struct Context {
    table: RotaryTable,
    mask: AttentionMask,
}

impl Context {
    fn new(batch: &TokenBatch, config: &GemmaConfig, device: &candle_core::Device) -> Result<Self> {
        Ok(Self {
            table: RotaryTable::sequence(batch.length(), config.head_dim, config.rope_theta, device)?,
            mask: AttentionMask::causal(&batch.mask, device)?,
        })
    }
}

impl Layer {
    fn load(weights: &Weights, config: &GemmaConfig) -> Result<Self> {
        let (size, eps) = (config.hidden_size, config.rms_norm_eps);
        let queries = config.num_attention_heads * config.head_dim;
        let keys = config.num_key_value_heads * config.head_dim;
        let attention = weights.under("self_attn");
        let names = SwiGluNames { gate: "gate_proj", up: "up_proj", down: "down_proj" };
        let mlp = weights.under("mlp");
        Ok(Self {
            input_norm: RmsNorm::load_offset(&weights.under("input_layernorm"), size, eps)?,
            query: Linear::load_without_bias(&attention.under("q_proj"), size, queries)?,
            key: Linear::load_without_bias(&attention.under("k_proj"), size, keys)?,
            value: Linear::load_without_bias(&attention.under("v_proj"), size, keys)?,
            output: Linear::load_without_bias(&attention.under("o_proj"), queries, size)?,
            feed_forward_norm: RmsNorm::load_offset(&weights.under("post_attention_layernorm"), size, eps)?,
            feed_forward: SwiGlu::load(&mlp, names, size, config.intermediate_size, config.activation)?,
        })
    }

    fn forward(&self, state: &Tensor, context: &Context, config: &GemmaConfig) -> Result<Tensor> {
        let (batch, tokens, _) = state.dims3()?;
        let split = |tensor: Tensor, heads: usize| -> Result<Tensor> {
            Ok(tensor.reshape((batch, tokens, heads, config.head_dim))?.transpose(1, 2)?.contiguous()?)
        };
        let normed = self.input_norm.forward(state)?;
        let query = split(self.query.forward(&normed)?, config.num_attention_heads)?;
        let key = split(self.key.forward(&normed)?, config.num_key_value_heads)?;
        let value = split(self.value.forward(&normed)?, config.num_key_value_heads)?;
        let query = rotate_halves(&query, &context.table)?;
        let key = rotate_halves(&key, &context.table)?;
        let scale = 1.0 / (config.head_dim as f64).sqrt();
        let seen = attention(&query, &key, &value, scale, Some(&context.mask))?;
        let joined = seen.transpose(1, 2)?.contiguous()?.reshape((batch, tokens, ()))?;
        let state = (state + self.output.forward(&joined)?)?;
        let fed = self.feed_forward.forward(&self.feed_forward_norm.forward(&state)?)?;
        Ok((state + fed)?)
    }
}
