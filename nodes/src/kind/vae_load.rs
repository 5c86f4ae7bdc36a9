//! `vae.load`: an autoencoder from its folder.

use lumina_engine::{
    Call, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::vae::VaeFolder;

use crate::error::mistakes;
use crate::loading::{keep, loading, unused};
use crate::value::{DecoderValue, EncoderValue, Space, autoencoder_facts, type_of};
use crate::{Compute, interrupt, mistake, node_error, warn};

pub(crate) struct VaeLoad;

/// Cells of a token on each side, in all backbones of Lumina.
const PATCH: i64 = 2;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "vae.load",
        1,
        "Loads an autoencoder\n\n\
         The folder has `config.json` and `diffusion_pytorch_model.safetensors` or `model.safetensors`, or their shards:\n\
         the `vae` folder of a diffusers model (`AutoencoderKL` of Stable Diffusion, SDXL, SD3, FLUX). The mel autoencoder\n\
         of Lumina's audio and music needs no config: its tensors tell the sizes. Which of the two it is is told by the\n\
         tensors. `image.encode` and `image.decode` work on pictures and latents, `vae.encode` and `vae.decode` on plain\n\
         tensors of either.",
    )
    .input(InputSpec::required("path", Type::Path, "the folder, or a weight file"))
    .input(InputSpec::optional("config", Type::Path, "the config, where it is not `config.json` beside the weights"))
    .input(
        InputSpec::default("patch", Type::Int, Value::Int(PATCH), "latent cells per token of the backbone, on each side; part of the space of pictures")
            .min(1.0)
            .max(64.0),
    )
    .output("encoder", type_of::<EncoderValue>(), "pixels, or mel spectrograms, to latents")
    .output("decoder", type_of::<DecoderValue>(), "and back")
    .output("space", type_of::<Space>(), "the convention of its latents")
    .device()
    .example(r#""vae": Node(kind: "vae.load", with: { "path": "models/sdxl-vae" })"#)
}

impl Node for VaeLoad {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let mut wrong = Vec::new();
        let path = keep(inquiry.find("path", "autoencoder"), &mut wrong).flatten();
        let config = keep(inquiry.find("config", "config"), &mut wrong).flatten();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let is_pending = inquiry.fact("config").is_some() && config.is_none();
        let Some(path) = path.filter(|_| !is_pending) else {
            return Ok(Inference::new(unknown(), Memory::UNKNOWN));
        };
        let told = |error| vec![mistake("path", &error)];
        let folder = VaeFolder::open(&path, config.as_deref()).map_err(|error| {
            let input = if names(&error, config.as_deref()) { "config" } else { "path" };
            vec![mistake(input, &error)]
        })?;
        let report = folder.config.verify(&folder.checkpoint).map_err(told)?;
        wrong.extend(mistakes("path", &report.errors()));
        wrong.extend(folder.preview().err().map(|error| mistake("path", &error)));
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let Compute { device, dtype, .. } = Compute::of(inquiry.world);
        let kept = folder.bytes(dtype, &device).map_err(told)?;
        let patch = patch(&folder, inquiry.size("patch"));
        let space = folder.scale().zip(patch);
        let space = space.map(|(scale, patch)| Space::of_autoencoder(&folder.config, scale, patch));
        let facts = autoencoder_facts(&folder.config, space.as_ref());
        Ok(Inference::new(facts, loading(&folder.checkpoint, kept))
            .files(folder.files())
            .warnings(unused("path", report)))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let config = call.value("config").map(|_| call.find("config")).transpose()?;
        let folder = VaeFolder::open(&call.find("path")?, config.as_deref()).map_err(node_error)?;
        let Compute { device, dtype, .. } = Compute::of(call.world);
        let bytes = folder.bytes(dtype, &device).map_err(node_error)?;
        let scale = folder.stored_scale().map_err(node_error)?;
        let patch = patch(&folder, Some(call.size("patch")?)).unwrap_or(1);
        let space = Space::of_autoencoder(&folder.config, scale, patch);
        let space = match folder.preview().map_err(node_error)? {
            Some(preview) => space.with_preview(preview),
            None => space,
        };
        let stop = interrupt(call.cancel);
        let network = folder.load(dtype, &device, &stop).map_err(node_error)?;
        warn(call, &stop);
        let (encoder, decoder) = EncoderValue::halves(network, &space, bytes);
        Ok(vec![Value::domain(encoder), Value::domain(decoder), Value::domain(space)])
    }
}

/// Backbones of sound take each latent frame as a token.
fn patch(folder: &VaeFolder, given: Option<usize>) -> Option<usize> {
    if folder.config.rank() == 4 { given } else { Some(1) }
}

fn unknown() -> [Fact; 3] {
    [Fact::of(type_of::<EncoderValue>()), Fact::of(type_of::<DecoderValue>()), Fact::of(type_of::<Space>())]
}

/// Whether an error is about this file.
fn names(error: &lumina_models::ModelError, file: Option<&std::path::Path>) -> bool {
    use lumina_models::ModelError::{Config, FileNotFound, Read};
    match error {
        Config { path, .. } | FileNotFound { path, .. } | Read { path, .. } => Some(path.as_path()) == file,
        _ => false,
    }
}
