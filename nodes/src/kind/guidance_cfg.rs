//! `guidance.cfg`: a backbone bound to its conditioning, with classifier-free guidance.

use std::sync::Arc;

use candle_core::DType;
use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::backbone::{BackboneConfig, Wants};
use lumina_models::flow::{Guidance, GuidedChannels};

use crate::guided::{Guided, Stretch, prepare};
use crate::value::{BackboneValue, Conditioning, VelocityValue, type_of};
use crate::{Compute, node_error, sizes};

pub(crate) struct GuidanceCfg;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "guidance.cfg",
        1,
        "Binds a backbone to prompts, with classifier-free guidance\n\n\
         The velocity is `unconditional + scale * (conditional - unconditional)`. Up to a scale of 1 the unconditional\n\
         half is not computed.",
    )
    .input(InputSpec::required("backbone", type_of::<BackboneValue>(), "the network"))
    .input(InputSpec::required("positive", type_of::<Conditioning>(), "what to draw"))
    .input(InputSpec::optional("negative", type_of::<Conditioning>(), "what to move away from; the empty prompt when absent"))
    .input(InputSpec::default("scale", Type::Float, Value::Float(4.0), "the guidance scale").min(0.0).max(100.0))
    .input(
        InputSpec::default(
            "channels",
            Type::Text,
            Value::text("first3"),
            "the latent channels that are guided: `first3` as the reference implementations do, or `all`",
        )
        .choices(&["first3", "all"]),
    )
    .input(InputSpec::default("images_per_prompt", Type::Int, Value::Int(1), "pictures for each prompt").min(1.0).max(4096.0))
    .input(InputSpec::default(
        "proportional_attention",
        Type::Bool,
        Value::Bool(true),
        "scale attention with the logarithm of the number of tokens",
    ))
    .input(
        InputSpec::default(
            "rope_scaling",
            Type::Text,
            Value::text("diffusers"),
            "how positions stretch with the size: `diffusers` at every size, `lumina` only above the training size, or \
             `none`; a Flag-DiT multiplies the rotary base by the ratio of areas instead",
        )
        .choices(&["diffusers", "lumina", "none"]),
    )
    .input(
        InputSpec::optional(
            "watershed",
            Type::Float,
            "the time before which positions are interpolated and after which the rotary base is scaled; when absent 1.0 \
             for `diffusers` and 0.3 for `lumina`, as the two have it",
        )
        .min(0.0)
        .max(1.0),
    )
    .output("velocity", type_of::<VelocityValue>(), "the guided velocity")
    .device()
    .example(r#""guided": Node(kind: "guidance.cfg", with: { "backbone": Link("model.backbone"), "positive": Link("text"), "scale": 4.0 })"#)
}

impl Node for GuidanceCfg {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let mut mistakes: Vec<Mistake> = ["positive", "negative"]
            .iter()
            .filter_map(|input| inquiry.same("text width", input, "backbone"))
            .collect();
        mistakes.extend(reads_no_text(inquiry));
        if let Some(prompts) = inquiry.fact("positive").zip(inquiry.fact("negative"))
            && let (Some(positive), Some(negative)) = (prompts.0.int("prompts"), prompts.1.int("prompts"))
            && positive != negative
        {
            let message = format!("`positive` has {positive} prompts, `negative` {negative}");
            mistakes.push(Mistake::at("negative", message).code(Code::Incompatible));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let mut fact = Fact::of(type_of::<VelocityValue>());
        if let Some(backbone) = inquiry.fact("backbone") {
            fact.properties.clone_from(&backbone.properties);
        }
        if let Some((prompts, images)) = inquiry
            .fact("positive")
            .and_then(|positive| positive.int("prompts"))
            .zip(inquiry.int("images_per_prompt"))
        {
            fact = fact.with("pictures", prompts.saturating_mul(images));
        }
        let active = inquiry.float("scale").is_none_or(|scale| scale > 1.0);
        fact = fact.with("rows per picture", if active { 2_usize } else { 1 });
        let tokens = caption_tokens(inquiry);
        if let Some(tokens) = tokens {
            fact = fact.with("caption tokens", tokens);
        }
        let memory = caption_memory(&fact, tokens, Compute::of(inquiry.world).dtype);
        Ok(Inference::new([fact], memory.unwrap_or(Memory::UNKNOWN)))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let backbone = call.domain::<BackboneValue>("backbone")?;
        let positive = call.domain::<Conditioning>("positive")?;
        let negative = call.optional_domain::<Conditioning>("negative")?;
        let channels = match call.text("channels")? {
            "all" => GuidedChannels::All,
            _ => GuidedChannels::FirstThree,
        };
        let guidance = Guidance { scale: call.float("scale")?, channels };
        let negative = negative.as_ref().map_or(&positive.empty, |negative| &negative.features);
        if negative.batch() != positive.features.batch() {
            let (found, expected) = (negative.batch(), positive.features.batch());
            return Err(NodeError::failed(format!(
                "`negative` has {found} prompts, `positive` has {expected}"
            )));
        }
        let times = call.size("images_per_prompt")?;
        let caption =
            prepare(&*backbone.network, &positive.features, negative, times, guidance).map_err(node_error)?;
        let profile = backbone.network.profile();
        let proportional = call.bool("proportional_attention")?;
        let stretch = Stretch::named(call.text("rope_scaling")?);
        let guided = Guided {
            network: Arc::clone(&backbone.network),
            space: backbone.space.clone(),
            images: positive.features.batch() * times,
            one_at_a_time: false,
            caption,
            guidance,
            base_sequence_length: profile.base_sequence_length.filter(|_| proportional),
            stretch,
            watershed: match call.value("watershed") {
                Some(_) => call.float("watershed")?,
                None => stretch.watershed(),
            },
        };
        Ok(vec![Value::domain(VelocityValue(Arc::new(guided)))])
    }
}

/// A network that is told something else than text.
fn reads_no_text(inquiry: &Inquiry<'_>) -> Option<Mistake> {
    let profile = sizes(inquiry.fact("backbone")).map(|config: BackboneConfig| config.profile())?;
    if matches!(profile.wants, Wants::Caption { .. }) {
        return None;
    }
    let message = format!(
        "prompts guide networks that read text, but this is {}, which reads {}",
        profile.name, profile.wants
    );
    Some(
        Mistake::at("backbone", message)
            .help("`backbone.velocity` and `guidance.combine` work with all networks"),
    )
}

/// The most tokens that a caption may have: those of the longer prompt.
fn caption_tokens(inquiry: &Inquiry<'_>) -> Option<usize> {
    let tokens = |input: &str| usize::try_from(inquiry.fact(input)?.int("most tokens")?).ok();
    let positive = tokens("positive")?;
    Some(positive.max(tokens("negative").unwrap_or(0)))
}

/// The keys and values of every block, and while they are made the features of both halves in f32.
fn caption_memory(velocity: &Fact, tokens: Option<usize>, dtype: DType) -> Option<Memory> {
    let config: BackboneConfig = sizes(Some(velocity))?;
    let Wants::Caption { width } = config.profile().wants else { return None };
    let number = |name: &str| usize::try_from(velocity.int(name)?).ok();
    let rows = number("pictures")? * number("rows per picture")?;
    let kept = config.prepared_bytes(rows, tokens?, dtype);
    let features = (rows * tokens? * width * 4 * 4) as u64;
    Some(Memory::new(kept + features, kept))
}
