//! A decoder as a text encoder: Gemma, Gemma 2, Llama, Qwen3.
//!
//! Sources: `modeling_gemma.py`, `modeling_gemma2.py`, `modeling_llama.py`, `modeling_qwen3.py` of transformers. Its
//! implementation `sdpa` leaves the cap of the scores of Gemma 2 out in some versions; `eager` is followed here.

use candle_core::{DType, Device, Tensor};

use super::decoder_layer::{Context, Layer, load_norm};
use super::prefix::prefixed;
use super::token_rows::TokenRows;
use super::{DecoderConfig, TokenBatch, gguf};
use crate::nn::RmsNorm;
use crate::weights::{Checkpoint, Expected, KeyMap, Weights};
use crate::{Interrupt, ModelError, Result};

/// A decoder without its output head.
#[derive(Clone, Debug)]
pub struct Decoder {
    embedding: TokenRows,
    layers: Vec<Layer>,
    norm: Option<RmsNorm>,
    config: DecoderConfig,
    dtype: DType,
    device: Device,
}

impl Decoder {
    /// Reads what text features need: every layer but the last. The last layer and the final norm are not read.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, config: &DecoderConfig) -> Result<Self> {
        Self::load_layers(weights, config, config.num_hidden_layers.saturating_sub(1))
    }

    /// Reads the whole network.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load_whole(weights: &Weights, config: &DecoderConfig) -> Result<Self> {
        let norm = load_norm(&weights.under("norm"), config.hidden_size, config)?;
        let layers = Self::load_layers(weights, config, config.num_hidden_layers)?;
        Ok(Self { norm: Some(norm), ..layers })
    }

    /// Reads the first `count` layers and no final norm.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load_layers(weights: &Weights, config: &DecoderConfig, count: usize) -> Result<Self> {
        let names = weights.under("embed_tokens");
        let embedding = TokenRows::load(&names, "weight", config.vocab_size, config.hidden_size)?;
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
    pub fn expected(config: &DecoderConfig) -> Result<Expected> {
        let plan = Weights::plan();
        Self::load(&plan, config)?;
        Ok(plan.planned())
    }

    /// The tensors that [`load_whole`](Self::load_whole) reads.
    ///
    /// # Errors
    /// [`ModelError::Candle`] when memory runs out.
    pub fn expected_whole(config: &DecoderConfig) -> Result<Expected> {
        let plan = Weights::plan();
        Self::load_whole(&plan, config)?;
        Ok(plan.planned())
    }

    /// Names behind whatever prefix `checkpoint` has: none, `model.`, or a longer one in a file of several networks; or
    /// the names of llama.cpp.
    pub fn key_map(checkpoint: &Checkpoint) -> KeyMap {
        if gguf::has_its_names(checkpoint) {
            return gguf::decoder_keys(checkpoint);
        }
        prefixed(checkpoint, "embed_tokens.weight")
    }

    /// Whether a stored tensor may stay unread: the last layer, the final norm, the output head, position tables, and a
    /// tokenizer that was stored as a tensor.
    pub fn is_ignorable(config: &DecoderConfig, stored: &str) -> bool {
        let name = stored.strip_prefix("model.").unwrap_or(stored);
        let last = format!("layers.{}.", config.num_hidden_layers.saturating_sub(1));
        name.starts_with(&last)
            || name == "norm.weight"
            || name == "lm_head.weight"
            || name == "spiece_model"
            || name.ends_with("rotary_emb.inv_freq")
            || gguf::is_ignorable(config.num_hidden_layers, stored)
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The output of layer `stop_after_layer` (counted from 1; 0 is the embedding), by default of the last layer but
    /// one, which is what Lumina-Next, Lumina-Image-2.0 and Z-Image use. No final norm is applied.
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
        for (index, layer) in layers.iter().enumerate() {
            interrupt.check()?;
            state = layer.forward(&state, &context.of(index), &self.config)?;
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
        for (index, layer) in self.layers.iter().enumerate() {
            interrupt.check()?;
            if let Some(state) = states.last() {
                states.push(layer.forward(state, &context.of(index), &self.config)?);
            }
        }
        if let Some((norm, last)) = self.norm.as_ref().zip(states.last_mut()) {
            *last = norm.forward(last)?;
        }
        Ok(states)
    }

    /// The output of the last layer after the final norm, which is what Lumina-T2I uses (`last_hidden_state`).
    ///
    /// # Shapes
    /// `[prompts, tokens, hidden_size]`.
    ///
    /// # Errors
    /// As [`forward`](Self::forward); [`ModelError::Input`] when it was not loaded whole.
    pub fn last_hidden_state(&self, batch: &TokenBatch, interrupt: &Interrupt) -> Result<Tensor> {
        let Some(norm) = &self.norm else {
            return Err(ModelError::input("the decoder", "loaded whole", "without the final norm"));
        };
        norm.forward(&self.forward(batch, Some(self.config.num_hidden_layers), interrupt)?)
    }

    fn embed(&self, batch: &TokenBatch) -> Result<Tensor> {
        let rows = self.embedding.rows(batch, self.dtype, &self.device)?;
        if !self.config.scaled_embedding {
            return Ok(rows);
        }
        // The factor is rounded to the number format of the network: 45.25 and not 45.2548 in bf16.
        let root = Tensor::new((self.config.hidden_size as f64).sqrt() as f32, &self.device)?;
        Ok(rows.broadcast_mul(&root.to_dtype(self.dtype)?)?)
    }
}
