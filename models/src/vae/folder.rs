//! An autoencoder by itself: weights, and for pictures a config.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};

use super::mel::{MelAutoencoder, MelAutoencoderConfig};
use super::{AutoencoderConfig, AutoencoderKl, PreviewMap, VaeConfig, VaeKind, VaeNetwork};
use crate::weights::{Checkpoint, Weights};
use crate::{Interrupt, Result, part};

/// Names of weight files in such a folder.
const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];

/// An autoencoder on disk: config and headers, but no weights yet.
#[derive(Clone, Debug)]
pub struct VaeFolder {
    folder: PathBuf,
    config_path: Option<PathBuf>,
    /// Which network it is, and its sizes.
    pub config: VaeConfig,
    /// The weight files.
    pub checkpoint: Checkpoint,
}

impl VaeFolder {
    /// Reads the config and the headers of a folder with `config.json` and weights, or of a weight file.
    ///
    /// The config is `config` where it is given, else `config.json` beside the weights. The sizes of a mel autoencoder
    /// are told by its tensors where no config has them.
    ///
    /// # Errors
    /// As [`Checkpoint::open`], [`VaeKind::detect`], and reading the config.
    pub fn open(path: &Path, config: Option<&Path>) -> Result<Self> {
        let (checkpoint, folder) = part::open(path, &STEMS)?;
        let beside = part::config_path(&folder, config);
        let (config, config_path) = match VaeKind::detect(&checkpoint)? {
            VaeKind::Image => (VaeConfig::Image(AutoencoderConfig::read(&beside)?), Some(beside)),
            VaeKind::Mel if config.is_some() || has_mel_sizes(&beside) => {
                (VaeConfig::Mel(MelAutoencoderConfig::read(&beside)?), Some(beside))
            }
            VaeKind::Mel => (VaeConfig::Mel(MelAutoencoderConfig::from_checkpoint(&checkpoint)?), None),
        };
        Ok(Self { folder, config_path, config, checkpoint })
    }

    /// Every file that what is loaded depends on.
    pub fn files(&self) -> Vec<PathBuf> {
        let preview = Some(self.folder.join(PreviewMap::FILE)).filter(|file| file.is_file());
        let beside = self.config_path.iter().cloned().chain(preview);
        beside.chain(self.checkpoint.files().iter().cloned()).collect()
    }

    /// How latents are shown without decoding them; none of a mel spectrogram.
    ///
    /// # Errors
    /// As [`PreviewMap::read`].
    pub fn preview(&self) -> Result<Option<PreviewMap>> {
        match &self.config {
            VaeConfig::Image(config) => PreviewMap::of_folder(&self.folder, config).map(Some),
            VaeConfig::Mel(_) => Ok(None),
        }
    }

    /// Latents of a backbone are those of the encoder times this; see also
    /// [`shift_factor`](AutoencoderConfig::shift_factor). `None` when a tensor of the checkpoint has it, which
    /// [`stored_scale`](Self::stored_scale) reads.
    pub fn scale(&self) -> Option<f64> {
        match &self.config {
            VaeConfig::Image(config) => Some(config.scaling_factor),
            VaeConfig::Mel(_) => self.checkpoint.get(MelAutoencoder::SCALE).is_none().then_some(1.0),
        }
    }

    /// As [`scale`](Self::scale), read from the tensor where there is one.
    ///
    /// # Errors
    /// As [`MelAutoencoder::stored_scale`].
    pub fn stored_scale(&self) -> Result<f64> {
        match self.scale() {
            Some(scale) => Ok(scale),
            None => Ok(MelAutoencoder::stored_scale(&self.checkpoint)?.unwrap_or(1.0)),
        }
    }

    /// Bytes that the network holds once it is loaded.
    ///
    /// # Errors
    /// As [`VaeConfig::expected`].
    pub fn bytes(&self, dtype: DType, device: &Device) -> Result<u64> {
        let element = AutoencoderKl::compute_type(dtype, device).size_in_bytes() as u64;
        Ok(self.config.expected()?.parameters() * element)
    }

    /// Loads the network.
    ///
    /// # Errors
    /// As [`VaeNetwork::load`].
    pub fn load(&self, dtype: DType, device: &Device, interrupt: &Interrupt) -> Result<VaeNetwork> {
        let keys = self.config.key_map(&self.checkpoint);
        VaeNetwork::load(&Weights::open(&self.checkpoint, keys, dtype, device, interrupt)?, &self.config)
    }
}

/// Whether a file is the config of a mel autoencoder.
fn has_mel_sizes(path: &Path) -> bool {
    let text = std::fs::read(path).ok();
    let value = text.and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
    value.is_some_and(|value| value.get("ddconfig").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name)
    }

    #[test]
    fn a_folder_or_a_file_is_told_apart_by_its_tensors() {
        let image = VaeFolder::open(&golden("autoencoder_kl/sdxl_like"), None).unwrap();
        assert_eq!((image.config.name(), image.config.rank()), ("AutoencoderKL", 4));
        assert_eq!((image.scale(), image.files().len()), (Some(0.13025), 2));
        let mel = VaeFolder::open(&golden("audio_autoencoder1d/weights.safetensors"), None).unwrap();
        assert_eq!((mel.config.name(), mel.config.latent_channels()), ("mel autoencoder", 6));
        assert_eq!((mel.scale(), mel.stored_scale().unwrap(), mel.files().len()), (Some(1.0), 1.0, 1));
        for folder in [image, mel] {
            let report = folder.config.verify(&folder.checkpoint).unwrap();
            assert!(report.is_loadable() && report.unused.is_empty(), "{report:?}");
        }
    }

    #[test]
    fn what_is_no_autoencoder_is_refused_in_words() {
        let error = VaeFolder::open(&golden("text_encoders/t5"), None).unwrap_err().to_string();
        assert!(error.contains("no autoencoder"), "{error}");
        let lone = tempfile::tempdir().unwrap();
        let name = "diffusion_pytorch_model.safetensors";
        std::fs::copy(golden("autoencoder_kl/sdxl_like").join(name), lone.path().join(name)).unwrap();
        let error = VaeFolder::open(lone.path(), None).unwrap_err().to_string();
        assert!(error.contains("config.json"), "{error}");
    }
}
