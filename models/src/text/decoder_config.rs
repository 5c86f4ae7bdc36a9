//! The `config.json` of a decoder that is used as a text encoder.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::decoder_family::DecoderFamily;
use crate::Result;
use crate::nn::Activation;

/// Sizes and habits of a decoder.
///
/// [`DecoderFamily::config`] has the habits of each family; the sizes are those of `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecoderConfig {
    /// Whose names its config had.
    pub family: DecoderFamily,
    /// Number of token numbers.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward layers.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads.
    pub num_key_value_heads: usize,
    /// Channels of a head; not `hidden_size / num_attention_heads` in general.
    pub head_dim: usize,
    /// Epsilon of the norms.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Activation of the feed-forward layers.
    pub activation: Activation,
    /// What the norms multiply with.
    pub norm: NormStyle,
    /// Which channels of queries and keys are turned together.
    pub rotation: Rotation,
    /// Whether embeddings are multiplied by the root of `hidden_size`.
    pub scaled_embedding: bool,
    /// Whether queries and keys are normalised, each head on its own, before they are rotated.
    pub query_key_norm: bool,
    /// Whether what attention and feed-forward layer give is normalised too, before it is added.
    pub post_norms: bool,
    /// Scores are divided by the root of this; the channels of a head in most families.
    pub query_pre_attn_scalar: f64,
    /// Scores are kept between plus and minus this.
    pub attn_logit_softcapping: Option<f64>,
    /// How many tokens a token of a windowed layer sees, itself counted.
    pub sliding_window: Option<usize>,
    /// Which layers have the window.
    pub windowed: Windowed,
}

/// What a norm multiplies with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NormStyle {
    /// One plus the weight, in f32.
    OnePlusWeight,
    /// The weight, in the number format of the network.
    Weight,
    /// The weight in f32, which holds the one already.
    Sum,
}

/// Which channels of a head are turned by one angle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rotation {
    /// The first of one half with the first of the other, and so on.
    Halves,
    /// Neighbours.
    Pairs,
}

/// Layers with a sliding window, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Windowed {
    /// 0, 2, 4..
    Even,
    /// This one and all behind it.
    From(usize),
    /// Those that are true.
    List(Vec<bool>),
}

impl DecoderConfig {
    /// Reads `config.json`, with the field names of transformers before or since version 5.
    ///
    /// The family is told by `model_type`, else by `architectures`. A file with neither is taken for one of Gemma.
    /// `hidden_act: "gelu"` of a Gemma means the tanh approximation: an old misnomer of the published files that
    /// transformers corrects silently.
    ///
    /// # Errors
    /// [`ModelError::FileNotFound`](crate::ModelError::FileNotFound); [`ModelError::Config`](crate::ModelError::Config)
    /// with the name of a field that is wrong or unsupported.
    pub fn read(path: &Path) -> Result<Self> {
        crate::config_file::read(path, Self::parse)
    }

    /// As [`read`](Self::read), from the text of the file.
    ///
    /// # Errors
    /// What is wrong, with the name of the field.
    pub fn parse(text: &[u8]) -> std::result::Result<Self, String> {
        let family = DecoderFamily::of_config(text)?.unwrap_or(DecoderFamily::Gemma);
        Self::parse_as(family, text)
    }

    /// As [`parse`](Self::parse), whatever family the file names.
    ///
    /// # Errors
    /// What is wrong, with the name of the field.
    pub fn parse_as(family: DecoderFamily, text: &[u8]) -> std::result::Result<Self, String> {
        super::decoder_fields::parse(family, text)
    }

    /// Whether layer `layer`, counted from 0, has the sliding window.
    pub fn is_windowed(&self, layer: usize) -> bool {
        self.sliding_window.is_some()
            && match &self.windowed {
                Windowed::Even => layer.is_multiple_of(2),
                Windowed::From(first) => layer >= *first,
                Windowed::List(list) => list.get(layer).copied().unwrap_or(false),
            }
    }
}
