//! `backbone.velocity`: one look at a backbone.

use candle_core::{DType, Tensor};
use lumina_engine::{
    Call, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Value,
};
use lumina_models::backbone::{Backbone, BackboneConfig, Prepared, Profile, Wants};

use crate::evaluation::{self, Evaluation, failed};
use crate::value::{BackboneValue, TensorValue, input_tensor, tensor_type, type_of};
use crate::{Compute, node_error, sizes};

pub(crate) struct BackboneVelocity;

pub(crate) fn spec() -> NodeSpec {
    let spec = NodeSpec::new(
        "backbone.velocity",
        2,
        "Evaluates a backbone once\n\n\
         For looking inside and for comparing with other implementations: everything is given, nothing is guided.\n\
         `backbone.velocities` takes latents of different sizes.",
    )
    .input(InputSpec::required("backbone", type_of::<BackboneValue>(), "the network"))
    .input(InputSpec::required("latent", tensor_type(), "[batch, channels, height, width], for sound [batch, channels, length]"));
    evaluation::sockets(spec)
        .output("velocity", type_of::<TensorValue>(), "of the shape of the latent")
        .device()
        .example(r#""once": Node(kind: "backbone.velocity", with: { "backbone": Link("model.backbone"), "latent": Link("noise"), "time": 0.5, "features": Link("text") })"#)
}

impl Node for BackboneVelocity {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let fact = Fact::of(type_of::<TensorValue>());
        let Some(profile) = evaluation::profile(inquiry) else {
            return Ok(Inference::new([fact], Memory::UNKNOWN));
        };
        let mut mistakes = evaluation::mistakes(inquiry, &profile);
        mistakes
            .extend(inquiry.fact("latent").and_then(|latent| evaluation::wrong_latent(latent, &profile, 1)));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let fact = shaped(fact, inquiry, &profile);
        let need = sizes(inquiry.fact("backbone")).and_then(|config| Need::of(inquiry, &config));
        let Some(need) = need else { return Ok(Inference::new([fact], Memory::UNKNOWN)) };
        let memory = Memory::new(need.working, need.kept);
        Ok(Inference::new([fact], memory).thrifty("one latent after the other", need.one_at_a_time))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let backbone = call.domain::<BackboneValue>("backbone")?;
        let network = &*backbone.network;
        let latent = input_tensor(call, "latent")?;
        let latent = latent.to_dtype(DType::F32).map_err(failed)?;
        let evaluation = Evaluation::of(call, network)?;
        let prepared = network.bind(&evaluation.conditioning).map_err(node_error)?;
        let velocity = if call.thrifty {
            one_by_one(network, &latent, &*prepared, &evaluation)
        } else {
            evaluate(network, &latent, &evaluation.time, &*prepared, &evaluation)
        };
        Ok(vec![Value::domain(TensorValue(velocity.map_err(node_error)?))])
    }
}

fn evaluate(
    network: &dyn Backbone,
    latent: &Tensor,
    time: &[f64],
    prepared: &dyn Prepared,
    evaluation: &Evaluation,
) -> lumina_models::Result<Tensor> {
    if evaluation.raw {
        network.forward(latent, time, prepared, &evaluation.options)
    } else {
        network.velocity(latent, time, prepared, &evaluation.options)
    }
}

/// As [`evaluate`], one latent of the batch after the other.
fn one_by_one(
    network: &dyn Backbone,
    latent: &Tensor,
    prepared: &dyn Prepared,
    evaluation: &Evaluation,
) -> lumina_models::Result<Tensor> {
    let (batch, time) = (latent.dim(0)?, &evaluation.time);
    // What does not fit together is refused as it is for a whole batch.
    if prepared.batch() != batch || !(time.len() == 1 || time.len() == batch) {
        return evaluate(network, latent, time, prepared, evaluation);
    }
    let mut velocities = Vec::with_capacity(batch);
    for row in 0..batch {
        let time = time.get(row).or(time.first()).copied().unwrap_or(0.0);
        let one = latent.narrow(0, row, 1)?;
        velocities.push(evaluate(network, &one, &[time], &*prepared.rows(row, 1)?, evaluation)?);
    }
    Ok(Tensor::cat(&velocities, 0)?)
}

/// The shape of the velocity, as far as it is known: that of the latent, maybe with more channels.
fn shaped(fact: Fact, inquiry: &Inquiry<'_>, profile: &Profile) -> Fact {
    let Some(mut shape) = inquiry.fact("latent").and_then(|latent| latent.shape.clone()) else { return fact };
    let channels = match inquiry.fact("raw").and_then(|raw| raw.value.as_ref()) {
        Some(Value::Bool(true)) => Some(profile.out_channels),
        Some(Value::Bool(false)) => Some(profile.in_channels),
        _ => None,
    };
    if let Some(place) = shape.get_mut(1) {
        *place = channels.into();
    }
    fact.shape(shape)
}

/// What one evaluation takes, in bytes.
struct Need {
    working: u64,
    one_at_a_time: u64,
    kept: u64,
}

impl Need {
    fn of(inquiry: &Inquiry<'_>, config: &BackboneConfig) -> Option<Self> {
        let Compute { device, dtype, .. } = Compute::of(inquiry.world);
        let latent = inquiry.fact("latent")?;
        let batch = latent.dimension(0)?;
        let profile = config.profile();
        let sides = (0..profile.axes).map(|axis| latent.dimension(2 + axis)).collect::<Option<Vec<_>>>()?;
        let caption = match (profile.wants, inquiry.fact("features")) {
            (Wants::Classes { .. }, _) => 0,
            (_, None) => return None,
            (_, Some(features)) => match features.int("most tokens") {
                Some(tokens) => usize::try_from(tokens).ok()?,
                None => features.dimension(1)?,
            },
        };
        let tokens = config.tokens(&sides)?;
        let cells: usize = sides.iter().product();
        let kept = (batch * profile.out_channels * cells * 4) as u64;
        let around = 3 * kept + config.prepared_bytes(batch, caption, dtype);
        Some(Self {
            working: around + config.forward_bytes(batch, tokens, caption, dtype, &device),
            one_at_a_time: around + config.forward_bytes(1, tokens, caption, dtype, &device),
            kept,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candle_core::Device;
    use lumina_models::backbone::{Conditioning, ForwardOptions};
    use lumina_models::noise::Generator;
    use lumina_models::text::TextFeatures;
    use lumina_models::{Interrupt, PipelineFolder};

    use super::*;

    #[test]
    fn one_latent_after_the_other_gives_the_same_velocities() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../weights/lumina-next-tiny");
        let folder = PipelineFolder::open(&path).unwrap();
        let network = folder.load_backbone(&Device::Cpu, DType::F32, &Interrupt::never()).unwrap();
        let normal = |seed, shape: &[usize]| Generator::Philox.normal(seed, shape, &Device::Cpu).unwrap();
        let features = normal(1, &[3, 8, folder.backbone.cross_attention_dim]);
        let mask = Tensor::ones((3, 8), DType::U32, &Device::Cpu).unwrap();
        let caption = Conditioning::Caption(TextFeatures::new(features, &mask).unwrap());
        let prepared = network.bind(&caption).unwrap();
        let latent = normal(2, &[3, 16, 8, 8]);
        for (time, raw) in [(vec![0.3], false), (vec![0.1, 0.5, 0.9], true)] {
            let options = ForwardOptions::default();
            let evaluation = Evaluation { time, conditioning: caption.clone(), options, raw };
            let together = evaluate(&network, &latent, &evaluation.time, &*prepared, &evaluation).unwrap();
            let apart = one_by_one(&network, &latent, &*prepared, &evaluation).unwrap();
            let largest =
                |tensor: Tensor| tensor.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            // Sums over another number of rows are rounded in another order.
            let difference = largest((&together - &apart).unwrap()) / largest(together);
            assert!(difference < 1e-5, "{difference}");
        }
    }
}
