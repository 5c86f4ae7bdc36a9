//! The `config.json` of a Gemma text encoder.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::nn::Activation;

/// Sizes of a first-generation Gemma.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GemmaConfig {
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
}

#[derive(Deserialize)]
struct Stored {
    model_type: Option<String>,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: Option<f64>,
    rope_theta: Option<f64>,
    rope_scaling: Option<serde_json::Value>,
    rope_parameters: Option<RopeParameters>,
    attention_bias: Option<bool>,
    hidden_act: Option<String>,
    hidden_activation: Option<String>,
}

#[derive(Deserialize)]
struct RopeParameters {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
}

impl GemmaConfig {
    /// Reads `config.json`, with the field names of transformers before or since version 5.
    ///
    /// `hidden_act: "gelu"` means the tanh approximation: an old misnomer of the published files that transformers
    /// corrects silently.
    ///
    /// # Errors
    /// [`ModelError::FileNotFound`]; [`ModelError::Config`] with the name of a field that is wrong or unsupported.
    pub fn read(path: &Path) -> Result<Self> {
        crate::config_file::read(path, Self::parse)
    }

    /// As [`read`](Self::read), from the text of the file.
    ///
    /// # Errors
    /// What is wrong, with the name of the field.
    pub fn parse(text: &[u8]) -> std::result::Result<Self, String> {
        let stored: Stored = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if let Some(kind) = stored.model_type.as_deref().filter(|kind| *kind != "gemma") {
            return Err(format!("`model_type` is `{kind}`, expected `gemma`"));
        }
        if stored.attention_bias == Some(true) {
            return Err("`attention_bias` is true, which is not supported".to_owned());
        }
        if stored.rope_scaling.is_some_and(|scaling| !scaling.is_null()) {
            return Err("`rope_scaling` is set, which is not supported".to_owned());
        }
        let rope = stored.rope_parameters.as_ref();
        if let Some(kind) = rope.and_then(|rope| rope.rope_type.as_deref()).filter(|kind| *kind != "default")
        {
            return Err(format!("`rope_parameters.rope_type` is `{kind}`, expected `default`"));
        }
        let activation = match stored.hidden_activation.as_deref().or(stored.hidden_act.as_deref()) {
            None | Some("gelu" | "gelu_pytorch_tanh" | "gelu_new") => Activation::GeluTanh,
            Some(other) => return Err(format!("`hidden_act` is `{other}`, expected `gelu_pytorch_tanh`")),
        };
        let heads = stored.num_attention_heads;
        // Far above any real network: keeps a damaged config from overflowing products and from endless layers.
        for (name, size, most) in [
            ("vocab_size", stored.vocab_size, 1 << 24),
            ("hidden_size", stored.hidden_size, 1 << 20),
            ("intermediate_size", stored.intermediate_size, 1 << 24),
            ("num_hidden_layers", stored.num_hidden_layers, 1 << 10),
            ("num_attention_heads", heads, 1 << 12),
        ] {
            if !(1..=most).contains(&size) {
                return Err(format!("`{name}` is {size}, expected 1 to {most}"));
            }
        }
        let key_heads = stored.num_key_value_heads.unwrap_or(heads);
        if key_heads == 0 || !heads.is_multiple_of(key_heads) {
            return Err(format!("`num_key_value_heads` is {key_heads}, expected a divisor of {heads}"));
        }
        let head_dim = stored.head_dim.unwrap_or(stored.hidden_size / heads);
        if head_dim == 0 || head_dim > 1 << 16 || !head_dim.is_multiple_of(2) {
            return Err(format!("`head_dim` is {head_dim}, expected an even number"));
        }
        let rms_norm_eps = stored.rms_norm_eps.unwrap_or(1e-6);
        if !(0.0..1.0).contains(&rms_norm_eps) {
            return Err(format!("`rms_norm_eps` is {rms_norm_eps}, expected a small positive number"));
        }
        let rope_theta = rope.and_then(|rope| rope.rope_theta).or(stored.rope_theta).unwrap_or(10_000.0);
        if !(1.0..1e30).contains(&rope_theta) {
            return Err(format!("`rope_theta` is {rope_theta}, expected a number of at least 1"));
        }
        Ok(Self {
            vocab_size: stored.vocab_size,
            hidden_size: stored.hidden_size,
            intermediate_size: stored.intermediate_size,
            num_hidden_layers: stored.num_hidden_layers,
            num_attention_heads: heads,
            num_key_value_heads: key_heads,
            head_dim,
            rms_norm_eps,
            rope_theta,
            activation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: &str = r#""vocab_size":8,"hidden_size":8,"intermediate_size":8,"num_hidden_layers":2,
        "num_attention_heads":2"#;

    fn parse(rest: &str) -> std::result::Result<GemmaConfig, String> {
        GemmaConfig::parse(format!("{{{SIZES}{rest}}}").as_bytes())
    }

    #[test]
    fn old_and_new_names_are_read() {
        let old = parse(r#","rope_theta":500.0,"hidden_act":"gelu""#).unwrap();
        let new = parse(r#","rope_parameters":{"rope_theta":500.0,"rope_type":"default"}"#).unwrap();
        assert_eq!(old, new);
        assert_eq!((old.head_dim, old.num_key_value_heads), (4, 2));
    }

    #[test]
    fn other_models_are_refused_by_field() {
        assert!(parse(r#","model_type":"gemma2""#).unwrap_err().contains("model_type"));
        assert!(parse(r#","hidden_act":"relu""#).unwrap_err().contains("hidden_act"));
    }
}
