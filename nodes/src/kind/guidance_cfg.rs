//! `guidance.cfg`: a backbone bound to its conditioning, with classifier-free guidance.

use std::sync::Arc;

use candle_core::Tensor;
use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::backbone::{ForwardOptions, NextDit, PreparedCaption, RopeScaling};
use lumina_models::flow::{Guidance, GuidedChannels};
use lumina_models::text::TextFeatures;
use lumina_models::{Interrupt, Result};

use crate::node_error;
use crate::value::{BackboneValue, Conditioning, Space, VelocityField, VelocityValue, type_of};

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
            "how positions stretch with the size: `diffusers` at every size, `lumina` only above the training size, or `none`",
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
    .example(r#""guided": Node(kind: "guidance.cfg", with: { "backbone": Link("model.backbone"), "positive": Link("text"), "scale": 4.0 })"#)
}

impl Node for GuidanceCfg {
    fn infer(&self, inquiry: &Inquiry<'_>) -> std::result::Result<Inference, Vec<Mistake>> {
        let mut mistakes: Vec<Mistake> = ["positive", "negative"]
            .iter()
            .filter_map(|input| inquiry.same("text width", input, "backbone"))
            .collect();
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
        Ok(Inference::outputs([fact]))
    }

    fn run(&self, call: &Call<'_>) -> std::result::Result<Vec<Value>, NodeError> {
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
            prepare(&backbone.network, &positive.features, negative, times, guidance).map_err(node_error)?;
        let config = backbone.network.config();
        let stretch = Stretch::named(call.text("rope_scaling")?);
        let guided = Guided {
            network: Arc::clone(&backbone.network),
            space: backbone.space.clone(),
            images: positive.features.batch() * times,
            caption,
            guidance,
            base_sequence_length: call.bool("proportional_attention")?.then(|| config.base_sequence_length()),
            stretch,
            watershed: match call.value("watershed") {
                Some(_) => call.float("watershed")?,
                None => stretch.watershed(),
            },
        };
        Ok(vec![Value::domain(VelocityValue(Arc::new(guided)))])
    }
}

fn prepare(
    network: &NextDit,
    positive: &TextFeatures,
    negative: &TextFeatures,
    times: usize,
    guidance: Guidance,
) -> Result<PreparedCaption> {
    let positive = positive.repeat(times)?;
    if !guidance.is_active() {
        return network.prepare(&positive);
    }
    network.prepare(&TextFeatures::concat(&[&positive, &negative.repeat(times)?])?)
}

/// When positions are stretched.
#[derive(Clone, Copy, PartialEq)]
enum Stretch {
    Always,
    AboveTraining,
    Never,
}

impl Stretch {
    fn named(name: &str) -> Self {
        match name {
            "lumina" => Stretch::AboveTraining,
            "none" => Stretch::Never,
            _ => Stretch::Always,
        }
    }

    /// The watershed that the implementation named has by default (Lumina-T2X `sample.py`, diffusers `LuminaPipeline`).
    fn watershed(self) -> f64 {
        match self {
            Stretch::AboveTraining => 0.3,
            Stretch::Always | Stretch::Never => 1.0,
        }
    }

    /// The square root of the ratio of areas, or 1.
    fn factor(self, area: usize, training_side: usize) -> f64 {
        let factor = (area as f64).sqrt() / training_side as f64;
        match self {
            Stretch::Never => 1.0,
            Stretch::AboveTraining if factor <= 1.0 => 1.0,
            Stretch::AboveTraining | Stretch::Always => factor,
        }
    }
}

/// A backbone with everything but latent and time fixed.
struct Guided {
    network: Arc<NextDit>,
    space: Space,
    images: usize,
    caption: PreparedCaption,
    guidance: Guidance,
    base_sequence_length: Option<usize>,
    stretch: Stretch,
    watershed: f64,
}

impl VelocityField for Guided {
    fn velocity(&self, latent: &Tensor, time: f64, interrupt: &Interrupt) -> Result<Tensor> {
        let (batch, _, height, width) = latent.dims4()?;
        if batch != self.images {
            let expected = format!("{} latents, one for each prompt and picture", self.images);
            return Err(lumina_models::ModelError::input("the batch", expected, batch.to_string()));
        }
        let scale_factor = self.stretch.factor(height * width, self.network.config().sample_size);
        let options = ForwardOptions {
            rope: RopeScaling { scale_factor, watershed: self.watershed }.factors_at(time),
            base_sequence_length: self.base_sequence_length,
            interrupt: interrupt.clone(),
        };
        if !self.guidance.is_active() {
            return self.network.velocity(latent, &[time], &self.caption, &options);
        }
        let both = Tensor::cat(&[latent, latent], 0)?;
        let velocity = self.network.velocity(&both, &[time], &self.caption, &options)?;
        let conditional = velocity.narrow(0, 0, batch)?;
        self.guidance.combine(&conditional, &velocity.narrow(0, batch, batch)?)
    }

    fn space(&self) -> &Space {
        &self.space
    }

    fn byte_size(&self) -> u64 {
        self.caption.byte_size()
    }
}
