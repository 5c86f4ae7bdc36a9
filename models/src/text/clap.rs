//! The text towers of two CLAPs, and the embedding of a sentence.

use candle_core::{DType, Tensor};

use super::prefix::prefixed;
use super::{Bert, BertConfig, TokenBatch};
use crate::nn::{Activation, LayerNorm, Linear};
use crate::weights::{Checkpoint, Expected, KeyMap, Weights};
use crate::{Interrupt, ModelError, Result};

/// The text tower of CLAP as transformers has it: one vector for a text.
///
/// Source: `ClapTextModelWithProjection` of transformers.
#[derive(Clone, Debug)]
pub struct ClapText {
    /// The network below.
    pub bert: Bert,
    pooler: Linear,
    first: Linear,
    second: Linear,
    activation: Activation,
}

impl ClapText {
    /// Reads network, pooling layer and projection.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, config: &BertConfig) -> Result<Self> {
        let (text, projection) = (weights.under("text_model"), weights.under("text_projection"));
        let (size, width) = (config.hidden_size, config.projection_dim.unwrap_or(config.hidden_size));
        Ok(Self {
            bert: Bert::load(&text, config)?,
            pooler: Linear::load(&text.under("pooler.dense"), size, size)?,
            first: Linear::load(&projection.under("linear1"), size, width)?,
            second: Linear::load(&projection.under("linear2"), width, width)?,
            activation: config.projection_activation,
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

    /// Names behind whatever prefix `checkpoint` has.
    pub fn key_map(checkpoint: &Checkpoint) -> KeyMap {
        prefixed(checkpoint, "text_model.embeddings.word_embeddings.weight")
    }

    /// Whether a stored tensor may stay unread: tables of constants, and the audio side of a whole CLAP.
    pub fn is_ignorable(stored: &str) -> bool {
        [
            "text_model.embeddings.position_ids",
            "text_model.embeddings.token_type_ids",
            "audio_",
            "logit_scale",
        ]
        .iter()
        .any(|start| stored.starts_with(start))
    }

    /// The vector of each text, not brought to length 1 (`text_embeds`).
    ///
    /// # Shapes
    /// `[prompts, projection_dim]`.
    ///
    /// # Errors
    /// As [`Bert::forward`].
    pub fn forward(&self, batch: &TokenBatch, interrupt: &Interrupt) -> Result<Tensor> {
        self.project(&self.bert.forward(batch, interrupt)?)
    }

    /// As [`forward`](Self::forward), from the last hidden state: its first token is what counts.
    ///
    /// # Errors
    /// [`ModelError::Input`] when the state has another width.
    pub fn project(&self, state: &Tensor) -> Result<Tensor> {
        let pooled = self.pooler.forward(&state.narrow(1, 0, 1)?.squeeze(1)?)?.tanh()?;
        self.second.forward(&self.activation.apply(&self.first.forward(&pooled)?)?)
    }
}

/// The caption tower of the CLAP of 2022, as Lumina's audio uses it: a vector for every token.
///
/// Source: `TextEncoder` and `Projection` of `lumina_audio/models/encoders/CLAP/clap.py` of Lumina-T2X; the projection is
/// put on the whole last hidden state there (`encoders/modules.py`).
#[derive(Clone, Debug)]
pub struct CaptionTower {
    /// The network below.
    pub bert: Bert,
    first: Linear,
    second: Linear,
    norm: LayerNorm,
}

impl CaptionTower {
    /// Width of the projection in the released checkpoint.
    pub const WIDTH: usize = 1024;

    /// Reads `base` and `projection`, which is `width` wide.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, config: &BertConfig, width: usize) -> Result<Self> {
        let projection = weights.under("projection");
        Ok(Self {
            bert: Bert::load(&weights.under("base"), config)?,
            first: Linear::load_without_bias(&projection.under("linear1"), config.hidden_size, width)?,
            second: Linear::load_without_bias(&projection.under("linear2"), width, width)?,
            norm: LayerNorm::load(&projection.under("layer_norm"), width, 1e-5)?,
        })
    }

    /// The tensors that [`load`](Self::load) reads.
    ///
    /// # Errors
    /// [`ModelError::Candle`] when memory runs out.
    pub fn expected(config: &BertConfig, width: usize) -> Result<Expected> {
        let plan = Weights::plan();
        Self::load(&plan, config, width)?;
        Ok(plan.planned())
    }

    /// Names behind whatever prefix `checkpoint` has: `cond_stage_model.caption_encoder.` in the main checkpoint.
    pub fn key_map(checkpoint: &Checkpoint) -> KeyMap {
        prefixed(checkpoint, "base.embeddings.word_embeddings.weight")
    }

    /// # Shapes
    /// `[prompts, tokens, width]`.
    ///
    /// # Errors
    /// As [`Bert::forward`].
    pub fn forward(&self, batch: &TokenBatch, interrupt: &Interrupt) -> Result<Tensor> {
        self.project(&self.bert.forward(batch, interrupt)?)
    }

    /// As [`forward`](Self::forward), from the last hidden state.
    ///
    /// # Errors
    /// [`ModelError::Input`] when the state has another width.
    pub fn project(&self, state: &Tensor) -> Result<Tensor> {
        let straight = self.first.forward(state)?;
        let bent = self.second.forward(&Activation::GeluExact.apply(&straight)?)?;
        self.norm.forward(&(straight + bent)?)
    }
}

/// The mean of the tokens that are no padding, brought to length 1: what sentence encoders such as MiniLM give.
///
/// Source: `Pooling` and `Normalize` of sentence-transformers.
///
/// # Shapes
/// `state` is `[prompts, tokens, channels]`; gives `[prompts, channels]` in f32.
///
/// # Errors
/// [`ModelError::Input`] when the mask does not fit.
pub fn sentence_embedding(state: &Tensor, mask: &[Vec<u32>]) -> Result<Tensor> {
    let (prompts, tokens, _) = state.dims3()?;
    if mask.len() != prompts || mask.iter().any(|row| row.len() != tokens) {
        let expected = format!("{prompts} rows of {tokens}");
        return Err(ModelError::input("the mask of the sentences", expected, format!("{} rows", mask.len())));
    }
    let seen: Vec<f32> = mask.iter().flatten().map(|&seen| if seen == 0 { 0.0 } else { 1.0 }).collect();
    let seen = Tensor::from_vec(seen, (prompts, tokens, 1), state.device())?;
    let count = seen.sum(1)?.maximum(1e-9)?;
    let mean = state.to_dtype(DType::F32)?.broadcast_mul(&seen)?.sum(1)?.broadcast_div(&count)?;
    unit_length(&mean)
}

/// Vectors divided by their length.
///
/// # Shapes
/// `[vectors, channels]` to the same, in f32.
///
/// # Errors
/// [`ModelError::Candle`] when memory runs out.
pub fn unit_length(vectors: &Tensor) -> Result<Tensor> {
    let wide = vectors.to_dtype(DType::F32)?;
    let length = wide.sqr()?.sum_keepdim(candle_core::D::Minus1)?.sqrt()?.maximum(1e-12)?;
    Ok(wide.broadcast_div(&length)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_sentence_is_the_mean_of_its_real_tokens() {
        let state = Tensor::new(&[[[3.0_f32, 0.0], [3.0, 8.0], [9.0, 9.0]]], &Device::Cpu).unwrap();
        let found = sentence_embedding(&state, &[vec![1, 1, 0]]).unwrap().to_vec2::<f32>().unwrap();
        assert!((found[0][0] - 0.6).abs() < 1e-6 && (found[0][1] - 0.8).abs() < 1e-6, "{found:?}");
        assert!(sentence_embedding(&state, &[vec![1, 1]]).is_err());
        let nothing = sentence_embedding(&state, &[vec![0, 0, 0]]).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(nothing, [[0.0, 0.0]]);
    }
}
