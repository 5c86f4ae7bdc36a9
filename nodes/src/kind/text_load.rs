//! `text.load`: a text encoder from its folder.

use std::sync::Arc;

use lumina_engine::{
    Call, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::text::{HiddenState, TextFolder};

use crate::error::mistakes;
use crate::layer::{hidden_state, layer_index, layer_input};
use crate::loading::{keep, loading, unused};
use crate::value::{TextEncoderValue, type_of};
use crate::{Compute, interrupt, mistake, node_error, warn};

pub(crate) struct TextLoad;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "text.load",
        1,
        "Loads a text encoder\n\n\
         The folder has `config.json` and `model.safetensors`, or its shards, of a Gemma, Gemma 2, Llama, Qwen3, T5, BERT\n\
         or the text tower of CLAP; which one is told by the config, else by the tensors. The tokenizer is\n\
         `tokenizer.json` in the folder, in the folder `tokenizer` beside it, or where `tokenizer` says; without one only\n\
         `text.hidden` can use the encoder.\n\n\
         Each is used as in the pipelines of Lumina. Gemma (Lumina-Next), Gemma 2 (Lumina-Image-2.0) and Qwen3 (Z-Image):\n\
         the second to last hidden state, prompts filled up to a multiple of 8 and cut at 256 tokens. Llama (Lumina-T2I):\n\
         the last one, after the final norm, without a mask, prompts padded behind and ended by `</s>`. T5 (audio and\n\
         music): the last one, 77 tokens, of which padding counts too. BERT and CLAP: the last one.",
    )
    .input(InputSpec::required("path", Type::Path, "the folder, or a weight file beside its `config.json`; a GGUF file of llama.cpp needs none"))
    .input(InputSpec::optional("tokenizer", Type::Path, "the folder of the tokenizer, or its `tokenizer.json`"))
    .input(layer_input(
        "the hidden state that counts: `second_to_last`, `last`, or after how many layers; by default as Lumina uses the \
         encoder. Layers behind it are not loaded",
    ))
    .output("text_encoder", type_of::<TextEncoderValue>(), "tokenizer and network")
    .device()
    .example(r#""encoder": Node(kind: "text.load", with: { "path": "models/gemma-2b", "layer": "second_to_last" })"#)
}

impl Node for TextLoad {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let mut wrong = Vec::new();
        let path = keep(inquiry.find("path", "text encoder"), &mut wrong).flatten();
        let tokenizer = keep(inquiry.find("tokenizer", "tokenizer"), &mut wrong).flatten();
        let Some(path) = path else { return unknown_or(wrong) };
        let opened = TextFolder::open(&path, tokenizer.as_deref());
        let Some(folder) = keep(opened.map_err(|error| vec![mistake("path", &error)]), &mut wrong) else {
            return Err(wrong);
        };
        let layer = inquiry.fact("layer");
        let has_tokenizer = inquiry.fact("tokenizer").is_some();
        let is_pending = |input| inquiry.fact(input).is_some_and(|fact| fact.value.is_none());
        if is_pending("layer") || is_pending("tokenizer") {
            return unknown_or(wrong).map(|inference| inference.files(folder.files()));
        }
        let usual = folder.config.usage().state;
        let mut state = hidden_state(layer.and_then(|layer| layer.value.as_ref())).unwrap_or(usual);
        if let Err(mistake) = layer_index(state, folder.config.layers()) {
            wrong.push(*mistake);
            state = HiddenState::Last;
        }
        if wrong.is_empty() || !has_tokenizer {
            let input = if has_tokenizer { "tokenizer" } else { "path" };
            wrong.extend(folder.open_tokenizer().err().map(|error| mistake(input, &error)));
        }
        let report = folder.verify(state).map_err(|error| vec![mistake("path", &error)])?;
        wrong.extend(mistakes("path", &report.errors()));
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let Compute { device, dtype, .. } = Compute::of(inquiry.world);
        let kept = folder.bytes(state, dtype, &device).map_err(|error| vec![mistake("path", &error)])?;
        let fact = TextEncoderValue::fact(&folder.config, state, folder.tokenizer.is_some());
        Ok(Inference::new([fact], loading(&folder.checkpoint, kept))
            .files(folder.files())
            .warnings(unused("path", report)))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let tokenizer = call.value("tokenizer").map(|_| call.find("tokenizer")).transpose()?;
        let folder = TextFolder::open(&call.find("path")?, tokenizer.as_deref()).map_err(node_error)?;
        let state = hidden_state(call.value("layer")).unwrap_or(folder.config.usage().state);
        let Compute { device, dtype, .. } = Compute::of(call.world);
        let bytes = folder.bytes(state, dtype, &device).map_err(node_error)?;
        let stop = interrupt(call.cancel);
        let encoder = folder.load(state, dtype, &device, &stop).map_err(node_error)?;
        warn(call, &stop);
        Ok(vec![Value::domain(TextEncoderValue { encoder: Arc::new(encoder), bytes })])
    }
}

/// Nothing is known of the encoder, unless something is wrong.
fn unknown_or(wrong: Vec<Mistake>) -> Result<Inference, Vec<Mistake>> {
    let fact = Fact::of(type_of::<TextEncoderValue>());
    if wrong.is_empty() { Ok(Inference::new([fact], Memory::UNKNOWN)) } else { Err(wrong) }
}
