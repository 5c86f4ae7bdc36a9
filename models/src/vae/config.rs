//! The sizes of an autoencoder.

use std::path::Path;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Sizes and switches, with the names and defaults of diffusers' `AutoencoderKL`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AutoencoderConfig {
    /// Channels of the picture that goes in.
    pub in_channels: usize,
    /// Channels of the picture that comes out.
    pub out_channels: usize,
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Channels of each level, from the full size down.
    pub block_out_channels: Vec<usize>,
    /// Residual layers of a level on the way down; one more on the way up.
    pub layers_per_block: usize,
    /// Groups of the norms.
    pub norm_num_groups: usize,
    /// Model latents are `(latent - shift_factor) * scaling_factor`.
    pub scaling_factor: f64,
    /// See [`scaling_factor`](Self::scaling_factor); 0 where absent.
    pub shift_factor: Option<f64>,
    /// Whether the encoder ends in a 1 x 1 convolution.
    pub use_quant_conv: bool,
    /// Whether the decoder begins with a 1 x 1 convolution.
    pub use_post_quant_conv: bool,
    /// Whether the smallest level has attention.
    pub mid_block_add_attention: bool,
}

/// The file, with the fields that only have one supported value.
#[derive(Deserialize)]
struct Stored {
    #[serde(rename = "_class_name")]
    class_name: Option<String>,
    act_fn: Option<String>,
    #[serde(default)]
    down_block_types: Vec<String>,
    #[serde(default)]
    up_block_types: Vec<String>,
    latents_mean: Option<Vec<f64>>,
    latents_std: Option<Vec<f64>>,
    #[serde(flatten)]
    config: AutoencoderConfig,
}

impl Default for AutoencoderConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            latent_channels: 4,
            block_out_channels: vec![64],
            layers_per_block: 1,
            norm_num_groups: 32,
            scaling_factor: 0.18215,
            shift_factor: None,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
        }
    }
}

impl AutoencoderConfig {
    /// Reads a diffusers `vae/config.json`.
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
        if let Some(name) = stored.class_name.filter(|name| name != "AutoencoderKL") {
            return Err(format!("`_class_name` is `{name}`, expected `AutoencoderKL`"));
        }
        if let Some(name) = stored.act_fn.filter(|name| name != "silu" && name != "swish") {
            return Err(format!("`act_fn` is `{name}`, expected `silu`"));
        }
        let other = |types: &[String], known: &str| types.iter().find(|kind| *kind != known).cloned();
        if let Some(kind) = other(&stored.down_block_types, "DownEncoderBlock2D") {
            return Err(format!("`down_block_types` has `{kind}`, expected `DownEncoderBlock2D`"));
        }
        if let Some(kind) = other(&stored.up_block_types, "UpDecoderBlock2D") {
            return Err(format!("`up_block_types` has `{kind}`, expected `UpDecoderBlock2D`"));
        }
        if stored.latents_mean.is_some() || stored.latents_std.is_some() {
            return Err("`latents_mean` and `latents_std` are not supported".to_owned());
        }
        stored.config.check()?;
        Ok(stored.config)
    }

    /// Pixels per latent pixel, on each side.
    pub fn downscale(&self) -> usize {
        1 << self.block_out_channels.len().saturating_sub(1)
    }

    /// From a latent of the encoder to one of the backbone: `(latent - shift) * scale`.
    ///
    /// # Errors
    /// [`ModelError::Candle`] when memory runs out.
    pub fn latent_to_model(&self, latent: &Tensor) -> Result<Tensor> {
        Ok(((latent - self.shift_factor.unwrap_or(0.0))? * self.scaling_factor)?)
    }

    /// From a latent of the backbone to one of the decoder: `latent / scale + shift`.
    ///
    /// # Errors
    /// [`ModelError::Candle`] when memory runs out.
    pub fn model_to_latent(&self, latent: &Tensor) -> Result<Tensor> {
        Ok(((latent / self.scaling_factor)? + self.shift_factor.unwrap_or(0.0))?)
    }

    fn check(&self) -> std::result::Result<(), String> {
        let levels = self.block_out_channels.len();
        if levels == 0 || levels > 16 {
            return Err(format!("`block_out_channels` has {levels} levels, expected 1 to 16"));
        }
        if self.layers_per_block == 0 || self.layers_per_block > 64 {
            return Err(format!("`layers_per_block` is {}, expected 1 to 64", self.layers_per_block));
        }
        let groups = self.norm_num_groups;
        for &channels in &self.block_out_channels {
            if groups == 0 || channels == 0 || channels > 1 << 20 || !channels.is_multiple_of(groups) {
                return Err(format!(
                    "`block_out_channels` has {channels}, expected a multiple of `norm_num_groups` {groups}"
                ));
            }
        }
        let sizes = [self.in_channels, self.out_channels, self.latent_channels];
        if sizes.iter().any(|&size| size == 0 || size > 1 << 20) {
            return Err(format!("`in_channels`, `out_channels`, `latent_channels` are {sizes:?}"));
        }
        let (scale, shift) = (self.scaling_factor, self.shift_factor.unwrap_or(0.0));
        if !(1e-6..1e6).contains(&scale.abs()) {
            return Err(format!("`scaling_factor` is {scale}, expected a number that one can divide by"));
        }
        if !(-1e6..1e6).contains(&shift) {
            return Err(format!("`shift_factor` is {shift}, expected a number"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_there_and_back_is_the_identity() {
        let config = AutoencoderConfig { shift_factor: Some(0.1159), ..AutoencoderConfig::default() };
        let latent = Tensor::new(&[0.5_f32, -2.0], &candle_core::Device::Cpu).unwrap();
        let back = config.model_to_latent(&config.latent_to_model(&latent).unwrap()).unwrap();
        let back = back.to_vec1::<f32>().unwrap();
        assert!((back[0] - 0.5).abs() < 1e-6 && (back[1] + 2.0).abs() < 1e-6);
    }

    #[test]
    fn unsupported_blocks_are_named() {
        let error = AutoencoderConfig::parse(br#"{"down_block_types": ["Odd"]}"#).unwrap_err();
        assert!(error.contains("`Odd`"), "{error}");
    }
}
