//! `text.hidden`: a hidden state of a text encoder, from tokens.

use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Value,
};
use lumina_models::text::{HiddenState, TextConfig, TokenBatch};

use crate::layer::{hidden_state, layer_index, layer_input};
use crate::tokens::{rows, rows_type, sizes_of};
use crate::value::{TensorValue, TextEncoderValue, type_of};
use crate::{Compute, interrupt, node_error, sizes};

pub(crate) struct TextHidden;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "text.hidden",
        1,
        "Gives a hidden state of a text encoder\n\n\
         For looking inside and for comparing with other implementations: tokens and mask are given, no tokenizer is\n\
         used. Hidden states are counted as transformers counts them: 0 is the embedding, then comes the output of each\n\
         layer, the last one after the final norm.",
    )
    .input(InputSpec::required("encoder", type_of::<TextEncoderValue>(), "the text encoder"))
    .input(InputSpec::required("tokens", rows_type(), "token numbers: a list for one text, lists of one length, or [batch, tokens]"))
    .input(InputSpec::optional("mask", rows_type(), "1 for tokens that are seen, 0 for padding; all are seen when absent"))
    .input(layer_input("`last`, `second_to_last`, or behind how many layers; by default that of `text.load`. Layers that were not loaded cannot be asked for"))
    .output("hidden", type_of::<TensorValue>(), "[batch, tokens, width]")
    .device()
    .example(r#""state": Node(kind: "text.hidden", with: { "encoder": Link("encoder"), "tokens": [2, 9, 33], "layer": "last" })"#)
}

impl Node for TextHidden {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let config: Option<TextConfig> = sizes(inquiry.fact("encoder"));
        let mut wrong = Vec::new();
        for input in ["tokens", "mask"] {
            let value = inquiry.fact(input).and_then(|fact| fact.value.as_ref());
            let reason = match value.map(rows) {
                Some(Err(reason)) => reason,
                Some(Ok(rows)) if input == "tokens" => match beyond(&rows, config.as_ref()) {
                    Some(reason) => reason,
                    None => continue,
                },
                _ => continue,
            };
            wrong.push(Mistake::at(input, format!("`{input}` {reason}")).code(Code::OutOfRange));
        }
        let tokens = inquiry.fact("tokens").map_or((None, None), sizes_of);
        let mask = inquiry.fact("mask").map_or((None, None), sizes_of);
        let differ = |a: Option<usize>, b: Option<usize>| a.zip(b).is_some_and(|(a, b)| a != b);
        if wrong.is_empty() && (differ(tokens.0, mask.0) || differ(tokens.1, mask.1)) {
            let shown = |(rows, tokens): (Option<usize>, Option<usize>)| {
                let side = |side: Option<usize>| side.map_or("?".to_owned(), |side| side.to_string());
                format!("[{}, {}]", side(rows), side(tokens))
            };
            let message = "`mask` has another shape than `tokens`";
            let mistake = Mistake::at("mask", message).code(Code::WrongShape).label(shown(mask));
            wrong.push(mistake.also("tokens", shown(tokens)));
        }
        wrong.extend(config.as_ref().and_then(|config| wrong_layer(inquiry, config)));
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let fact = Fact::of(type_of::<TensorValue>());
        let Some(config) = config else { return Ok(Inference::new([fact], Memory::UNKNOWN)) };
        let fact = fact.shape([tokens.0, tokens.1, Some(config.width())]);
        let ((Some(rows), Some(tokens)), Some(state)) = (tokens, wanted(inquiry, &config)) else {
            return Ok(Inference::new([fact], Memory::UNKNOWN));
        };
        let dtype = Compute::of(inquiry.world).dtype;
        let kept = (rows * tokens * config.width() * dtype.size_in_bytes()) as u64;
        Ok(Inference::new([fact], Memory::new(config.encode_bytes(rows, tokens, state, dtype), kept)))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let encoder = call.domain::<TextEncoderValue>("encoder")?;
        let read = |input: &str| {
            let rows = call.value(input).map(rows).transpose();
            rows.map_err(|reason| NodeError::failed(format!("`{input}` {reason}")))
        };
        let ids = read("tokens")?.unwrap_or_default();
        let mask = match read("mask")? {
            Some(mask) => mask,
            None => ids.iter().map(|row| vec![1; row.len()]).collect(),
        };
        let state = hidden_state(call.value("layer")).unwrap_or(encoder.encoder.usage.state);
        let batch = TokenBatch { ids, mask };
        let state =
            encoder.encoder.hidden_state(&batch, state, &interrupt(call.cancel)).map_err(node_error)?;
        Ok(vec![Value::domain(TensorValue(state))])
    }
}

/// Says that a token is not in the vocabulary.
fn beyond(rows: &[Vec<u32>], config: Option<&TextConfig>) -> Option<String> {
    let vocabulary = config?.vocabulary();
    let largest = rows.iter().flatten().max()?;
    let is_known = usize::try_from(*largest).is_ok_and(|largest| largest < vocabulary);
    (!is_known)
        .then(|| format!("has {largest} in it, expected numbers below {vocabulary}, the vocabulary size"))
}

/// The layer behind which the encoder was loaded up to.
fn loaded(inquiry: &Inquiry<'_>) -> Option<usize> {
    usize::try_from(inquiry.fact("encoder")?.int(TextEncoderValue::STATE)?).ok()
}

/// The number of layers before the hidden state that is wanted.
fn wanted(inquiry: &Inquiry<'_>, config: &TextConfig) -> Option<usize> {
    match inquiry.fact("layer") {
        None => loaded(inquiry),
        Some(layer) => hidden_state(layer.value.as_ref())?.index(config.layers()).ok(),
    }
}

/// A mistake when the wanted layer does not exist or is not loaded.
fn wrong_layer(inquiry: &Inquiry<'_>, config: &TextConfig) -> Option<Mistake> {
    let state = hidden_state(inquiry.fact("layer")?.value.as_ref())?;
    let index = match layer_index(state, config.layers()) {
        Ok(index) => index,
        Err(mistake) => return Some(*mistake),
    };
    let loaded = loaded(inquiry)?;
    let is_cut = matches!(config, TextConfig::Decoder(_)) && loaded < index;
    is_cut.then(|| {
        let message = format!("`layer` is {}, but only {loaded} layers are loaded", named(state, index));
        let mistake = Mistake::at("layer", message).code(Code::OutOfRange);
        mistake.also("encoder", format!("loaded up to {loaded}")).help("set `layer` of `text.load` to `last`")
    })
}

fn named(state: HiddenState, index: usize) -> String {
    match state {
        HiddenState::Last => format!("`last`, behind {index} layers"),
        _ => index.to_string(),
    }
}
