//! Any of the text encoders, told apart by what its folder holds.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::recognise::recognise;
use super::{
    Bert, BertConfig, ClapText, Decoder, DecoderConfig, T5Config, T5Encoder, TextFolder, TextKind,
    TokenBatch, gguf,
};
use crate::weights::{Checkpoint, Expected, KeyMap, Report, Weights, verify};
use crate::{Interrupt, ModelError, Result};

/// The configuration of a text encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

    /// The name of the network, to show.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Decoder(config) => config.family.name(),
            Self::T5(_) => "T5",
            Self::Bert(_) => "BERT",
            Self::ClapText(_) => "CLAP",
        }
    }

    /// Channels of its hidden states.
    pub fn width(&self) -> usize {
        match self {
            Self::Decoder(config) => config.hidden_size,
            Self::T5(config) => config.d_model,
            Self::Bert(config) | Self::ClapText(config) => config.hidden_size,
        }
    }

    /// The number of its layers; it has one hidden state more.
    pub fn layers(&self) -> usize {
        match self {
            Self::Decoder(config) => config.num_hidden_layers,
            Self::T5(config) => config.num_layers,
            Self::Bert(config) | Self::ClapText(config) => config.num_hidden_layers,
        }
    }

    /// Attention heads.
    pub fn heads(&self) -> usize {
        match self {
            Self::Decoder(config) => config.num_attention_heads,
            Self::T5(config) => config.num_heads,
            Self::Bert(config) | Self::ClapText(config) => config.num_attention_heads,
        }
    }

    /// The number of tokens that it knows.
    pub fn vocabulary(&self) -> usize {
        match self {
            Self::Decoder(config) => config.vocab_size,
            Self::T5(config) => config.vocab_size,
            Self::Bert(config) | Self::ClapText(config) => config.vocab_size,
        }
    }

    /// The tensors that [`TextNetwork::load_until`] reads.
    ///
    /// # Errors
    /// [`ModelError::Candle`] when memory runs out.
    pub fn expected_until(&self, state: usize) -> Result<Expected> {
        let plan = Weights::plan();
        TextNetwork::load_until(&plan, self, state)?;
        Ok(plan.planned())
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
    /// As [`TextFolder::open`] and [`Weights::tensor`].
    pub fn open(path: &Path, dtype: DType, device: &Device, interrupt: &Interrupt) -> Result<Self> {
        let folder = TextFolder::open(path, None)?;
        Self::load(&folder.weights(dtype, device, interrupt)?, &folder.config)
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

    /// Reads what the hidden state behind layer `state` needs. Only decoders leave anything out: the layers behind it
    /// and the final norm.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load_until(weights: &Weights, config: &TextConfig, state: usize) -> Result<Self> {
        match config {
            TextConfig::Decoder(config) if state < config.num_hidden_layers => {
                Ok(Self::Decoder(Box::new(Decoder::load_layers(weights, config, state)?)))
            }
            config => Self::load(weights, config),
        }
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> TextConfig {
        match self {
            Self::Decoder(network) => TextConfig::Decoder(network.config().clone()),
            Self::T5(network) => TextConfig::T5(network.config().clone()),
            Self::Bert(network) => TextConfig::Bert(network.config().clone()),
            Self::ClapText(network) => TextConfig::ClapText(network.bert.config().clone()),
        }
    }

    /// The hidden state behind layer `index`, counted as in [`hidden_states`](Self::hidden_states).
    ///
    /// # Shapes
    /// `[prompts, tokens, channels]`.
    ///
    /// # Errors
    /// As [`hidden_states`](Self::hidden_states); [`ModelError::Input`] when there is no such layer, or it was not
    /// loaded.
    pub fn hidden_state(&self, batch: &TokenBatch, index: usize, interrupt: &Interrupt) -> Result<Tensor> {
        let layers = self.config().layers();
        if index == layers {
            return self.last_hidden_state(batch, interrupt);
        }
        if let Self::Decoder(network) = self {
            return network.forward(batch, Some(index), interrupt);
        }
        self.hidden_states(batch, interrupt)?.into_iter().nth(index).ok_or_else(|| {
            ModelError::input("the hidden state", format!("at most {layers}"), index.to_string())
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
