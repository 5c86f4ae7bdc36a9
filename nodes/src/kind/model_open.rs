//! `model.open`: a whole model from its folder.

use std::sync::Arc;

use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Mistake, Node, NodeError, NodeSpec, Type, Value, World,
};
use lumina_models::backbone::NextDitConfig;
use lumina_models::{ModelError, PipelineFolder};

use crate::hub::{self, Place};
use crate::value::{BackboneValue, DecoderValue, EncoderValue, Space, TextEncoderValue, type_of};
use crate::{Compute, interrupt, mistake, node_error};

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
    .example(r#""model": Node(kind: "model.open", with: { "path": "weights/lumina-next-tiny" })"#)
}

impl Node for ModelOpen {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let Some(path) = inquiry.path("path") else { return Ok(Inference::outputs(unknown())) };
        let found = match hub::find(&path, inquiry.world).map_err(|mistake| vec![*mistake])? {
            Place::Here(found) => found,
            // Nothing is known of a model before it is downloaded.
            Place::Remote => return Ok(Inference::outputs(unknown())),
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
        Ok(facts(&folder, inquiry.world).warnings(warnings))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let place = hub::find(&call.path("path")?, call.world)
            .map_err(|mistake| NodeError::file(mistake.message.clone()))?;
        let Place::Here(path) = place else { return Err(NodeError::file("the model is not downloaded")) };
        let folder = PipelineFolder::open(&path).map_err(node_error)?;
        let Compute { device, dtype, .. } = Compute::of(call.world);
        let stop = interrupt(call.cancel);
        let size = dtype.size_in_bytes() as u64;

        let space = Space::new(&folder.backbone, &folder.autoencoder);
        let text_encoder = folder.load_text_encoder(&device, dtype, &stop).map_err(node_error)?;
        call.progress(1, 3, "part");
        let backbone = folder.load_backbone(&device, dtype, &stop).map_err(node_error)?;
        call.progress(2, 3, "part");
        let autoencoder = Arc::new(folder.load_autoencoder(&device, dtype, &stop).map_err(node_error)?);
        call.progress(3, 3, "part");

        let half = folder.autoencoder_weights().parameter_count() * size / 2;
        Ok(vec![
            Value::domain(TextEncoderValue {
                encoder: Arc::new(text_encoder),
                bytes: folder.text_encoder_weights().parameter_count() * size,
            }),
            Value::domain(BackboneValue {
                network: Arc::new(backbone),
                space: space.clone(),
                bytes: folder.backbone_weights().parameter_count() * size,
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

fn facts(folder: &PipelineFolder, world: &dyn World) -> Inference {
    let space = Space::new(&folder.backbone, &folder.autoencoder);
    let text = folder.text_encoder.hidden_size;
    let weights = [folder.text_encoder_weights(), folder.backbone_weights(), folder.autoencoder_weights()];
    let parameters: u64 = weights.iter().map(|weights| weights.parameter_count()).sum();
    let bytes = parameters * Compute::of(world).dtype.size_in_bytes() as u64;
    Inference::outputs([
        Fact::of(type_of::<TextEncoderValue>()).with("text width", text),
        space
            .fact(type_of::<BackboneValue>())
            .with("text width", folder.backbone.cross_attention_dim)
            .with("token bytes", token_bytes(&folder.backbone)),
        space.fact(type_of::<EncoderValue>()),
        space.fact(type_of::<DecoderValue>()),
        space.fact(type_of::<Space>()),
        Fact::constant(Value::Float(folder.scheduler.shift)),
    ])
    .files(folder.files())
    .working_bytes(bytes)
    .output_bytes(bytes)
}

/// Bytes of activations for each token: the residual stream, its copies around attention, and the widest of
/// attention and feed-forward.
fn token_bytes(backbone: &NextDitConfig) -> usize {
    (backbone.hidden_size * 10 + backbone.feed_forward_dim() * 3) * 4
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
