//! `text.encode`: prompts to conditioning.

use lumina_engine::{
    Call, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::text::{DecoderConfig, MAX_TOKENS, Padding, prepare_prompt};

use crate::value::{Conditioning, TextEncoderValue, type_of};
use crate::{Compute, interrupt, node_error, sizes};

pub(crate) struct TextEncode;

/// Tokens are filled up to a multiple of this, as diffusers does it.
const MULTIPLE: usize = 8;

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
    .device()
    .example(r#""text": Node(kind: "text.encode", with: { "encoder": Link("model.text_encoder"), "prompt": "a red fox" })"#)
}

impl Node for TextEncode {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let mut fact = Fact::of(type_of::<Conditioning>());
        let known = inquiry.fact("prompt").and_then(|prompt| prompt.value.as_ref()).map(texts);
        let prompts = known.as_ref().map(Vec::len);
        if prompts == Some(0) {
            return Err(vec![Mistake::at("prompt", "the list of prompts is empty")]);
        }
        if let Some(prompts) = prompts {
            fact = fact.with("prompts", prompts);
        }
        let like = inquiry.fact("pad_like").map(|like| like.int("most tokens"));
        let tokens = match like {
            Some(tokens) => tokens.and_then(|tokens| usize::try_from(tokens).ok()).unwrap_or(MAX_TOKENS),
            None => known.as_deref().map_or(MAX_TOKENS, most_tokens),
        };
        fact = fact.with("most tokens", tokens);
        let encoder = inquiry.fact("encoder");
        if let Some(width) = encoder.and_then(|encoder| encoder.int("text width")) {
            fact = fact.with("text width", width);
        }
        let memory = sizes(encoder).map_or(Memory::UNKNOWN, |config: DecoderConfig| {
            let dtype = Compute::of(inquiry.world).dtype;
            let rows = prompts.unwrap_or(1);
            // Features of the prompts and of the empty one, each with its mask.
            let numbers = 2 * rows * tokens;
            let kept = (numbers * (config.hidden_size * dtype.size_in_bytes() + 4)) as u64;
            Memory::new(kept + config.encode_bytes(rows, tokens, dtype), kept)
        });
        Ok(Inference::new([fact], memory))
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
            None => Padding::LongestMultipleOf(MULTIPLE),
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

/// The most tokens that the longest of some texts can become: one for each byte, one for the beginning and one for the
/// space that tokenizers put there.
fn most_tokens(texts: &[String]) -> usize {
    let longest = texts.iter().map(String::len).max().unwrap_or(0);
    (longest + 2).next_multiple_of(MULTIPLE).min(MAX_TOKENS)
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Text(text) => vec![text.to_string()],
        Value::List(items) => items.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}
