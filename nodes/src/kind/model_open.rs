//! `model.open`: a whole model from its folder.

use std::sync::Arc;

use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
    World,
};
use lumina_models::weights::StoredTensor;
use lumina_models::{ModelError, PipelineFolder};

use crate::hub::{self, Place};
use crate::sizes::with_sizes;
use crate::value::{BackboneValue, DecoderValue, EncoderValue, Space, TextEncoderValue, type_of};
use crate::{Compute, interrupt, mistake, node_error, warn};

pub(crate) struct ModelOpen;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "model.open",
        1,
        "Opens a model folder\n\n\
         The folder has the diffusers layout of Lumina-Next: `model_index.json`, `tokenizer/`, `text_encoder/`,\n\
         `transformer/`, `vae/`, `scheduler/`. Configurations and the headers of weight files are checked against each\n\
         other before anything is loaded. Relative paths are searched in the current folder, beside the graph file, in\n\
         the folder above it, and in the folder that `LUMINA_GRAPH_MODELS` names. `owner/name` is a repository of\n\
         Hugging Face: it is taken from its cache, or downloaded by a program built with the feature `hub`.",
    )
    .input(InputSpec::required("path", Type::Path, "the model folder"))
    .output("text_encoder", type_of::<TextEncoderValue>(), "tokenizer and text encoder")
    .output("backbone", type_of::<BackboneValue>(), "the diffusion transformer")
    .output("encoder", type_of::<EncoderValue>(), "pixels to latents")
    .output("decoder", type_of::<DecoderValue>(), "latents to pixels")
    .output("space", type_of::<Space>(), "the convention of the model's latents")
    .output("shift", Type::Float, "the time shift of the folder's scheduler")
    .device()
    .example(r#""model": Node(kind: "model.open", with: { "path": "weights/lumina-next-tiny" })"#)
}

impl Node for ModelOpen {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let Some(path) = inquiry.path("path") else { return Ok(Inference::new(unknown(), Memory::UNKNOWN)) };
        let found = match hub::find(&path, inquiry.world).map_err(|mistake| vec![*mistake])? {
            Place::Here(found) => found,
            // Nothing is known of a model before it is downloaded.
            Place::Remote => return Ok(Inference::new(unknown(), Memory::UNKNOWN)),
        };
        if found.is_file() {
            let message = format!("`{}` is a file, expected a model folder", path.display());
            return Err(vec![Mistake::at("path", message).code(Code::BadFile).label("a file")]);
        }
        let report = PipelineFolder::verify(&found);
        if !report.is_loadable() {
            return Err(mistakes(&report.errors));
        }
        let folder = PipelineFolder::open(&found).map_err(|error| vec![mistake("path", &error)])?;
        let warnings =
            report.warnings.iter().map(|warning| mistake("path", warning).code(Code::UnusedContent));
        let inference = facts(&folder, inquiry.world).map_err(|error| vec![mistake("path", &error)])?;
        Ok(inference.warnings(warnings))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let place = hub::find(&call.path("path")?, call.world)
            .map_err(|mistake| NodeError::file(mistake.message.clone()))?;
        let Place::Here(path) = place else { return Err(NodeError::file("the model is not downloaded")) };
        let folder = PipelineFolder::open(&path).map_err(node_error)?;
        let Compute { device, dtype, .. } = Compute::of(call.world);
        let stop = interrupt(call.cancel);
        let bytes = folder.part_bytes(&device, dtype).map_err(node_error)?;

        let space = Space::new(&folder.backbone, &folder.autoencoder).with_preview(folder.preview.clone());
        let text_encoder = folder.load_text_encoder(&device, dtype, &stop).map_err(node_error)?;
        call.progress(1, 3, "part");
        let backbone = folder.load_backbone(&device, dtype, &stop).map_err(node_error)?;
        call.progress(2, 3, "part");
        let autoencoder = Arc::new(folder.load_autoencoder(&device, dtype, &stop).map_err(node_error)?);
        call.progress(3, 3, "part");
        warn(call, &stop);

        let half = bytes.autoencoder / 2;
        Ok(vec![
            Value::domain(TextEncoderValue { encoder: Arc::new(text_encoder), bytes: bytes.text_encoder }),
            Value::domain(BackboneValue {
                network: Arc::new(backbone),
                space: space.clone(),
                bytes: bytes.backbone,
            }),
            Value::domain(EncoderValue {
                network: Arc::clone(&autoencoder),
                space: space.clone(),
                bytes: half,
            }),
            Value::domain(DecoderValue { network: autoencoder, space: space.clone(), bytes: half }),
            Value::domain(space),
            Value::Float(folder.scheduler.shift),
        ])
    }
}

/// Mistakes of a folder. A wrong config gives one for each tensor: of many the first few tell enough.
fn mistakes(errors: &[ModelError]) -> Vec<Mistake> {
    const SHOWN: usize = 3;
    let is_shape = |error: &&ModelError| matches!(error, ModelError::Shape { .. });
    let more = errors.iter().filter(is_shape).count().saturating_sub(SHOWN);
    let shapes = errors.iter().filter(is_shape).take(SHOWN);
    let others = errors.iter().filter(|error| !is_shape(error));
    let mut mistakes: Vec<Mistake> = others.chain(shapes).map(|error| mistake("path", error)).collect();
    if let Some(last) = mistakes.last_mut()
        && more > 0
    {
        last.help.push(format!("{more} more tensors have other shapes than the config says"));
    }
    mistakes
}

fn facts(folder: &PipelineFolder, world: &dyn World) -> lumina_models::Result<Inference> {
    let space = Space::new(&folder.backbone, &folder.autoencoder);
    let text = folder.text_encoder.hidden_size;
    let Compute { device, dtype, .. } = Compute::of(world);
    let kept = folder.part_bytes(&device, dtype)?.sum();
    // A tensor is read as it is stored, then converted; mapped pages are given back after each.
    let weights = [folder.text_encoder_weights(), folder.backbone_weights(), folder.autoencoder_weights()];
    let tensors = weights.iter().flat_map(|weights| weights.tensors().values());
    let largest = tensors.map(StoredTensor::byte_size).max().unwrap_or(0);
    let backbone = space.fact(type_of::<BackboneValue>());
    let outputs = [
        with_sizes(Fact::of(type_of::<TextEncoderValue>()).with("text width", text), &folder.text_encoder),
        with_sizes(backbone.with("text width", folder.backbone.cross_attention_dim), &folder.backbone),
        with_sizes(space.fact(type_of::<EncoderValue>()), &folder.autoencoder),
        with_sizes(space.fact(type_of::<DecoderValue>()), &folder.autoencoder),
        space.fact(type_of::<Space>()),
        Fact::constant(Value::Float(folder.scheduler.shift)),
    ];
    Ok(Inference::new(outputs, Memory::new(kept + largest, kept)).files(folder.files()))
}

fn unknown() -> [Fact; 6] {
    [
        Fact::of(type_of::<TextEncoderValue>()),
        Fact::of(type_of::<BackboneValue>()),
        Fact::of(type_of::<EncoderValue>()),
        Fact::of(type_of::<DecoderValue>()),
        Fact::of(type_of::<Space>()),
        Fact::of(Type::Float),
    ]
}
