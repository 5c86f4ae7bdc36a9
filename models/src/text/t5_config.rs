//! The `config.json` of a T5.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::nn::Activation;

/// Sizes of the encoder of a T5.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct T5Config {
    /// Number of token numbers.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Channels of a head; not `d_model / num_heads` in general.
    pub d_kv: usize,
    /// Width inside the feed-forward layers.
    pub d_ff: usize,
    /// Number of layers.
    pub num_layers: usize,
    /// Heads.
    pub num_heads: usize,
    /// Number of classes of distances between tokens.
    pub relative_attention_num_buckets: usize,
    /// Distances from here on are one class.
    pub relative_attention_max_distance: usize,
    /// Epsilon of the norms.
    pub layer_norm_epsilon: f64,
    /// Activation of the gate.
    pub activation: Activation,
}

#[derive(Deserialize)]
struct Stored {
    vocab_size: usize,
    d_model: usize,
    d_kv: usize,
    d_ff: usize,
    num_layers: usize,
    num_heads: usize,
    relative_attention_num_buckets: Option<usize>,
    relative_attention_max_distance: Option<usize>,
    layer_norm_epsilon: Option<f64>,
    feed_forward_proj: Option<String>,
}

impl T5Config {
    /// FLAN-T5-large of Lumina's music, and T5-v1.1-large of its sound effects: the same sizes.
    pub fn large() -> Self {
        Self {
            vocab_size: 32_128,
            d_model: 1024,
            d_kv: 64,
            d_ff: 2816,
            num_layers: 24,
            num_heads: 16,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
            layer_norm_epsilon: 1e-6,
            activation: Activation::GeluTanh,
        }
    }

    /// Reads `config.json`.
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
        let stored: Stored = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let activation = match stored.feed_forward_proj.as_deref() {
            Some("gated-gelu") => Activation::GeluTanh,
            Some("gated-silu") => Activation::Silu,
            // The first T5 has one projection less and is used nowhere here.
            other => {
                let found = other.unwrap_or("relu");
                return Err(format!("`feed_forward_proj` is `{found}`, expected `gated-gelu`"));
            }
        };
        let buckets = stored.relative_attention_num_buckets.unwrap_or(32);
        let distance = stored.relative_attention_max_distance.unwrap_or(128);
        // Far above any real network: keeps a damaged config from overflowing products and from endless layers.
        for (name, size, most) in [
            ("vocab_size", stored.vocab_size, 1 << 24),
            ("d_model", stored.d_model, 1 << 20),
            ("d_kv", stored.d_kv, 1 << 16),
            ("d_ff", stored.d_ff, 1 << 24),
            ("num_layers", stored.num_layers, 1 << 10),
            ("num_heads", stored.num_heads, 1 << 12),
            ("relative_attention_num_buckets", buckets, 1 << 16),
            ("relative_attention_max_distance", distance, 1 << 20),
        ] {
            if !(1..=most).contains(&size) {
                return Err(format!("`{name}` is {size}, expected 1 to {most}"));
            }
        }
        if !buckets.is_multiple_of(4) {
            return Err(format!("`relative_attention_num_buckets` is {buckets}, expected a multiple of 4"));
        }
        if distance <= buckets / 4 {
            let least = buckets / 4 + 1;
            return Err(format!(
                "`relative_attention_max_distance` is {distance}, expected at least {least}"
            ));
        }
        let layer_norm_epsilon = stored.layer_norm_epsilon.unwrap_or(1e-6);
        if !(0.0..1.0).contains(&layer_norm_epsilon) {
            return Err(format!(
                "`layer_norm_epsilon` is {layer_norm_epsilon}, expected a small positive number"
            ));
        }
        Ok(Self {
            vocab_size: stored.vocab_size,
            d_model: stored.d_model,
            d_kv: stored.d_kv,
            d_ff: stored.d_ff,
            num_layers: stored.num_layers,
            num_heads: stored.num_heads,
            relative_attention_num_buckets: buckets,
            relative_attention_max_distance: distance,
            layer_norm_epsilon,
            activation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rest: &str) -> std::result::Result<T5Config, String> {
        let sizes = r#""vocab_size":8,"d_model":8,"d_kv":4,"d_ff":8,"num_layers":2,"num_heads":2"#;
        T5Config::parse(format!("{{{sizes}{rest}}}").as_bytes())
    }

    #[test]
    fn the_first_t5_and_odd_sizes_are_refused_by_field() {
        assert!(parse("").unwrap_err().contains("`feed_forward_proj` is `relu`"));
        let gated = r#","feed_forward_proj":"gated-gelu""#;
        assert_eq!(parse(gated).unwrap().relative_attention_num_buckets, 32);
        for (field, value) in [
            ("relative_attention_num_buckets", "6"),
            ("relative_attention_max_distance", "8"),
            ("layer_norm_epsilon", "-1"),
        ] {
            let error = parse(&format!(r#"{gated},"{field}":{value}"#)).unwrap_err();
            assert!(error.contains(field), "{error}");
        }
    }
}
