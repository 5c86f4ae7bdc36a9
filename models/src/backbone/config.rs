//! The sizes of a Next-DiT.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Dialect;
use crate::weights::Checkpoint;
use crate::{ModelError, Result};

/// Sizes and switches, with the names and defaults of diffusers' `LuminaNextDiT2DModel`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NextDitConfig {
    /// Side of the latent that the network was trained on.
    pub sample_size: usize,
    /// Side of a patch.
    pub patch_size: usize,
    /// Latent channels.
    pub in_channels: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; as many as query heads where absent.
    pub num_kv_heads: Option<usize>,
    /// The feed-forward width is rounded up to a multiple of this.
    pub multiple_of: usize,
    /// Factor on the feed-forward width.
    pub ffn_dim_multiplier: Option<f64>,
    /// Epsilon of the RMS norms; all other norms have fixed ones.
    pub norm_eps: f64,
    /// Whether the output has twice the latent channels, of which the second half is not used.
    pub learn_sigma: bool,
    /// Whether queries and keys are normed.
    pub qk_norm: bool,
    /// Channels of the caption features.
    pub cross_attention_dim: usize,
    /// Scale of the positions during training; anything but 1 is refused.
    pub scaling_factor: f64,
    /// Feed-forward width, where it is known from the weights and not from the formula.
    #[serde(skip)]
    pub feed_forward_size: Option<usize>,
}

/// The file, with the class that it is for.
#[derive(Deserialize)]
struct Stored {
    #[serde(rename = "_class_name")]
    class_name: Option<String>,
    #[serde(flatten)]
    config: NextDitConfig,
}

impl Default for NextDitConfig {
    fn default() -> Self {
        Self {
            sample_size: 128,
            patch_size: 2,
            in_channels: 4,
            hidden_size: 2304,
            num_layers: 32,
            num_attention_heads: 32,
            num_kv_heads: None,
            multiple_of: 256,
            ffn_dim_multiplier: None,
            norm_eps: 1e-5,
            learn_sigma: true,
            qk_norm: true,
            cross_attention_dim: 2048,
            scaling_factor: 1.0,
            feed_forward_size: None,
        }
    }
}

impl NextDitConfig {
    /// Reads a diffusers `transformer/config.json`.
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
        if let Some(name) = stored.class_name.filter(|name| name != "LuminaNextDiT2DModel") {
            return Err(format!("`_class_name` is `{name}`, expected `LuminaNextDiT2DModel`"));
        }
        stored.config.check()?;
        Ok(stored.config)
    }

    /// The sizes that the shapes of a checkpoint imply, for files without a config.
    ///
    /// What shapes do not tell has its published value: patch size 2, epsilon 1e-5, latent side 128.
    ///
    /// # Errors
    /// As [`Dialect::detect`]; [`ModelError::Shape`] when the shapes contradict each other.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let keys = Dialect::detect(checkpoint)?.key_map();
        let shape = |name: &str, rank: usize| -> Result<Vec<usize>> {
            let stored = keys.resolve(name, checkpoint);
            let tensor = stored.as_ref().and_then(|key| checkpoint.get(key));
            let Some(tensor) = tensor else {
                let keys = keys.names(name).into_iter().take(1).collect();
                return Err(ModelError::MissingKeys { path: checkpoint.path().to_owned(), keys });
            };
            if tensor.shape.len() != rank || tensor.shape.contains(&0) {
                return Err(ModelError::Shape {
                    path: checkpoint.file_of(tensor).to_owned(),
                    key: name.to_owned(),
                    expected: vec![1; rank],
                    found: tensor.shape.clone(),
                });
            }
            Ok(tensor.shape.clone())
        };
        let default = Self::default();
        let area = default.patch_size * default.patch_size;
        let embedder = shape("x_embedder.weight", 2)?;
        let output = shape("final_layer.linear.weight", 2)?;
        let heads = shape("layers.0.attention.gate", 1)?[0];
        let keys_shape = shape("layers.0.attention.wk.weight", 2)?;
        let num_layers = (0..)
            .take_while(|layer| {
                keys.resolve(&format!("layers.{layer}.attention.wq.weight"), checkpoint).is_some()
            })
            .count();
        let (hidden_size, in_channels) = (embedder[0], embedder[1] / area);
        let config = Self {
            in_channels,
            hidden_size,
            num_layers,
            num_attention_heads: heads,
            num_kv_heads: Some(keys_shape[0] / (hidden_size / heads).max(1)),
            learn_sigma: output[0] == 2 * in_channels * area,
            qk_norm: keys.resolve("layers.0.attention.q_norm.weight", checkpoint).is_some(),
            cross_attention_dim: shape("layers.0.attention.wk_y.weight", 2)?[1],
            feed_forward_size: Some(shape("layers.0.feed_forward.w1.weight", 2)?[0]),
            ..default
        };
        config.check().map_err(|reason| ModelError::config(checkpoint.path(), reason))?;
        Ok(config)
    }

    /// Channels of a head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads.max(1)
    }

    /// Key and value heads.
    pub fn key_heads(&self) -> usize {
        self.num_kv_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of the conditioning vector.
    pub fn conditioning_size(&self) -> usize {
        self.hidden_size.min(1024)
    }

    /// Output channels of the network.
    pub fn out_channels(&self) -> usize {
        if self.learn_sigma { 2 * self.in_channels } else { self.in_channels }
    }

    /// Width inside the feed-forward layers.
    ///
    /// Source: `FeedForward.__init__` of Lumina-T2X `models/model.py`.
    pub fn feed_forward_dim(&self) -> usize {
        if let Some(size) = self.feed_forward_size {
            return size;
        }
        let width = 2 * (4 * self.hidden_size) / 3;
        let width = self.ffn_dim_multiplier.map_or(width, |factor| (factor * width as f64) as usize);
        width.next_multiple_of(self.multiple_of.max(1))
    }

    /// The sequence length that `base_sequence_length` has for proportional attention: that of the training size.
    ///
    /// Source: diffusers `LuminaPipeline.__call__`, `(default_image_size // 16) ** 2`.
    pub fn base_sequence_length(&self) -> usize {
        (self.sample_size * 8 / 16).pow(2)
    }

    fn check(&self) -> std::result::Result<(), String> {
        let sizes = [
            ("patch_size", self.patch_size),
            ("in_channels", self.in_channels),
            ("hidden_size", self.hidden_size),
            ("num_layers", self.num_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_kv_heads", self.key_heads()),
            ("multiple_of", self.multiple_of),
            ("cross_attention_dim", self.cross_attention_dim),
            ("sample_size", self.sample_size),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(format!("`{name}` is 0"));
        }
        // Far above any real network: keeps a damaged config from overflowing products and from endless layers.
        let most = |name: &str| match name {
            "patch_size" | "num_layers" => 1 << 10,
            "in_channels" | "num_attention_heads" => 1 << 12,
            _ => 1 << 20,
        };
        if let Some((name, size)) = sizes.iter().find(|(name, size)| *size > most(name)) {
            return Err(format!("`{name}` is {size}, which is more than any network has"));
        }
        let factor = self.ffn_dim_multiplier.unwrap_or(1.0);
        if !(factor > 0.0 && factor <= 1024.0) {
            return Err(format!("`ffn_dim_multiplier` is {factor}, expected a positive number"));
        }
        if !(1..=1 << 24).contains(&self.feed_forward_dim()) {
            return Err(format!("the width of the feed-forward layers is {}", self.feed_forward_dim()));
        }
        if !(0.0..1.0).contains(&self.norm_eps) {
            return Err(format!("`norm_eps` is {}, expected a small positive number", self.norm_eps));
        }
        let heads = self.num_attention_heads;
        if !self.hidden_size.is_multiple_of(heads) {
            return Err(format!(
                "`hidden_size` is {}, expected a multiple of {heads} heads",
                self.hidden_size
            ));
        }
        if !self.head_dim().is_multiple_of(4) {
            let reason = "expected a multiple of 4 (two axes of channel pairs)";
            return Err(format!("`hidden_size / num_attention_heads` is {}, {reason}", self.head_dim()));
        }
        if !heads.is_multiple_of(self.key_heads()) {
            return Err(format!("`num_kv_heads` is {}, expected a divisor of {heads}", self.key_heads()));
        }
        if self.scaling_factor != 1.0 {
            return Err(format!("`scaling_factor` is {}, only 1 is supported", self.scaling_factor));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feed_forward_widths_are_those_of_the_published_sizes() {
        for (hidden_size, width) in [(768, 2048), (1536, 4096), (2304, 6144), (3072, 8192), (4096, 11008)] {
            let config = NextDitConfig { hidden_size, ..NextDitConfig::default() };
            assert_eq!(config.feed_forward_dim(), width);
        }
    }

    #[test]
    fn wrong_values_name_their_field() {
        let config = NextDitConfig { num_kv_heads: Some(5), ..NextDitConfig::default() };
        assert!(config.check().unwrap_err().contains("num_kv_heads"));
        let config = NextDitConfig { num_layers: 0, ..NextDitConfig::default() };
        assert!(config.check().unwrap_err().contains("num_layers"));
    }
}
