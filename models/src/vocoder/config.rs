//! The sizes of a BigVGAN.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;

/// The periodic activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnakeKind {
    /// `x + sin^2(alpha x) / alpha`.
    Snake,
    /// `x + sin^2(alpha x) / beta`.
    SnakeBeta,
}

/// Sizes and switches, with the names of BigVGAN's `config.json` (Lumina: `args.yml`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BigVganConfig {
    /// Mel bands.
    pub num_mels: usize,
    /// How many times longer each stage makes the sequence.
    pub upsample_rates: Vec<usize>,
    /// Kernel of the transposed convolution of each stage.
    pub upsample_kernel_sizes: Vec<usize>,
    /// Channels before the first stage; each stage halves them.
    pub upsample_initial_channel: usize,
    /// Kernels of the parallel residual blocks of a stage.
    pub resblock_kernel_sizes: Vec<usize>,
    /// Dilations of the steps of each of them.
    pub resblock_dilation_sizes: Vec<Vec<usize>>,
    /// The activation.
    pub activation: SnakeKind,
    /// Whether `alpha` and `beta` are stored as logarithms.
    pub snake_logscale: bool,
}

/// The file, with the fields that only have one supported value.
#[derive(Deserialize)]
struct Stored {
    resblock: Option<String>,
    use_tanh_at_final: Option<bool>,
    use_bias_at_final: Option<bool>,
    #[serde(flatten)]
    config: BigVganConfig,
}

impl BigVganConfig {
    /// That of Lumina's audio and music: 80 bands to sound at 16 kHz, 256 samples a frame.
    pub fn lumina() -> Self {
        Self {
            num_mels: 80,
            upsample_rates: vec![4, 4, 2, 2, 2, 2],
            upsample_kernel_sizes: vec![8, 8, 4, 4, 4, 4],
            upsample_initial_channel: 1536,
            resblock_kernel_sizes: vec![3, 7, 11],
            resblock_dilation_sizes: vec![vec![1, 3, 5]; 3],
            activation: SnakeKind::SnakeBeta,
            snake_logscale: true,
        }
    }

    /// Reads a BigVGAN `config.json`.
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
        if let Some(kind) = stored.resblock.filter(|kind| kind != "1") {
            return Err(format!("`resblock` is `{kind}`, expected `1`"));
        }
        if stored.use_tanh_at_final == Some(false) {
            return Err("`use_tanh_at_final` is false, expected true".to_owned());
        }
        if stored.use_bias_at_final == Some(false) {
            return Err("`use_bias_at_final` is false, expected true".to_owned());
        }
        stored.config.check()?;
        Ok(stored.config)
    }

    /// Samples of sound per mel frame.
    pub fn hop(&self) -> usize {
        self.upsample_rates.iter().product()
    }

    /// Channels after stage `index`, counted from 0.
    pub(crate) fn channels(&self, index: usize) -> usize {
        self.upsample_initial_channel >> (index + 1)
    }

    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        let stages = self.upsample_rates.len();
        if !(1..=16).contains(&stages) || self.upsample_kernel_sizes.len() != stages {
            return Err(format!(
                "`upsample_rates` and `upsample_kernel_sizes` have {stages} and {} stages, expected the same 1 to 16",
                self.upsample_kernel_sizes.len()
            ));
        }
        for (rate, kernel) in self.upsample_rates.iter().zip(&self.upsample_kernel_sizes) {
            if !(1..=64).contains(rate)
                || kernel < rate
                || kernel > &256
                || !(kernel - rate).is_multiple_of(2)
            {
                return Err(format!(
                    "`upsample_kernel_sizes` has {kernel} for the rate {rate}, expected one that is larger by an even number"
                ));
            }
        }
        let first = self.upsample_initial_channel;
        if first == 0 || first > 1 << 16 || !first.is_multiple_of(1 << stages) {
            let factor = 1 << stages;
            return Err(format!("`upsample_initial_channel` is {first}, expected a multiple of {factor}"));
        }
        if !(1..=1 << 16).contains(&self.num_mels) {
            return Err(format!("`num_mels` is {}", self.num_mels));
        }
        let kernels = &self.resblock_kernel_sizes;
        if kernels.is_empty() || kernels.iter().any(|kernel| kernel.is_multiple_of(2) || *kernel > 255) {
            return Err(format!("`resblock_kernel_sizes` is {kernels:?}, expected odd numbers"));
        }
        let dilations = &self.resblock_dilation_sizes;
        let fits =
            |steps: &Vec<usize>| !steps.is_empty() && steps.iter().all(|step| (1..=255).contains(step));
        if dilations.len() != kernels.len() || !dilations.iter().all(fits) {
            return Err(format!(
                "`resblock_dilation_sizes` is {dilations:?}, expected a list of dilations for each of {} kernels",
                kernels.len()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let good = serde_json::to_value(BigVganConfig::lumina()).unwrap();
        let parse = |value: &serde_json::Value| BigVganConfig::parse(value.to_string().as_bytes());
        assert_eq!(parse(&good).unwrap(), BigVganConfig::lumina());
        assert_eq!(BigVganConfig::lumina().hop(), 256);
        let faults = [
            ("resblock", "\"2\""),
            ("use_tanh_at_final", "false"),
            ("activation", "\"relu\""),
            ("upsample_rates", "[4, 4]"),
            ("upsample_rates", "[4, 4, 2, 2, 2, 0]"),
            ("upsample_kernel_sizes", "[8, 8, 4, 4, 4, 5]"),
            ("upsample_kernel_sizes", "[8, 8, 4, 4, 4, 1]"),
            ("upsample_initial_channel", "1000"),
            ("num_mels", "0"),
            ("resblock_kernel_sizes", "[3, 7, 10]"),
            ("resblock_dilation_sizes", "[[1], [1]]"),
            ("resblock_dilation_sizes", "[[1], [1], [0]]"),
        ];
        for (field, value) in faults {
            let mut wrong = good.clone();
            wrong[field] = serde_json::from_str(value).unwrap();
            let error = parse(&wrong).unwrap_err();
            let named =
                error.contains(field) || error.contains("relu") || error.contains("upsample_kernel_sizes");
            assert!(named, "{field}: {error}");
        }
    }
}
