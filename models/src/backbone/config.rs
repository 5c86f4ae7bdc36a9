//! The sizes of a Next-DiT.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::sizes::{check_sizes, shape_of};
use super::{Dialect, DitSizes};
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
        let sizes = DitSizes::from_checkpoint(checkpoint, &keys)?;
        // Heads come from the gate, without which this would be no network for text.
        shape_of(checkpoint, &keys, "layers.0.attention.gate", 1)?;
        let config = Self {
            in_channels: sizes.in_channels,
            hidden_size: sizes.hidden_size,
            num_layers: sizes.num_layers,
            num_attention_heads: sizes.num_attention_heads,
            num_kv_heads: sizes.num_kv_heads,
            learn_sigma: sizes.learn_sigma,
            qk_norm: sizes.qk_norm,
            cross_attention_dim: shape_of(checkpoint, &keys, "layers.0.attention.wk_y.weight", 2)?[1],
            feed_forward_size: sizes.feed_forward_size,
            ..Self::default()
        };
        config.check().map_err(|reason| ModelError::config(checkpoint.path(), reason))?;
        Ok(config)
    }

    /// Channels of a head.
    pub fn head_dim(&self) -> usize {
        self.sizes().head_dim()
    }

    /// Key and value heads.
    pub fn key_heads(&self) -> usize {
        self.sizes().key_heads()
    }

    /// Width of the conditioning vector.
    pub fn conditioning_size(&self) -> usize {
        self.sizes().conditioning_size()
    }

    /// Output channels of the network.
    pub fn out_channels(&self) -> usize {
        self.sizes().out_channels()
    }

    /// Width inside the feed-forward layers.
    pub fn feed_forward_dim(&self) -> usize {
        self.sizes().feed_forward_dim()
    }

    /// What it has in common with the other networks.
    pub fn sizes(&self) -> DitSizes {
        DitSizes {
            patch_size: self.patch_size,
            in_channels: self.in_channels,
            hidden_size: self.hidden_size,
            num_layers: self.num_layers,
            num_attention_heads: self.num_attention_heads,
            num_kv_heads: self.num_kv_heads,
            multiple_of: self.multiple_of,
            ffn_dim_multiplier: self.ffn_dim_multiplier,
            norm_eps: self.norm_eps,
            learn_sigma: self.learn_sigma,
            qk_norm: self.qk_norm,
            feed_forward_size: self.feed_forward_size,
            conditioning_width: None,
        }
    }

    /// The sequence length that `base_sequence_length` has for proportional attention: that of the training size.
    ///
    /// Source: diffusers `LuminaPipeline.__call__`, `(default_image_size // 16) ** 2`.
    pub fn base_sequence_length(&self) -> usize {
        (self.sample_size * 8 / 16).pow(2)
    }

    fn check(&self) -> std::result::Result<(), String> {
        self.sizes().check(2)?;
        check_sizes(&[("cross_attention_dim", self.cross_attention_dim), ("sample_size", self.sample_size)])?;
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
    fn wrong_values_name_their_field() {
        let config = NextDitConfig { num_kv_heads: Some(5), ..NextDitConfig::default() };
        assert!(config.check().unwrap_err().contains("num_kv_heads"));
        let config = NextDitConfig { num_layers: 0, ..NextDitConfig::default() };
        assert!(config.check().unwrap_err().contains("num_layers"));
    }
}
