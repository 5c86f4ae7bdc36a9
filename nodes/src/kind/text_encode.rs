//! `text.encode`: prompts to conditioning.

use lumina_engine::{
    Call, Fact, Inference, InputSpec, Inquiry, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::text::{Padding, prepare_prompt};

use crate::value::{Conditioning, TextEncoderValue, type_of};
use crate::{interrupt, node_error};

pub(crate) struct TextEncode;

/// Longest text a text encoder reads, in tokens.
const LONGEST: usize = 256;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "text.encode",
        1,
        "Encodes prompts with a text encoder\n\n\
         The features are the second to last hidden state of the text encoder. Along with the prompts the empty prompt\n\
         is encoded, which guidance uses when it gets no negative prompt.",
    )
    .input(InputSpec::required("encoder", type_of::<TextEncoderValue>(), "the text encoder"))
    .input(InputSpec::required(
        "prompt",
        Type::OneOf(vec![Type::Text, Type::list(Type::Text)]),
        "what to draw: one prompt, or one for each picture",
    ))
    .input(
        InputSpec::default("clean", Type::Text, Value::text("lowercase"), "`lowercase` lowers case and trims, as diffusers does with prompts; `none` leaves the text as it is, as it does with negative prompts")
            .choices(&["lowercase", "none"]),
    )
    .input(InputSpec::optional(
        "pad_like",
        type_of::<Conditioning>(),
        "pad and cut to the length of this conditioning, as diffusers does with negative prompts",
    ))
    .output("conditioning", type_of::<Conditioning>(), "text features and mask")
    .example(r#""text": Node(kind: "text.encode", with: { "encoder": Link("model.text_encoder"), "prompt": "a red fox" })"#)
}

impl Node for TextEncode {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let mut fact = Fact::of(type_of::<Conditioning>());
        let prompts =
            inquiry.fact("prompt").and_then(|prompt| prompt.value.as_ref()).map(|prompt| texts(prompt).len());
        if prompts == Some(0) {
            return Err(vec![Mistake::at("prompt", "the list of prompts is empty")]);
        }
        if let Some(prompts) = prompts {
            fact = fact.with("prompts", prompts);
        }
        if let Some(encoder) = inquiry.fact("encoder")
            && let Some(width) = encoder.int("text width")
        {
            fact = fact.with("text width", width);
            let bytes = (prompts.unwrap_or(1) * LONGEST) as u64 * u64::try_from(width).unwrap_or(0) * 4 * 2;
            return Ok(Inference::outputs([fact]).working_bytes(bytes).output_bytes(bytes));
        }
        Ok(Inference::outputs([fact]))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let encoder = call.domain::<TextEncoderValue>("encoder")?;
        let mut prompts = call.value("prompt").map(texts).unwrap_or_default();
        if prompts.is_empty() {
            return Err(NodeError::failed("`prompt` is an empty list"));
        }
        if call.text("clean")? == "lowercase" {
            prompts = prompts.iter().map(|prompt| prepare_prompt(prompt)).collect();
        }
        let padding = match call.optional_domain::<Conditioning>("pad_like")? {
            Some(other) => Padding::Exactly(other.features.tokens()),
            None => Padding::LongestMultipleOf(8),
        };
        let stop = interrupt(call.cancel);
        let features = encoder.encoder.encode(&prompts, padding, &stop).map_err(node_error)?;
        // The empty prompt is the same for every prompt: it is encoded once.
        let empty = [String::new()];
        let empty =
            encoder.encoder.encode(&empty, Padding::Exactly(features.tokens()), &stop).map_err(node_error)?;
        let empty = empty.repeat(prompts.len()).map_err(node_error)?;
        Ok(vec![Value::domain(Conditioning { features, empty })])
    }
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Text(text) => vec![text.to_string()],
        Value::List(items) => items.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}
