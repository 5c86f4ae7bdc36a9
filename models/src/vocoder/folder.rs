//! A vocoder by itself: weights and config.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};

use super::{BigVgan, BigVganConfig};
use crate::weights::{Checkpoint, Report, verify};
use crate::{Interrupt, Result, part};

/// Names of weight files in such a folder.
const STEMS: [&str; 2] = ["model", "bigvgan_generator"];

/// A vocoder on disk: config and headers, but no weights yet.
#[derive(Clone, Debug)]
pub struct VocoderFolder {
    config_path: PathBuf,
    /// Its sizes.
    pub config: BigVganConfig,
    /// The weight files.
    pub checkpoint: Checkpoint,
}

impl VocoderFolder {
    /// Reads the config and the headers of a folder with `config.json` and weights, or of a weight file. The config is
    /// `config` where it is given, else `config.json` beside the weights.
    ///
    /// # Errors
    /// As [`Checkpoint::open`] and [`BigVganConfig::read`].
    pub fn open(path: &Path, config: Option<&Path>) -> Result<Self> {
        let (checkpoint, folder) = part::open(path, &STEMS)?;
        let config_path = part::config_path(&folder, config);
        Ok(Self { config: BigVganConfig::read(&config_path)?, config_path, checkpoint })
    }

    /// Every file that what is loaded depends on.
    pub fn files(&self) -> Vec<PathBuf> {
        let config = std::iter::once(self.config_path.clone());
        config.chain(self.checkpoint.files().iter().cloned()).collect()
    }

    /// Compares the headers with what the network reads.
    ///
    /// # Errors
    /// As [`BigVgan::expected`].
    pub fn verify(&self) -> Result<Report> {
        let expected = BigVgan::expected(&self.config, BigVgan::form(&self.checkpoint))?;
        Ok(verify(&self.checkpoint, &BigVgan::key_map(&self.checkpoint), &expected, &|_| false))
    }

    /// Bytes that the network holds once it is loaded: it computes in f32 whatever is asked for.
    ///
    /// # Errors
    /// As [`BigVgan::expected`].
    pub fn bytes(&self) -> Result<u64> {
        let expected = BigVgan::expected(&self.config, BigVgan::form(&self.checkpoint))?;
        Ok(expected.parameters() * DType::F32.size_in_bytes() as u64)
    }

    /// Loads the network.
    ///
    /// # Errors
    /// As [`BigVgan::load`].
    pub fn load(&self, device: &Device, interrupt: &Interrupt) -> Result<BigVgan> {
        BigVgan::load(&self.checkpoint, &self.config, device, interrupt)
    }
}
