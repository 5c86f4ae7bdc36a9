//! The decoders that serve as text encoders, and what each does differently.

use serde::{Deserialize, Serialize};

use super::decoder_config::{DecoderConfig, NormStyle, Rotation, Windowed};
use crate::nn::Activation;

/// A family of decoders. All are one network; see [`DecoderConfig`] for what differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DecoderFamily {
    /// First generation: Lumina-Next.
    Gemma,
    /// Second generation: Lumina-Image-2.0.
    Gemma2,
    /// Llama 2: Lumina-T2I.
    Llama,
    /// Z-Image.
    Qwen3,
}

impl DecoderFamily {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Gemma, Self::Gemma2, Self::Llama, Self::Qwen3];

    /// Its `model_type` in `config.json`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Gemma => "gemma",
            Self::Gemma2 => "gemma2",
            Self::Llama => "llama",
            Self::Qwen3 => "qwen3",
        }
    }

    /// The name to show.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gemma => "Gemma",
            Self::Gemma2 => "Gemma 2",
            Self::Llama => "Llama",
            Self::Qwen3 => "Qwen3",
        }
    }

    /// The family that a config file names: by `model_type`, else by the first of `architectures`.
    ///
    /// # Errors
    /// When the file does not parse, or names something else.
    pub fn of_config(text: &[u8]) -> Result<Option<Self>, String> {
        let Some(name) = super::recognise::named_in(text)? else { return Ok(None) };
        let family = Self::ALL.into_iter().find(|family| family.model_type() == name.model_type);
        family.map(Some).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|family| format!("`{}`", family.model_type())).collect();
            format!("`{}` is `{}`, expected one of {}", name.field, name.model_type, known.join(", "))
        })
    }

    /// The largest published network of the family that is used here, with all the habits of the family.
    ///
    /// Sources: `config.json` of `google/gemma-2b`, `google/gemma-2-2b`, `meta-llama/Llama-2-7b-hf`, `Qwen/Qwen3-4B`.
    pub fn config(self) -> DecoderConfig {
        let gemma = DecoderConfig {
            family: self,
            vocab_size: 256_000,
            hidden_size: 2048,
            intermediate_size: 16_384,
            num_hidden_layers: 18,
            num_attention_heads: 8,
            num_key_value_heads: 1,
            head_dim: 256,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            activation: Activation::GeluTanh,
            norm: NormStyle::OnePlusWeight,
            rotation: Rotation::Halves,
            scaled_embedding: true,
            query_key_norm: false,
            post_norms: false,
            query_pre_attn_scalar: 256.0,
            attn_logit_softcapping: None,
            sliding_window: None,
            windowed: Windowed::Even,
        };
        let plain = DecoderConfig {
            activation: Activation::Silu,
            norm: NormStyle::Weight,
            scaled_embedding: false,
            head_dim: 128,
            query_pre_attn_scalar: 128.0,
            num_attention_heads: 32,
            ..gemma.clone()
        };
        match self {
            Self::Gemma => gemma,
            Self::Gemma2 => DecoderConfig {
                hidden_size: 2304,
                intermediate_size: 9216,
                num_hidden_layers: 26,
                num_key_value_heads: 4,
                post_norms: true,
                attn_logit_softcapping: Some(50.0),
                sliding_window: Some(4096),
                ..gemma
            },
            Self::Llama => DecoderConfig {
                vocab_size: 32_000,
                hidden_size: 4096,
                intermediate_size: 11_008,
                num_hidden_layers: 32,
                num_key_value_heads: 32,
                rms_norm_eps: 1e-5,
                ..plain
            },
            Self::Qwen3 => DecoderConfig {
                vocab_size: 151_936,
                hidden_size: 2560,
                intermediate_size: 9728,
                num_hidden_layers: 36,
                num_key_value_heads: 8,
                rope_theta: 1e6,
                query_key_norm: true,
                ..plain
            },
        }
    }
}
