//! `model_args.pth`: what a training of Lumina-T2X was asked for.

use std::path::Path;

use super::{PthArchive, PthField};
use crate::weights::Checkpoint;
use crate::{ModelError, Result};

/// The arguments of a training that say something about its weights; the shapes of the weights say it better.
///
/// Source: `args` of Lumina-T2X `train.py`, saved beside the weights as an `argparse.Namespace` or as a
/// `types.SimpleNamespace`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelArguments {
    /// Name of the constructor, such as `NextDiT_2B_GQA_patch2`.
    pub model: Option<String>,
    /// Whether queries and keys are normed.
    pub qk_norm: Option<bool>,
    /// Side of the pictures of the training, in pixels.
    pub image_size: Option<i64>,
    /// The autoencoder: `sdxl`, `ema`, `mse` or `sd3`.
    pub vae: Option<String>,
    /// The text encoder.
    pub lm: Option<String>,
    /// The tokenizer.
    pub tokenizer_path: Option<String>,
    /// Ranks that the weights are split among.
    pub model_parallel_size: Option<i64>,
    /// Classes of a class-conditional network.
    pub num_classes: Option<i64>,
}

impl ModelArguments {
    /// The name of the file, beside the weights.
    pub const FILE_NAME: &str = "model_args.pth";

    /// Reads the file.
    ///
    /// # Errors
    /// As [`PthArchive::open`]; [`ModelError::Config`] for a field of another type.
    pub fn open(path: &Path) -> Result<Self> {
        Self::of(&PthArchive::open(path)?).map_err(|reason| ModelError::config(path, reason))
    }

    /// Reads the file in the folder `dir`, if it is there.
    ///
    /// # Errors
    /// As [`ModelArguments::open`].
    pub fn in_folder(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(Self::FILE_NAME);
        if path.is_file() { Self::open(&path).map(Some) } else { Ok(None) }
    }

    fn of(archive: &PthArchive) -> std::result::Result<Self, String> {
        let text = |name| {
            field(archive, name, "a text", |field| match field {
                PthField::Text(text) => Some(text.clone()),
                _ => None,
            })
        };
        let number = |name| {
            field(archive, name, "a whole number", |field| match field {
                PthField::Int(number) => Some(*number),
                _ => None,
            })
        };
        let switch = |field: &PthField| match field {
            PthField::Bool(value) => Some(*value),
            _ => None,
        };
        Ok(Self {
            model: text("model")?,
            qk_norm: field(archive, "qk_norm", "`True` or `False`", switch)?,
            image_size: number("image_size")?,
            vae: text("vae")?,
            lm: text("lm")?,
            tokenizer_path: text("tokenizer_path")?,
            model_parallel_size: number("model_parallel_size")?,
            num_classes: number("num_classes")?,
        })
    }

    /// Where the arguments say something else than the weights, which win; a sentence each.
    pub fn differences(&self, checkpoint: &Checkpoint) -> Vec<String> {
        let mut differences = Vec::new();
        let mut compare = |name: &str, said: String, found: String| {
            if said != found {
                let file = Self::FILE_NAME;
                differences.push(format!("`{file}` says `{name}` is {said}, the weights say {found}"));
            }
        };
        if let Some(qk_norm) = self.qk_norm
            && checkpoint.get("layers.0.attention.wq.weight").is_some()
        {
            let found = checkpoint.get("layers.0.attention.q_norm.weight").is_some();
            compare("qk_norm", qk_norm.to_string(), found.to_string());
        }
        if let Some(ranks) = self.model_parallel_size {
            compare("model_parallel_size", ranks.to_string(), checkpoint.ranks().to_string());
        }
        let table = checkpoint.get("y_embedder.embedding_table.weight");
        if let Some((classes, &rows)) = self.num_classes.zip(table.and_then(|table| table.shape.first())) {
            // One row more for pictures without a class, where the training had any.
            let found = if i64::try_from(rows) == Ok(classes) { rows } else { rows.saturating_sub(1) };
            compare("num_classes", classes.to_string(), found.to_string());
        }
        differences
    }
}

/// A field, or none when it is not there or is `None`.
fn field<T>(
    archive: &PthArchive,
    name: &str,
    expected: &str,
    read: impl Fn(&PthField) -> Option<T>,
) -> std::result::Result<Option<T>, String> {
    match archive.fields().get(name) {
        None | Some(PthField::None) => Ok(None),
        Some(field) => {
            read(field).map(Some).ok_or_else(|| format!("`{name}` is {field:?}, expected {expected}"))
        }
    }
}
