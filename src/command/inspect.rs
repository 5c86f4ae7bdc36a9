//! `lumina-graph inspect`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use lumina_engine::{Document, Source, Type, parse, restore};
use lumina_models::weights::{Checkpoint, Header};
use lumina_models::{ModelError, PipelineFolder};
use serde_json::{Value, json};

use super::Context;
use crate::arguments::InspectArguments;
use crate::exit::Exit;
use crate::messages::{answer, error, visible};
use crate::scalar::Scalar;

pub(super) fn inspect(context: &Context, arguments: &InspectArguments) -> Exit {
    match describe(context, arguments) {
        Ok(()) => Exit::Ok,
        Err(cause) => {
            error(&format!("{cause:#}"), None);
            Exit::File
        }
    }
}

fn describe(context: &Context, arguments: &InspectArguments) -> Result<()> {
    let path = &arguments.file;
    if !path.exists() {
        bail!("no file or folder at `{}`", path.display());
    }
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    if arguments.graph {
        if extension.as_deref() != Some("png") {
            bail!("`{}` carries no graph: only pictures in `.png` files do", path.display());
        }
        let (document, provenance) = provenance(path)?;
        answer(restore(&document, &provenance, context.engine.registry()).trim_end());
        return Ok(());
    }
    let report = match extension.as_deref() {
        Some("png") => picture(context, path)?,
        Some("safetensors") => weights(path)?,
        _ if path.is_dir() => folder(path)?,
        _ => bail!(
            "cannot tell what `{}` is: expected a `.png` file, a `.safetensors` file or a model folder",
            path.display()
        ),
    };
    if arguments.json {
        answer(&report.to_string());
    } else {
        print(&report, 0);
    }
    Ok(())
}

fn provenance(path: &Path) -> Result<(Document, lumina_engine::Provenance)> {
    let found = lumina_modalities::image::read_png(path)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    let Some(provenance) = found else {
        bail!(
            "`{}` carries no graph: it was not made by lumina-graph, or with `--no-metadata`",
            path.display()
        );
    };
    let source = Source::new(format!("{}.ron", provenance.graph_name), provenance.graph.clone());
    Ok((parse(source).0, provenance))
}

fn picture(context: &Context, path: &Path) -> Result<Value> {
    let (document, provenance) = provenance(path)?;
    // Values are embedded as text; the graph beside them says of which type they are.
    let params: BTreeMap<&str, Scalar> = provenance
        .params
        .iter()
        .map(|(name, text)| (name.as_str(), Scalar::of_param(&document, name, text)))
        .collect();
    let overrides: BTreeMap<&str, Scalar> = provenance
        .overrides
        .iter()
        .map(|(name, text)| (name.as_str(), Scalar::of(&input_type(context, &document, name), text)))
        .collect();
    Ok(json!({
        "file": path.display().to_string(),
        "graph": provenance.graph_name,
        "made by": format!("lumina-graph {} on {}", provenance.engine, provenance.environment),
        "includes": provenance.includes.keys().collect::<Vec<_>>(),
        "parameters": params,
        "overrides": overrides,
        "digests (BLAKE3)": provenance.digests,
    }))
}

/// The type of an input that is named as `node.input`; a text where the graph has no such input.
fn input_type(context: &Context, document: &Document, name: &str) -> Type {
    let find = || {
        let (node, input) = name.split_once('.')?;
        let node = document.nodes.iter().find(|declared| declared.name.value == node)?;
        let kind = context.engine.registry().get(&node.kind.value)?;
        kind.spec.inputs.iter().find(|spec| spec.name == input).map(|spec| spec.ty.clone())
    };
    find().unwrap_or(Type::Text)
}

fn weights(path: &Path) -> Result<Value> {
    let header = Header::read(path).map_err(readable)?;
    let tensors = header.tensors();
    let parameters: usize = tensors.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum();
    let list: serde_json::Map<String, Value> = tensors
        .iter()
        .map(|tensor| (tensor.name.clone(), json!(format!("{:?} {:?}", tensor.dtype, tensor.shape))))
        .collect();
    Ok(json!({
        "file": path.display().to_string(), "tensors": tensors.len(), "parameters": parameters, "contents": list,
    }))
}

fn folder(path: &Path) -> Result<Value> {
    if !path.join("model_index.json").exists() {
        bail!("`{}` is not a model folder: it has no `model_index.json`", path.display());
    }
    let report = PipelineFolder::verify(path);
    if !report.is_loadable() {
        let mistakes: Vec<String> =
            report.errors.into_iter().map(|error| readable(error).to_string()).collect();
        bail!("`{}` cannot be loaded:\n  {}", path.display(), mistakes.join("\n  "));
    }
    let folder = PipelineFolder::open(path).map_err(readable)?;
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
        "warnings": report.warnings.into_iter().map(|warning| readable(warning).to_string()).collect::<Vec<_>>(),
    }))
}

fn readable(error: ModelError) -> anyhow::Error {
    anyhow::Error::new(error)
}

/// An object as indented lines.
fn print(value: &Value, depth: usize) {
    let Value::Object(map) = value else { return };
    for (name, value) in map {
        let indent = "  ".repeat(depth);
        match value {
            Value::Object(inner) if inner.is_empty() => {}
            Value::Array(items) if items.is_empty() => {}
            Value::Object(_) => {
                answer(&format!("{indent}{name}"));
                print(value, depth + 1);
            }
            Value::Array(items) => {
                for item in items {
                    answer(&format!("{indent}{name}: {}", plain(item)));
                }
            }
            other => answer(&format!("{indent}{name}: {}", plain(other))),
        }
    }
}

/// A value on one line.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), visible)
}
