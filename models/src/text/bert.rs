//! BERT and its kin: MiniLM, and the text towers of CLAP.
//!
//! Source: `modeling_bert.py` and `modeling_clap.py` (`ClapTextModel`) of transformers.

use candle_core::{DType, Device, Tensor};

use super::bert_layer::Layer;
use super::prefix::prefixed;
use super::token_rows::TokenRows;
use super::{BertConfig, Positions, TokenBatch};
use crate::nn::{AttentionMask, LayerNorm};
use crate::weights::{Checkpoint, Expected, KeyMap, Weights};
use crate::{Interrupt, ModelError, Result};

/// A BERT without its pooling layer and heads.
#[derive(Clone, Debug)]
pub struct Bert {
    words: TokenRows,
    positions: TokenRows,
    /// The row of the first token type.
    token_type: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
    config: BertConfig,
    dtype: DType,
    device: Device,
}

impl Bert {
    /// Reads the network.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, config: &BertConfig) -> Result<Self> {
        let (size, rows) = (config.hidden_size, weights.under("embeddings"));
        let table = |name: &str, count: usize| TokenRows::load(&rows.under(name), "weight", count, size);
        let layers = (0..config.num_hidden_layers)
            .map(|layer| Layer::load(&weights.under("encoder.layer").under(layer), config))
            .collect::<Result<Vec<_>>>()?;
        let types = rows.under("token_type_embeddings").tensor("weight", &[config.type_vocab_size, size])?;
        Ok(Self {
            words: table("word_embeddings", config.vocab_size)?,
            positions: table("position_embeddings", config.max_position_embeddings)?,
            token_type: types.narrow(0, 0, 1)?,
            norm: LayerNorm::load(&rows.under("LayerNorm"), size, config.layer_norm_eps)?,
            layers,
            config: config.clone(),
            dtype: weights.dtype(),
            device: weights.device().clone(),
        })
    }

    /// The tensors that [`load`](Self::load) reads.
    ///
    /// # Errors
    /// [`ModelError::Candle`] when memory runs out.
    pub fn expected(config: &BertConfig) -> Result<Expected> {
        let plan = Weights::plan();
        Self::load(&plan, config)?;
        Ok(plan.planned())
    }

    /// Names behind whatever prefix `checkpoint` has: none, `bert.`, or a longer one in a file of several networks.
    pub fn key_map(checkpoint: &Checkpoint) -> KeyMap {
        prefixed(checkpoint, "embeddings.word_embeddings.weight")
    }

    /// Whether a stored tensor may stay unread: the pooling layer, the heads, tables of constants.
    pub fn is_ignorable(stored: &str) -> bool {
        let name = stored.strip_prefix("bert.").unwrap_or(stored);
        ["pooler.", "cls.", "embeddings.position_ids", "embeddings.token_type_ids"]
            .iter()
            .any(|start| name.starts_with(start))
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// The last hidden state.
    ///
    /// Lumina's audio masks no padding: it passes a batch whose mask is 1 everywhere.
    ///
    /// # Shapes
    /// `[prompts, tokens, hidden_size]`.
    ///
    /// # Errors
    /// [`ModelError::Input`] for an empty or ragged batch, an unknown token, or more tokens than there are positions;
    /// [`ModelError::Interrupted`].
    pub fn forward(&self, batch: &TokenBatch, interrupt: &Interrupt) -> Result<Tensor> {
        let mut state = self.embed(batch)?;
        let mask = AttentionMask::keys(&batch.mask, &self.device)?;
        for layer in &self.layers {
            interrupt.check()?;
            state = layer.forward(&state, &mask, &self.config)?;
        }
        Ok(state)
    }

    /// Every hidden state as transformers counts them: the embedding, then the output of each layer.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn hidden_states(&self, batch: &TokenBatch, interrupt: &Interrupt) -> Result<Vec<Tensor>> {
        let mut states = vec![self.embed(batch)?];
        let mask = AttentionMask::keys(&batch.mask, &self.device)?;
        for layer in &self.layers {
            interrupt.check()?;
            if let Some(state) = states.last() {
                states.push(layer.forward(state, &mask, &self.config)?);
            }
        }
        Ok(states)
    }

    fn embed(&self, batch: &TokenBatch) -> Result<Tensor> {
        let words = self.words.rows(batch, self.dtype, &self.device)?;
        let positions = self.places(batch)?;
        let positions = self.positions.pick(positions, self.dtype, &self.device)?.reshape(words.dims())?;
        // In the order of the original: the sum is rounded after each step.
        let sum = (words.broadcast_add(&self.token_type.reshape((1, 1, ()))?)? + positions)?;
        self.norm.forward(&sum)
    }

    /// The position of each token.
    fn places(&self, batch: &TokenBatch) -> Result<Vec<u32>> {
        let places: Vec<u32> = match self.config.positions {
            Positions::All => batch.ids.iter().flat_map(|row| 0..row.len() as u32).collect(),
            Positions::BehindPadding(padding) => {
                let rows = batch.ids.iter().map(|row| {
                    row.iter().scan(padding, move |last, &id| {
                        let real = id != padding;
                        *last = last.saturating_add(u32::from(real));
                        Some(if real { *last } else { padding })
                    })
                });
                rows.flatten().collect()
            }
        };
        let table = self.config.max_position_embeddings;
        match places.iter().max() {
            Some(&last) if last as usize >= table => {
                let expected = format!("below {table}, the number of positions");
                Err(ModelError::input("the position of a token", expected, last.to_string()))
            }
            _ => Ok(places),
        }
    }
}
