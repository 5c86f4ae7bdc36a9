//! Any of the text encoders, told apart by what its folder holds.

use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::recognise::recognise;
use super::{
    Bert, BertConfig, ClapText, Decoder, DecoderConfig, T5Config, T5Encoder, TextKind, TokenBatch, gguf,
};
use crate::weights::{Checkpoint, Expected, KeyMap, Report, Weights, verify};
use crate::{Interrupt, ModelError, Result};

/// The configuration of a text encoder.
#[derive(Clone, Debug, PartialEq)]
pub enum TextConfig {
    /// Gemma, Gemma 2, Llama or Qwen3.
    Decoder(DecoderConfig),
    /// T5 or FLAN-T5.
    T5(T5Config),
    /// BERT or MiniLM.
    Bert(BertConfig),
    /// The text tower of CLAP.
    ClapText(BertConfig),
}

/// A text encoder.
#[derive(Clone, Debug)]
pub enum TextNetwork {
    /// Gemma, Gemma 2, Llama or Qwen3.
    Decoder(Box<Decoder>),
    /// T5 or FLAN-T5.
    T5(Box<T5Encoder>),
    /// BERT or MiniLM.
    Bert(Box<Bert>),
    /// The text tower of CLAP.
    ClapText(Box<ClapText>),
}

impl TextConfig {
    /// Reads the config of `weights` at `path`; see [`recognise`]. Of a GGUF file with the names of llama.cpp the
    /// metadata is read instead.
    ///
    /// # Errors
    /// [`crate::ModelError::FileNotFound`]; [`ModelError::Config`] with the name of a field that is wrong or unsupported, or
    /// when nothing tells which text encoder it is.
    pub fn read(path: &Path, weights: &Checkpoint) -> Result<Self> {
        if let Some(metadata) = weights.gguf_metadata() {
            let fail = |reason| ModelError::config(weights.path(), reason);
            if gguf::has_its_names(weights) {
                return gguf::read(weights, metadata).map_err(fail);
            }
            if !path.is_file() {
                let named = metadata.architecture().unwrap_or("unknown");
                return Err(fail(format!(
                    "its tensors (architecture `{named}`) have other names than those of llama.cpp, so its config has \
                     to be beside it, in `{}`",
                    path.display()
                )));
            }
        }
        crate::config_file::read(path, |text| match recognise(text, weights)? {
            TextKind::Decoder(family) => DecoderConfig::parse_as(family, text).map(Self::Decoder),
            TextKind::T5 => T5Config::parse(text).map(Self::T5),
            TextKind::Bert => BertConfig::parse(text).map(Self::Bert),
            TextKind::ClapText => BertConfig::parse(text).map(Self::ClapText),
        })
    }

    /// The tensors that the whole network reads.
    ///
    /// # Errors
    /// [`crate::ModelError::Candle`] when memory runs out.
    pub fn expected(&self) -> Result<Expected> {
        match self {
            Self::Decoder(config) => Decoder::expected_whole(config),
            Self::T5(config) => T5Encoder::expected(config),
            Self::Bert(config) => Bert::expected(config),
            Self::ClapText(config) => ClapText::expected(config),
        }
    }

    /// The names of `checkpoint`.
    pub fn key_map(&self, checkpoint: &Checkpoint) -> KeyMap {
        match self {
            Self::Decoder(_) => Decoder::key_map(checkpoint),
            Self::T5(_) => T5Encoder::key_map(checkpoint),
            Self::Bert(_) => Bert::key_map(checkpoint),
            Self::ClapText(_) => ClapText::key_map(checkpoint),
        }
    }

    /// Whether a stored tensor may stay unread.
    pub fn is_ignorable(&self, stored: &str) -> bool {
        match self {
            Self::Decoder(config) => Decoder::is_ignorable(config, stored),
            Self::T5(_) => T5Encoder::is_ignorable(stored),
            Self::Bert(_) => Bert::is_ignorable(stored),
            Self::ClapText(_) => ClapText::is_ignorable(stored),
        }
    }

    /// Compares the headers of `checkpoint` with what the whole network reads.
    ///
    /// # Errors
    /// [`crate::ModelError::Candle`] when memory runs out.
    pub fn verify(&self, checkpoint: &Checkpoint) -> Result<Report> {
        let ignorable = |stored: &str| self.is_ignorable(stored);
        Ok(verify(checkpoint, &self.key_map(checkpoint), &self.expected()?, &ignorable))
    }
}

impl TextNetwork {
    /// Reads the whole network of a folder with `config.json` and `model.safetensors`, or its shards; or of one file,
    /// GGUF or safetensors, with `config.json` beside it where it is needed.
    ///
    /// # Errors
    /// As [`TextConfig::read`], [`Checkpoint::open`] and [`Weights::tensor`].
    pub fn open(path: &Path, dtype: DType, device: &Device, interrupt: &Interrupt) -> Result<Self> {
        let (folder, checkpoint) = match path.is_file() {
            true => (path.parent().unwrap_or(Path::new(".")), Checkpoint::open_file(path)?),
            false => (path, Checkpoint::open(path, "model")?),
        };
        let config = TextConfig::read(&folder.join("config.json"), &checkpoint)?;
        let keys = config.key_map(&checkpoint);
        Self::load(&Weights::open(&checkpoint, keys, dtype, device, interrupt)?, &config)
    }

    /// Reads the whole network.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, config: &TextConfig) -> Result<Self> {
        Ok(match config {
            TextConfig::Decoder(config) => Self::Decoder(Box::new(Decoder::load_whole(weights, config)?)),
            TextConfig::T5(config) => Self::T5(Box::new(T5Encoder::load(weights, config)?)),
            TextConfig::Bert(config) => Self::Bert(Box::new(Bert::load(weights, config)?)),
            TextConfig::ClapText(config) => Self::ClapText(Box::new(ClapText::load(weights, config)?)),
        })
    }

    /// Every hidden state as transformers counts them; the last one is after the final norm where there is one.
    ///
    /// # Shapes
    /// Each `[prompts, tokens, channels]`.
    ///
    /// # Errors
    /// [`crate::ModelError::Input`] for an empty or ragged batch or an unknown token; [`ModelError::Interrupted`].
    pub fn hidden_states(&self, batch: &TokenBatch, interrupt: &Interrupt) -> Result<Vec<Tensor>> {
        match self {
            Self::Decoder(network) => network.hidden_states(batch, interrupt),
            Self::T5(network) => network.hidden_states(batch, interrupt),
            Self::Bert(network) => network.hidden_states(batch, interrupt),
            Self::ClapText(network) => network.bert.hidden_states(batch, interrupt),
        }
    }

    /// The last of the [`hidden_states`](Self::hidden_states).
    ///
    /// # Errors
    /// As [`hidden_states`](Self::hidden_states).
    pub fn last_hidden_state(&self, batch: &TokenBatch, interrupt: &Interrupt) -> Result<Tensor> {
        match self {
            Self::Decoder(network) => network.last_hidden_state(batch, interrupt),
            Self::T5(network) => network.forward(batch, interrupt),
            Self::Bert(network) => network.forward(batch, interrupt),
            Self::ClapText(network) => network.bert.forward(batch, interrupt),
        }
    }
}
