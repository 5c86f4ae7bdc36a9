//! `text.encode`: prompts to conditioning.

use lumina_engine::{
    Call, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::text::{MAX_TOKENS, Padding, TextConfig, prepare_prompt};

use crate::value::{Conditioning, TextEncoderValue, type_of};
use crate::{Compute, interrupt, node_error, sizes};

pub(crate) struct TextEncode;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "text.encode",
        1,
        "Encodes prompts with a text encoder\n\n\
         The features are a hidden state of the text encoder: the second to last one of the encoder of a model folder,\n\
         else what `text.load` says. Along with the prompts the empty prompt is encoded, which guidance uses when it gets\n\
         no negative prompt.",
    )
    .input(InputSpec::required("encoder", type_of::<TextEncoderValue>(), "the text encoder"))
    .input(InputSpec::required(
        "prompt",
        Type::OneOf(vec![Type::Text, Type::list(Type::Text)]),
        "what to draw: one prompt, or one for each picture",
    ))
    .input(
        InputSpec::optional("clean", Type::Text, "`lowercase` lowers case and trims, as diffusers does with the prompts of Lumina-Next; `none` leaves the text as it is, as it does with negative prompts; by default `lowercase` for Gemma and `none` for others")
            .choices(&["lowercase", "none"]),
    )
    .input(InputSpec::optional(
        "pad_like",
        type_of::<Conditioning>(),
        "pad and cut to the length of this conditioning, as diffusers does with negative prompts",
    ))
    .input(
        InputSpec::optional("tokens", Type::Int, "pad and cut to this many tokens; by default as the encoder's family does")
            .min(1.0)
            .max(65536.0),
    )
    .output("conditioning", type_of::<Conditioning>(), "text features and mask")
    .device()
    .example(r#""text": Node(kind: "text.encode", with: { "encoder": Link("model.text_encoder"), "prompt": "a red fox" })"#)
}

impl Node for TextEncode {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let mut fact = Fact::of(type_of::<Conditioning>());
        let known = inquiry.fact("prompt").and_then(|prompt| prompt.value.as_ref()).map(texts);
        let prompts = known.as_ref().map(Vec::len);
        let wrong = mistakes(inquiry, prompts);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        if let Some(prompts) = prompts {
            fact = fact.with("prompts", prompts);
        }
        let encoder = inquiry.fact("encoder");
        let config: Option<TextConfig> = sizes(encoder);
        let usage = config.as_ref().map(TextConfig::usage);
        let tokens = match (inquiry.fact("pad_like"), inquiry.fact("tokens")) {
            (Some(like), _) => like.int("most tokens").and_then(|tokens| usize::try_from(tokens).ok()),
            (None, Some(_)) => inquiry.size("tokens"),
            (None, None) => {
                let padding = usage.map_or(Padding::LongestMultipleOf(1), |usage| usage.padding);
                most_tokens(known.as_deref(), padding)
            }
        };
        let tokens = tokens.unwrap_or(MAX_TOKENS);
        fact = fact.with("most tokens", tokens);
        if let Some(width) = encoder.and_then(|encoder| encoder.int("text width")) {
            fact = fact.with("text width", width);
        }
        let memory = config.map_or(Memory::UNKNOWN, |config| {
            let dtype = Compute::of(inquiry.world).dtype;
            let rows = prompts.unwrap_or(1);
            // Features of the prompts and of the empty one, each with its mask.
            let numbers = 2 * rows * tokens;
            let kept = (numbers * (config.width() * dtype.size_in_bytes() + 4)) as u64;
            let state = encoder.and_then(|encoder| encoder.int(TextEncoderValue::STATE));
            let state = state.and_then(|state| usize::try_from(state).ok()).unwrap_or(config.layers());
            Memory::new(kept + config.encode_bytes(rows, tokens, state, dtype), kept)
        });
        Ok(Inference::new([fact], memory))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let encoder = call.domain::<TextEncoderValue>("encoder")?;
        let mut prompts = call.value("prompt").map(texts).unwrap_or_default();
        if prompts.is_empty() {
            return Err(NodeError::failed("`prompt` is an empty list"));
        }
        let usage = encoder.encoder.usage;
        let cleans = match call.value("clean") {
            Some(_) => call.text("clean")? == "lowercase",
            None => usage.cleans,
        };
        if cleans {
            prompts = prompts.iter().map(|prompt| prepare_prompt(prompt)).collect();
        }
        let padding = match call.optional_domain::<Conditioning>("pad_like")? {
            Some(other) => Padding::Exactly(other.features.tokens()),
            None if call.value("tokens").is_some() => Padding::Exactly(call.size("tokens")?),
            None => usage.padding,
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

fn mistakes(inquiry: &Inquiry<'_>, prompts: Option<usize>) -> Vec<Mistake> {
    let mut wrong = Vec::new();
    if prompts == Some(0) {
        wrong.push(Mistake::at("prompt", "the list of prompts is empty"));
    }
    if inquiry.fact("pad_like").is_some() && inquiry.fact("tokens").is_some() {
        let message = "`pad_like` and `tokens` both say how many tokens there are";
        wrong.push(Mistake::at("tokens", message).also("pad_like", "the other one"));
    }
    let tokenizer = inquiry.fact("encoder").and_then(|encoder| encoder.text(TextEncoderValue::TOKENIZER));
    if tokenizer == Some("none") {
        let mistake =
            Mistake::at("encoder", "this text encoder has no tokenizer").label("without a tokenizer");
        let help = "set `tokenizer` of `text.load` to a folder with `tokenizer.json`, or use `text.hidden`";
        wrong.push(mistake.help(help));
    }
    wrong
}

/// The most tokens that the longest of some texts can become: one for each byte, one for the beginning and one for the
/// space that tokenizers put there; where nothing is cut, one for the end. None when that depends on texts that are not
/// known.
fn most_tokens(texts: Option<&[String]>, padding: Padding) -> Option<usize> {
    let longest = || Some(texts?.iter().map(String::len).max().unwrap_or(0) + 2);
    match padding {
        Padding::Exactly(tokens) => Some(tokens),
        Padding::LongestMultipleOf(multiple) => Some(longest()?.next_multiple_of(multiple).min(MAX_TOKENS)),
        Padding::Longest => Some(longest()? + 1),
    }
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Text(text) => vec![text.to_string()],
        Value::List(items) => items.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}
