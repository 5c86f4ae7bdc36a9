//! A model folder as diffusers writes it.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use serde::Deserialize;

use crate::backbone::{Dialect, NextDit, NextDitConfig};
use crate::flow::FlowMatchConfig;
use crate::text::{Decoder, DecoderConfig, DecoderFamily, TextEncoder, Tokenizer};
use crate::vae::{AutoencoderConfig, AutoencoderKl, PreviewMap};
use crate::weights::{Checkpoint, Report, Weights, verify};
use crate::{Interrupt, ModelError, Result};

/// Pipeline classes with this layout; the second is the name that published folders have.
const CLASSES: [&str; 2] = ["LuminaPipeline", "LuminaText2ImgPipeline"];

/// The file of the scheduler.
const SCHEDULER: &str = "scheduler_config.json";

/// A Lumina-Next folder: configs and headers, but no weights yet.
#[derive(Clone, Debug)]
pub struct PipelineFolder {
    path: PathBuf,
    /// Settings of the scheduler.
    pub scheduler: FlowMatchConfig,
    /// Sizes of the text encoder.
    pub text_encoder: DecoderConfig,
    /// Sizes of the backbone.
    pub backbone: NextDitConfig,
    /// Sizes of the autoencoder.
    pub autoencoder: AutoencoderConfig,
    /// How latents are shown without decoding them.
    pub preview: PreviewMap,
    text_encoder_weights: Checkpoint,
    backbone_weights: Checkpoint,
    autoencoder_weights: Checkpoint,
}

/// Everything that is wrong with a folder.
#[derive(Debug, Default)]
pub struct FolderReport {
    /// Mistakes that keep the folder from working.
    pub errors: Vec<ModelError>,
    /// What looks odd: tensors that nothing reads.
    pub warnings: Vec<ModelError>,
}

#[derive(Deserialize)]
struct ModelIndex {
    #[serde(rename = "_class_name")]
    class_name: String,
}

impl PipelineFolder {
    /// Reads configs and headers; fails at the first mistake. [`PipelineFolder::verify`] lists all of them.
    ///
    /// # Errors
    /// [`ModelError::FileNotFound`], [`ModelError::Config`], [`ModelError::Header`] and the like, with the file.
    pub fn open(path: &Path) -> Result<Self> {
        check_index(path)?;
        let part = |name: &str| path.join(name);
        let autoencoder = AutoencoderConfig::read(&part("vae").join("config.json"))?;
        Ok(Self {
            path: path.to_owned(),
            scheduler: FlowMatchConfig::read(&part("scheduler").join(SCHEDULER))?,
            text_encoder: read_text_encoder(&part("text_encoder"))?,
            backbone: NextDitConfig::read(&part("transformer").join("config.json"))?,
            preview: PreviewMap::of_folder(&part("vae"), &autoencoder)?,
            autoencoder,
            text_encoder_weights: Checkpoint::open(&part("text_encoder"), "model")?,
            backbone_weights: Checkpoint::open(&part("transformer"), "diffusion_pytorch_model")?,
            autoencoder_weights: Checkpoint::open(&part("vae"), "diffusion_pytorch_model")?,
        })
    }

    /// Everything that is wrong with the folder at `path`, found from configs and headers alone.
    pub fn verify(path: &Path) -> FolderReport {
        let mut report = FolderReport::default();
        let dir = |name: &str| path.join(name);
        report.keep(check_index(path));
        report.keep(FlowMatchConfig::read(&dir("scheduler").join(SCHEDULER)));
        report.keep(Tokenizer::open(&dir("tokenizer")));

        let config = report.keep(read_text_encoder(&dir("text_encoder")));
        let weights = report.keep(Checkpoint::open(&dir("text_encoder"), "model"));
        if let Some((config, weights)) = config.zip(weights) {
            report.add(verify_text_encoder(&config, &weights));
        }
        let config = report.keep(NextDitConfig::read(&dir("transformer").join("config.json")));
        let weights = report.keep(Checkpoint::open(&dir("transformer"), "diffusion_pytorch_model"));
        if let Some((config, weights)) = config.zip(weights) {
            report.add(verify_backbone(&config, &weights));
        }
        let config = report.keep(AutoencoderConfig::read(&dir("vae").join("config.json")));
        let weights = report.keep(Checkpoint::open(&dir("vae"), "diffusion_pytorch_model"));
        if let Some(config) = &config {
            report.keep(PreviewMap::of_folder(&dir("vae"), config));
        }
        if let Some((config, weights)) = config.zip(weights) {
            report.add(verify_autoencoder(&config, &weights));
        }
        report
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every file that its outputs depend on.
    pub fn files(&self) -> Vec<PathBuf> {
        let configs = [
            "model_index.json",
            "scheduler/scheduler_config.json",
            "text_encoder/config.json",
            "tokenizer/tokenizer.json",
            "tokenizer/tokenizer_config.json",
            "transformer/config.json",
            "vae/config.json",
            "vae/preview.json",
        ];
        let configs = configs.iter().map(|name| self.path.join(name)).filter(|file| file.is_file());
        let weights = [&self.text_encoder_weights, &self.backbone_weights, &self.autoencoder_weights];
        configs.chain(weights.iter().flat_map(|weights| weights.files().iter().cloned())).collect()
    }

    /// The weight files of the text encoder.
    pub fn text_encoder_weights(&self) -> &Checkpoint {
        &self.text_encoder_weights
    }

    /// The weight files of the backbone.
    pub fn backbone_weights(&self) -> &Checkpoint {
        &self.backbone_weights
    }

    /// The weight files of the autoencoder.
    pub fn autoencoder_weights(&self) -> &Checkpoint {
        &self.autoencoder_weights
    }

    /// Loads tokenizer and text encoder, without the layers that text features do not need.
    ///
    /// # Errors
    /// As [`Tokenizer::open`] and [`Decoder::load`]; [`ModelError::Tokenizer`] when the tokenizer has more tokens than
    /// the network.
    pub fn load_text_encoder(
        &self,
        device: &Device,
        dtype: DType,
        interrupt: &Interrupt,
    ) -> Result<TextEncoder> {
        let tokenizer = Tokenizer::open(&self.path.join("tokenizer"))?;
        let checkpoint = &self.text_encoder_weights;
        let weights = Weights::open(checkpoint, Decoder::key_map(checkpoint), dtype, device, interrupt)?;
        TextEncoder::of_decoder(tokenizer, Decoder::load(&weights, &self.text_encoder)?)
    }

    /// Loads the backbone.
    ///
    /// # Errors
    /// As [`NextDit::load`].
    pub fn load_backbone(&self, device: &Device, dtype: DType, interrupt: &Interrupt) -> Result<NextDit> {
        NextDit::load(&self.backbone_weights, &self.backbone, dtype, device, interrupt)
    }

    /// Loads the autoencoder, in `dtype` where [`AutoencoderKl::compute_type`] allows it.
    ///
    /// # Errors
    /// As [`AutoencoderKl::load`].
    pub fn load_autoencoder(
        &self,
        device: &Device,
        dtype: DType,
        interrupt: &Interrupt,
    ) -> Result<AutoencoderKl> {
        let checkpoint = &self.autoencoder_weights;
        let weights =
            Weights::open(checkpoint, AutoencoderKl::key_map(checkpoint), dtype, device, interrupt)?;
        AutoencoderKl::load(&weights, &self.autoencoder)
    }
}

impl FolderReport {
    /// Whether the folder can be loaded.
    pub fn is_loadable(&self) -> bool {
        self.errors.is_empty()
    }

    fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.errors.push(error)).ok()
    }

    fn add(&mut self, report: Result<Report>) {
        let Some(report) = self.keep(report) else { return };
        self.errors.extend(report.errors());
        if !report.unused.is_empty() {
            self.warnings.push(ModelError::UnusedKeys { path: report.path, keys: report.unused });
        }
    }
}

/// Sizes of the text encoder, which is a Gemma of the first generation in this pipeline.
fn read_text_encoder(dir: &Path) -> Result<DecoderConfig> {
    let path = dir.join("config.json");
    let config = DecoderConfig::read(&path)?;
    if config.family == DecoderFamily::Gemma {
        return Ok(config);
    }
    let reason = format!("`model_type` is `{}`, expected `gemma`", config.family.model_type());
    Err(ModelError::config(path, reason))
}

fn verify_text_encoder(config: &DecoderConfig, weights: &Checkpoint) -> Result<Report> {
    let ignorable = |name: &str| Decoder::is_ignorable(config, name);
    Ok(verify(weights, &Decoder::key_map(weights), &Decoder::expected(config)?, &ignorable))
}

fn verify_backbone(config: &NextDitConfig, weights: &Checkpoint) -> Result<Report> {
    let keys = Dialect::detect(weights)?.key_map();
    Ok(verify(weights, &keys, &NextDit::expected(config)?, &|_| false))
}

fn verify_autoencoder(config: &AutoencoderConfig, weights: &Checkpoint) -> Result<Report> {
    Ok(verify(weights, &AutoencoderKl::key_map(weights), &AutoencoderKl::expected(config)?, &|_| false))
}

fn check_index(folder: &Path) -> Result<()> {
    let path = folder.join("model_index.json");
    let text = std::fs::read(&path).map_err(|source| ModelError::read(&path, source))?;
    let index: ModelIndex =
        serde_json::from_slice(&text).map_err(|error| ModelError::config(&path, error.to_string()))?;
    if CLASSES.contains(&index.class_name.as_str()) {
        return Ok(());
    }
    let reason =
        format!("`_class_name` is `{}`, expected `{}` or `{}`", index.class_name, CLASSES[0], CLASSES[1]);
    Err(ModelError::config(path, reason))
}
