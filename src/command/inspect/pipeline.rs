//! A model folder in the layout of diffusers.

use std::path::Path;

use anyhow::{Result, bail};
use lumina_models::PipelineFolder;
use lumina_models::weights::Checkpoint;
use serde_json::{Value, json};

/// The file that makes a folder a model folder.
pub(super) const INDEX: &str = "model_index.json";

/// What is in a model folder.
pub(super) fn describe(path: &Path) -> Result<Value> {
    let report = PipelineFolder::verify(path);
    if !report.is_loadable() {
        let mistakes: Vec<String> = report.errors.iter().map(ToString::to_string).collect();
        bail!("`{}` cannot be loaded:\n  {}", path.display(), mistakes.join("\n  "));
    }
    let folder = PipelineFolder::open(path)?;
    let part = |checkpoint: &Checkpoint| {
        let formats: std::collections::BTreeSet<String> =
            checkpoint.tensors().values().map(|tensor| tensor.format.to_string()).collect();
        let formats: Vec<String> = formats.into_iter().collect();
        let (tensors, parameters) = (checkpoint.tensors().len(), checkpoint.parameter_count());
        format!("{parameters} parameters in {tensors} tensors of {}", formats.join(", "))
    };
    let (backbone, text, vae) = (&folder.backbone, &folder.text_encoder, &folder.autoencoder);
    Ok(json!({
        "folder": path.display().to_string(),
        "family": "Lumina-Next (diffusers layout)",
        "text encoder": {
            "network": "Gemma", "width": text.hidden_size, "layers": text.num_hidden_layers,
            "weights": part(folder.text_encoder_weights()),
        },
        "backbone": {
            "network": "Next-DiT", "width": backbone.hidden_size, "layers": backbone.num_layers,
            "heads": backbone.num_attention_heads, "key heads": backbone.key_heads(),
            "training size": backbone.sample_size * vae.downscale(), "weights": part(folder.backbone_weights()),
        },
        "autoencoder": {
            "network": "AutoencoderKL", "latent channels": vae.latent_channels, "downscale": vae.downscale(),
            "scale": vae.scaling_factor, "weights": part(folder.autoencoder_weights()),
        },
        "warnings": report.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
    }))
}
