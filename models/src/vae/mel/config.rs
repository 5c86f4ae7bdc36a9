//! The sizes of a mel autoencoder.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;

/// Groups of every norm.
pub(crate) const GROUPS: usize = 32;

/// Sizes, with the names of `ddconfig` in Lumina-T2X `lumina_audio/configs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MelAutoencoderConfig {
    /// Latent channels of the backbone; stored beside `ddconfig`.
    #[serde(default)]
    pub embed_dim: usize,
    /// Mel bands that go in.
    pub in_channels: usize,
    /// Mel bands that come out.
    pub out_ch: usize,
    /// Latent channels inside of the two 1 x 1 convolutions.
    pub z_channels: usize,
    /// Kernel of the encoder, and of the decoder's first and last convolution; all others of the decoder have 3.
    pub kernel_size: usize,
    /// Channels of the first level, before `ch_mult`.
    pub ch: usize,
    /// Channels of each level, as multiples of `ch`, from the full length down.
    pub ch_mult: Vec<usize>,
    /// Residual layers of a level on the way down; one more on the way up.
    pub num_res_blocks: usize,
    /// Levels with attention beside the one between encoder and decoder; only levels that do not exist are supported.
    #[serde(default)]
    pub attn_layers: Vec<usize>,
    /// Levels after which the length is halved.
    pub down_layers: Vec<usize>,
}

/// The file, with the fields that only have one supported value.
#[derive(Deserialize)]
struct Stored {
    embed_dim: usize,
    ddconfig: StoredSizes,
}

#[derive(Deserialize)]
struct StoredSizes {
    double_z: Option<bool>,
    resamp_with_conv: Option<bool>,
    #[serde(flatten)]
    config: MelAutoencoderConfig,
}

impl MelAutoencoderConfig {
    /// That of Lumina's audio and music weights (Make-An-Audio 2): 80 bands, 20 latent channels, half as many frames.
    pub fn lumina() -> Self {
        Self {
            embed_dim: 20,
            in_channels: 80,
            out_ch: 80,
            z_channels: 20,
            kernel_size: 5,
            ch: 384,
            ch_mult: vec![1, 2, 4],
            num_res_blocks: 2,
            attn_layers: vec![3],
            down_layers: vec![0],
        }
    }

    /// Reads the parameters of the original's config, as JSON: `{"embed_dim": .., "ddconfig": {..}}`.
    ///
    /// # Errors
    /// [`crate::ModelError::FileNotFound`]; [`crate::ModelError::Config`] with the name of a field that is wrong or
    /// unsupported.
    pub fn read(path: &Path) -> Result<Self> {
        crate::config_file::read(path, Self::parse)
    }

    /// As [`read`](Self::read), from the text of the file.
    ///
    /// # Errors
    /// What is wrong, with the name of the field.
    pub fn parse(text: &[u8]) -> std::result::Result<Self, String> {
        let stored: Stored = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if stored.ddconfig.double_z == Some(false) {
            return Err("`double_z` is false, expected true".to_owned());
        }
        if stored.ddconfig.resamp_with_conv == Some(false) {
            return Err("`resamp_with_conv` is false, expected true".to_owned());
        }
        let config = Self { embed_dim: stored.embed_dim, ..stored.ddconfig.config };
        config.check()?;
        Ok(config)
    }

    /// Mel frames per latent frame.
    pub fn downscale(&self) -> usize {
        1 << self.down_layers.len()
    }

    /// Channels of each level.
    pub(crate) fn channels(&self) -> Vec<usize> {
        self.ch_mult.iter().map(|factor| self.ch * factor).collect()
    }

    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        let levels = self.ch_mult.len();
        if levels == 0 || levels > 16 {
            return Err(format!("`ch_mult` has {levels} levels, expected 1 to 16"));
        }
        if self.ch_mult.iter().any(|factor| !(1..=1 << 10).contains(factor)) {
            return Err(format!("`ch_mult` is {:?}, expected factors of 1 to 1024", self.ch_mult));
        }
        if self.ch == 0 || self.ch > 1 << 16 || !self.ch.is_multiple_of(GROUPS) {
            return Err(format!("`ch` is {}, expected a multiple of {GROUPS}", self.ch));
        }
        if !(1..=64).contains(&self.num_res_blocks) {
            return Err(format!("`num_res_blocks` is {}, expected 1 to 64", self.num_res_blocks));
        }
        if self.kernel_size.is_multiple_of(2) || self.kernel_size > 255 {
            return Err(format!("`kernel_size` is {}, expected an odd number", self.kernel_size));
        }
        let sizes = [self.embed_dim, self.in_channels, self.out_ch, self.z_channels];
        if sizes.iter().any(|size| !(1..=1 << 16).contains(size)) {
            return Err(format!("`embed_dim`, `in_channels`, `out_ch`, `z_channels` are {sizes:?}"));
        }
        if let Some(level) = self.attn_layers.iter().find(|level| **level < levels) {
            return Err(format!("`attn_layers` has the level {level}, attention there is not supported"));
        }
        let mut down = self.down_layers.clone();
        down.sort_unstable();
        down.dedup();
        if down.len() != self.down_layers.len() || down.iter().any(|level| level + 1 >= levels) {
            return Err(format!(
                "`down_layers` is {:?}, expected different levels below {}",
                self.down_layers,
                levels - 1
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(change: (&str, &str)) -> String {
        let good = r#"{"embed_dim": 6, "ddconfig": {"double_z": true, "in_channels": 20, "out_ch": 20, "z_channels": 6,
            "kernel_size": 5, "ch": 32, "ch_mult": [1, 2, 2], "num_res_blocks": 1, "attn_layers": [3],
            "down_layers": [0], "dropout": 0.0}}"#;
        assert!(change.0.is_empty() || good.contains(change.0));
        good.replace(change.0, change.1)
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(MelAutoencoderConfig::parse(text(("dropout", "dropout")).as_bytes()).is_ok());
        let faults = [
            (("\"double_z\": true", "\"double_z\": false"), "double_z"),
            (("\"ch\": 32", "\"ch\": 33"), "`ch`"),
            (("[1, 2, 2]", "[]"), "ch_mult"),
            (("[1, 2, 2]", "[1, 0, 2]"), "ch_mult"),
            (("\"kernel_size\": 5", "\"kernel_size\": 4"), "kernel_size"),
            (("\"attn_layers\": [3]", "\"attn_layers\": [2]"), "attn_layers"),
            (("\"down_layers\": [0]", "\"down_layers\": [2]"), "down_layers"),
            (("\"down_layers\": [0]", "\"down_layers\": [0, 0]"), "down_layers"),
            (("\"z_channels\": 6", "\"z_channels\": 0"), "z_channels"),
            (("\"num_res_blocks\": 1", "\"num_res_blocks\": 0"), "num_res_blocks"),
            (("\"embed_dim\": 6,", ""), "embed_dim"),
        ];
        for (change, part) in faults {
            let error = MelAutoencoderConfig::parse(text(change).as_bytes()).unwrap_err();
            assert!(error.contains(part), "{change:?}: {error}");
        }
    }
}
