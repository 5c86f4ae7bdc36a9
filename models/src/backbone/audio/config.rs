//! The sizes of an audio Flag-DiT.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::AudioFlagDit;
use crate::backbone::DitSizes;
use crate::weights::Checkpoint;
use crate::{ModelError, Result};

/// Sizes, with the names of the original's constructor (`FlagDiTv2`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudioFlagDitConfig {
    /// Latent channels.
    pub in_channels: usize,
    /// Channels of the context.
    pub context_dim: usize,
    /// Width of the residual stream and of the conditioning vector.
    pub hidden_size: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Most latent frames.
    pub max_len: usize,
    /// Epsilon of the RMS norms; all other norms have fixed ones.
    #[serde(default = "norm_eps")]
    pub norm_eps: f64,
}

fn norm_eps() -> f64 {
    1e-5
}

impl AudioFlagDitConfig {
    /// That of Lumina's audio and music weights.
    pub fn lumina() -> Self {
        Self {
            in_channels: 20,
            context_dim: 1024,
            hidden_size: 768,
            depth: 16,
            num_heads: 32,
            max_len: 1000,
            norm_eps: norm_eps(),
        }
    }

    /// Reads the parameters of the original's config, as JSON.
    ///
    /// # Errors
    /// [`ModelError::FileNotFound`]; [`ModelError::Config`] with the name of a field that is wrong.
    pub fn read(path: &Path) -> Result<Self> {
        crate::config_file::read(path, Self::parse)
    }

    /// As [`read`](Self::read), from the text of the file.
    ///
    /// # Errors
    /// What is wrong, with the name of the field.
    pub fn parse(text: &[u8]) -> std::result::Result<Self, String> {
        let config: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    /// From the shapes of a checkpoint. Epsilon and longest sequence, which no shape tells, are those of
    /// [`lumina`](Self::lumina).
    ///
    /// # Errors
    /// [`ModelError::MissingKeys`] when it is no audio Flag-DiT, [`ModelError::Config`] when its sizes do not fit
    /// together.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let keys = AudioFlagDit::key_map(checkpoint);
        let size = |name: &str, axis: usize| {
            let shape = keys.resolve(name, checkpoint).and_then(|key| checkpoint.get(&key));
            shape.and_then(|tensor| tensor.shape.get(axis)).copied().ok_or_else(|| ModelError::MissingKeys {
                path: checkpoint.path().to_owned(),
                keys: keys.names(name),
            })
        };
        let mut depth = 0;
        while keys.resolve(&format!("blocks.{depth}.attention.gate"), checkpoint).is_some() {
            depth += 1;
        }
        let config = Self {
            in_channels: size("proj_in.weight", 1)?,
            context_dim: size("cap_embedder.1.weight", 1)?,
            hidden_size: size("proj_in.weight", 0)?,
            depth,
            num_heads: size("blocks.0.attention.gate", 0)?,
            ..Self::lumina()
        };
        config.check().map_err(|reason| ModelError::config(checkpoint.path(), reason))?;
        Ok(config)
    }

    /// Channels of a head.
    pub fn head_dim(&self) -> usize {
        self.sizes().head_dim()
    }

    /// `2/3 * 4 * hidden_size`, rounded up to a multiple of 256.
    pub fn feed_forward_dim(&self) -> usize {
        self.sizes().feed_forward_dim()
    }

    /// What it has in common with the other networks: a token is one latent frame.
    pub fn sizes(&self) -> DitSizes {
        DitSizes {
            patch_size: 1,
            in_channels: self.in_channels,
            hidden_size: self.hidden_size,
            num_layers: self.depth,
            num_attention_heads: self.num_heads,
            norm_eps: self.norm_eps,
            learn_sigma: false,
            qk_norm: false,
            conditioning_width: Some(self.hidden_size),
            ..DitSizes::default()
        }
    }

    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        let sizes = [
            ("in_channels", self.in_channels),
            ("context_dim", self.context_dim),
            ("hidden_size", self.hidden_size),
            ("depth", self.depth),
            ("num_heads", self.num_heads),
            ("max_len", self.max_len),
        ];
        if let Some((name, size)) = sizes.into_iter().find(|(_, size)| !(1..=1 << 20).contains(size)) {
            return Err(format!("`{name}` is {size}, expected 1 to {}", 1 << 20));
        }
        if self.depth > 1024 {
            return Err(format!("`depth` is {}, expected at most 1024", self.depth));
        }
        if !self.hidden_size.is_multiple_of(2 * self.num_heads) {
            let (size, heads) = (self.hidden_size, self.num_heads);
            return Err(format!("`hidden_size` is {size}, expected an even multiple of the {heads} heads"));
        }
        if !(self.norm_eps >= 0.0 && self.norm_eps < 1.0) {
            return Err(format!("`norm_eps` is {}, expected a small number", self.norm_eps));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let good = serde_json::to_value(AudioFlagDitConfig::lumina()).unwrap();
        let parse = |value: &serde_json::Value| AudioFlagDitConfig::parse(value.to_string().as_bytes());
        assert_eq!(parse(&good).unwrap(), AudioFlagDitConfig::lumina());
        assert_eq!(AudioFlagDitConfig::lumina().feed_forward_dim(), 2048);
        let faults =
            [("depth", 0.0), ("depth", 5000.0), ("num_heads", 7.0), ("in_channels", 0.0), ("norm_eps", -1.0)];
        for (field, value) in faults {
            let mut wrong = good.clone();
            wrong[field] = if field == "norm_eps" { value.into() } else { (value as u64).into() };
            let error = parse(&wrong).unwrap_err();
            assert!(error.contains(field) || error.contains("heads"), "{field}: {error}");
        }
    }
}
