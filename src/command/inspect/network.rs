//! Which networks are in a checkpoint.

use std::path::Path;

use lumina_models::ModelError;
use lumina_models::backbone::audio::{AudioFlagDit, AudioFlagDitConfig};
use lumina_models::backbone::{Family, identify};
use lumina_models::text::{TextFolder, TextKind, recognise};
use lumina_models::vae::{VaeConfig, VaeFolder, VaeKind};
use lumina_models::vocoder::{BigVgan, VocoderFolder};
use lumina_models::weights::{Checkpoint, KeyMap, Report};

use super::sizes;

/// The family of a network that is known and refused.
const REFUSED: &str = "none that can be loaded";

/// One network of a checkpoint.
#[derive(Default)]
pub(super) struct Found {
    /// Its place in a pipeline.
    pub(super) role: &'static str,
    /// What it is.
    pub(super) family: String,
    /// The published network of the same sizes.
    pub(super) published: Option<&'static str>,
    /// Sizes by name.
    pub(super) sizes: Vec<(&'static str, usize)>,
    /// The node that loads it.
    pub(super) node: Option<String>,
    /// What should be known before it is loaded.
    pub(super) notes: Vec<String>,
    /// What keeps it from being loaded.
    pub(super) problems: Vec<String>,
}

/// All networks of a checkpoint; a whole system has several.
pub(super) fn find(path: &Path, checkpoint: &Checkpoint) -> Vec<Found> {
    let found = [
        backbone(path, checkpoint),
        text_encoder(path, checkpoint),
        autoencoder(path, checkpoint),
        vocoder(path, checkpoint),
    ];
    found.into_iter().flatten().collect()
}

impl Found {
    fn new(role: &'static str, family: impl Into<String>) -> Self {
        Self { role, family: family.into(), ..Self::default() }
    }

    /// The node that loads it.
    fn loads_as(mut self, kind: &str, path: &Path) -> Self {
        let path = path.display().to_string();
        self.node = Some(format!("Node(kind: \"{kind}\", with: {{ \"path\": {path:?} }})"));
        self
    }

    fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Takes over what a comparison of headers with the config found.
    fn compared(mut self, report: lumina_models::Result<Report>) -> Self {
        match report {
            Ok(report) => {
                self.problems.extend(report.errors().iter().map(ModelError::to_string));
                if !report.unused.is_empty() {
                    let unused = ModelError::UnusedKeys { path: report.path, keys: report.unused };
                    self.notes.push(unused.to_string());
                }
            }
            Err(error) => self.problems.push(error.to_string()),
        }
        self
    }
}

/// Whether a name is stored.
fn has(keys: &KeyMap, checkpoint: &Checkpoint, name: &str) -> bool {
    keys.resolve(name, checkpoint).is_some()
}

fn backbone(path: &Path, checkpoint: &Checkpoint) -> Option<Found> {
    const ROLE: &str = "backbone";
    let audio = AudioFlagDit::key_map(checkpoint);
    if has(&audio, checkpoint, "proj_in.weight") && has(&audio, checkpoint, "blocks.0.attention.gate") {
        let found =
            Found::new(ROLE, "a Flag-DiT of Lumina's audio and music").loads_as("backbone.load", path);
        return Some(match AudioFlagDitConfig::from_checkpoint(checkpoint) {
            Ok(config) => Found {
                published: (config == AudioFlagDitConfig::lumina()).then_some(sizes::SOUND),
                sizes: sizes::of_audio(&config),
                ..found
            },
            Err(error) => Found { problems: vec![error.to_string()], ..found },
        });
    }
    match identify(checkpoint) {
        Ok(found) => {
            let (published, sizes) = (found.preset, sizes::of_backbone(&found.config));
            let found = Found::new(ROLE, found.family.name()).loads_as("backbone.load", path);
            Some(Found { published, sizes, ..found })
        }
        Err(error) => {
            let anchors = ["x_embedder.weight", "patch_embedder.weight", "patch_embedder.proj.weight"];
            let is_one = anchors.iter().any(|anchor| checkpoint.get(anchor).is_some());
            is_one.then(|| unidentified(path, checkpoint, error))
        }
    }
}

/// A backbone of which something is not as it should be.
fn unidentified(path: &Path, checkpoint: &Checkpoint, error: ModelError) -> Found {
    const ROLE: &str = "backbone";
    match (Family::detect(checkpoint), error) {
        // A network that is known and refused is described, not broken.
        (Err(ModelError::Config { reason, .. }), _) => Found::new(ROLE, REFUSED).note(reason),
        (Ok(family), ModelError::Config { reason, .. }) => {
            let found = Found::new(ROLE, family.name()).loads_as("backbone.load", path);
            found.note(format!("its tensors do not tell all sizes, give a config: {reason}"))
        }
        (family, error) => {
            let family = family.map_or("a backbone of Lumina", |family| family.name());
            Found { problems: vec![error.to_string()], ..Found::new(ROLE, family) }
        }
    }
}

fn text_encoder(path: &Path, checkpoint: &Checkpoint) -> Option<Found> {
    const ROLE: &str = "text encoder";
    let kind = recognise(b"{}", checkpoint);
    // Two families have the same names: only the config tells.
    let is_decoder = checkpoint.tensors().keys().any(|key| key.ends_with("layers.0.self_attn.q_proj.weight"));
    match TextFolder::open(path, None) {
        Ok(folder) => {
            let config = &folder.config;
            let found = Found::new(ROLE, config.name()).loads_as("text.load", path);
            let found = found.compared(config.verify(&folder.checkpoint));
            let found = match folder.open_tokenizer() {
                Ok(Some(_)) => found,
                Ok(None) => found.note("no tokenizer is beside it: give `text.load` one with `tokenizer`"),
                Err(error) => found.note(error.to_string()),
            };
            Some(Found { published: sizes::published_text(config), sizes: sizes::of_text(config), ..found })
        }
        Err(error) if kind.is_ok() || is_decoder => {
            let family = match kind {
                Ok(TextKind::Decoder(family)) => family.name(),
                Ok(TextKind::T5) => "T5",
                Ok(TextKind::Bert) => "BERT",
                Ok(TextKind::ClapText) => "CLAP",
                Err(_) => "Gemma or Llama",
            };
            Some(Found::new(ROLE, family).note(format!("its sizes are not known: {error}")))
        }
        Err(_) => None,
    }
}

fn autoencoder(path: &Path, checkpoint: &Checkpoint) -> Option<Found> {
    const ROLE: &str = "autoencoder";
    if !checkpoint.tensors().keys().any(|key| key.ends_with("encoder.conv_in.weight")) {
        return None;
    }
    let kind = match VaeKind::detect(checkpoint) {
        Ok(kind) => kind,
        Err(ModelError::Config { reason, .. }) => {
            return Some(Found::new(ROLE, REFUSED).note(reason));
        }
        Err(error) => return Some(Found::new(ROLE, REFUSED).note(error.to_string())),
    };
    match VaeFolder::open(path, None) {
        Ok(folder) => {
            let config = &folder.config;
            let found = Found::new(ROLE, config.name()).loads_as("vae.load", path);
            let found = found.compared(config.verify(&folder.checkpoint));
            let published = matches!(config, VaeConfig::Mel(_)) && sizes::is_published_mel(config);
            let published = published.then_some(sizes::SOUND);
            Some(Found { published, sizes: sizes::of_autoencoder(config), ..found })
        }
        Err(error) => {
            let family = match kind {
                VaeKind::Image => "AutoencoderKL",
                VaeKind::Mel => "mel autoencoder",
            };
            Some(Found::new(ROLE, family).note(format!("its sizes are not known: {error}")))
        }
    }
}

fn vocoder(path: &Path, checkpoint: &Checkpoint) -> Option<Found> {
    let keys = BigVgan::key_map(checkpoint);
    let is_one =
        has(&keys, checkpoint, "conv_post.bias") && has(&keys, checkpoint, "activation_post.act.alpha");
    is_one.then(|| {
        let found = Found::new("vocoder", "BigVGAN").loads_as("vocoder.load", path);
        match VocoderFolder::open(path, None) {
            Ok(folder) => {
                let found = found.compared(folder.verify());
                let published = sizes::published_vocoder(&folder.config);
                Found { published, sizes: sizes::of_vocoder(&folder.config), ..found }
            }
            Err(error) => {
                found.note(format!("its sizes are not known, give `vocoder.load` a `config`: {error}"))
            }
        }
    })
}
