//! The sizes of a Flag-DiT for text.

use serde::{Deserialize, Serialize};

use super::DitSizes;
use super::detect::Family;
use super::sizes::{check_sizes, shape_of};
use crate::weights::{Checkpoint, KeyMap};
use crate::{ModelError, Result};

/// Sizes and switches of `DiT_Llama` in Lumina-T2X `lumina_t2i/models/model.py`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlagDitConfig {
    /// Sizes of the network.
    #[serde(flatten)]
    pub sizes: DitSizes,
    /// Channels of the caption features.
    pub cross_attention_dim: usize,
    /// Side of the pictures that it was trained on, in pixels.
    pub image_size: usize,
    /// Whether there is a `[nextframe]` token (`eof_token`) for latents of several frames; none was ever published.
    pub frames: bool,
}

/// The published network, `DiT_Llama_5B_patch2`.
impl Default for FlagDitConfig {
    fn default() -> Self {
        let sizes = DitSizes { hidden_size: 3072, num_layers: 32, ..DitSizes::default() };
        Self { sizes, cross_attention_dim: 4096, image_size: 1024, frames: false }
    }
}

impl FlagDitConfig {
    /// The sizes that the shapes of a checkpoint imply. What shapes do not tell has its published value.
    ///
    /// # Errors
    /// [`ModelError::Config`] when the checkpoint is another network; [`ModelError::MissingKeys`] or
    /// [`ModelError::Shape`] when it is damaged.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        Family::detect(checkpoint)?.require(checkpoint, &Family::FlagDit)?;
        let keys = KeyMap::identity();
        let config = Self {
            sizes: DitSizes::from_checkpoint(checkpoint, &keys)?,
            cross_attention_dim: shape_of(checkpoint, &keys, "layers.0.attention.wk_y.weight", 2)?[1],
            frames: checkpoint.get("eof_token").is_some(),
            ..Self::default()
        };
        config.check().map_err(|reason| ModelError::config(checkpoint.path(), reason))?;
        Ok(config)
    }

    /// The sequence length that `base_sequence_length` has for proportional attention.
    ///
    /// Source: `lumina_t2i/demo.py`, `(image_size // 16) ** 2 + (image_size // 16) * 2`: one more token a row than a
    /// picture of the training size has.
    pub fn base_sequence_length(&self) -> usize {
        let side = self.image_size / 16;
        side * side + 2 * side
    }

    /// The `ntk` factor of a latent of `height x width` cells: the ratio of areas, also below 1.
    ///
    /// Source: `lumina_t2i/demo.py`.
    pub fn ntk_factor(&self, height: usize, width: usize) -> f64 {
        let side = (self.image_size / 16).max(1) as f64;
        (height / 2) as f64 * (width / 2) as f64 / (side * side)
    }

    /// What is wrong, with the name of the field.
    ///
    /// # Errors
    /// The first mistake, in words.
    pub fn check(&self) -> std::result::Result<(), String> {
        self.sizes.check(1)?;
        check_sizes(&[("cross_attention_dim", self.cross_attention_dim), ("image_size", self.image_size)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_those_of_the_demo() {
        let config = FlagDitConfig::default();
        assert_eq!(config.base_sequence_length(), 4224);
        assert_eq!(config.ntk_factor(208, 208), 2.640_625);
        assert_eq!(config.ntk_factor(128, 128), 1.0);
    }
}
