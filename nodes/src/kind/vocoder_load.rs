//! `vocoder.load`: a vocoder from its folder.

use std::sync::Arc;

use lumina_engine::{
    Call, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::ModelError;
use lumina_models::vocoder::VocoderFolder;

use crate::error::mistakes;
use crate::loading::{keep, loading, unused};
use crate::sizes::with_sizes;
use crate::value::{VocoderValue, type_of};
use crate::{Compute, interrupt, mistake, node_error, warn};

pub(crate) struct VocoderLoad;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "vocoder.load",
        1,
        "Loads a vocoder\n\n\
         A BigVGAN: weights under their original names, with or without weight norm, and `config.json` with `num_mels`,\n\
         `upsample_rates` and so on (JSON; the file that Lumina's audio calls `args.yml` has the same fields). It computes\n\
         in f32 whatever `--dtype` says.",
    )
    .input(InputSpec::required("path", Type::Path, "the weight file, or a folder with `model.safetensors` and `config.json`"))
    .input(InputSpec::optional("config", Type::Path, "the config, where it is not `config.json` beside the weights"))
    .output("vocoder", type_of::<VocoderValue>(), "mel spectrograms to sound")
    .device()
    .example(r#""vocoder": Node(kind: "vocoder.load", with: { "path": "models/bigvgan" })"#)
}

impl Node for VocoderLoad {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let fact = Fact::of(type_of::<VocoderValue>());
        let mut wrong = Vec::new();
        let path = keep(inquiry.find("path", "vocoder"), &mut wrong).flatten();
        let config = keep(inquiry.find("config", "config"), &mut wrong).flatten();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let is_pending = inquiry.fact("config").is_some() && config.is_none();
        let Some(path) = path.filter(|_| !is_pending) else {
            return Ok(Inference::new([fact], Memory::UNKNOWN));
        };
        let folder = VocoderFolder::open(&path, config.as_deref()).map_err(|error| {
            let of_config = matches!(&error, ModelError::Config { path, .. } | ModelError::Read { path, .. }
                if Some(path) == config.as_ref());
            vec![mistake(if of_config { "config" } else { "path" }, &error)]
        })?;
        let told = |error| vec![mistake("path", &error)];
        let report = folder.verify().map_err(told)?;
        if !report.is_loadable() {
            return Err(mistakes("path", &report.errors()));
        }
        let kept = folder.bytes().map_err(told)?;
        let fact = with_sizes(fact, &folder.config);
        Ok(Inference::new([fact], loading(&folder.checkpoint, kept))
            .files(folder.files())
            .warnings(unused("path", report)))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let config = call.value("config").map(|_| call.find("config")).transpose()?;
        let folder = VocoderFolder::open(&call.find("path")?, config.as_deref()).map_err(node_error)?;
        let bytes = folder.bytes().map_err(node_error)?;
        let device = Compute::of(call.world).device;
        let stop = interrupt(call.cancel);
        let network = folder.load(&device, &stop).map_err(node_error)?;
        warn(call, &stop);
        Ok(vec![Value::domain(VocoderValue { network: Arc::new(network), bytes })])
    }
}
