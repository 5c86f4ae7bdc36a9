//! `backbone.velocity`: one look at a backbone.

use candle_core::{DType, Tensor};
use lumina_engine::{
    Call, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::backbone::{ForwardOptions, NextDit, NextDitConfig, PreparedCaption, RopeFactors};
use lumina_models::text::TextFeatures;

use crate::value::{BackboneValue, TensorValue, as_tensor, tensor_type, type_of};
use crate::{Compute, interrupt, node_error, sizes};

pub(crate) struct BackboneVelocity;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "backbone.velocity",
        1,
        "Evaluates a backbone once\n\n\
         For looking inside and for comparing with other implementations: everything is given, nothing is guided.",
    )
    .input(InputSpec::required("backbone", type_of::<BackboneValue>(), "the network"))
    .input(InputSpec::required("latent", tensor_type(), "[batch, channels, height, width]"))
    .input(InputSpec::required(
        "time",
        Type::OneOf(vec![Type::Float, type_of::<TensorValue>()]),
        "from 0 (noise) to 1 (data); one for all, or a tensor with one for each latent",
    ))
    .input(InputSpec::required("features", tensor_type(), "text features [batch, tokens, width]"))
    .input(InputSpec::optional("mask", type_of::<TensorValue>(), "[batch, tokens], 1 for tokens that count; all when absent"))
    .input(InputSpec::default("linear", Type::Float, Value::Float(1.0), "rotary frequencies are divided by this").min(0.001).max(1000.0))
    .input(InputSpec::default("ntk", Type::Float, Value::Float(1.0), "the rotary base is multiplied by this").min(0.001).max(1000.0))
    .input(InputSpec::optional("base_sequence_length", Type::Int, "tokens at the training size, for proportional attention").min(2.0))
    .input(InputSpec::default("raw", Type::Bool, Value::Bool(false), "give all output channels, with those that are never used"))
    .output("velocity", type_of::<TensorValue>(), "[batch, channels, height, width]")
    .device()
    .example(r#""once": Node(kind: "backbone.velocity", with: { "backbone": Link("model.backbone"), "latent": Link("noise"), "time": 0.5, "features": Link("text") })"#)
}

impl Node for BackboneVelocity {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let fact = Fact::of(type_of::<TensorValue>());
        let known = sizes(inquiry.fact("backbone")).and_then(|config| Need::of(inquiry, &config));
        let Some(need) = known else { return Ok(Inference::new([fact], Memory::UNKNOWN)) };
        let fact = match &need.shape {
            Some(shape) => fact.shape(shape.iter().copied()),
            None => fact,
        };
        let memory = Memory::new(need.working, need.kept);
        Ok(Inference::new([fact], memory).thrifty("one latent after the other", need.one_at_a_time))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let backbone = call.domain::<BackboneValue>("backbone")?;
        let tensor = |input: &str| as_tensor(call.value(input).unwrap_or(&Value::Bool(false)));
        let failed = |error: candle_core::Error| NodeError::failed(error.to_string());
        let latent = tensor("latent")?.to_dtype(DType::F32).map_err(failed)?;
        let features = tensor("features")?;
        let mask = match call.value("mask") {
            Some(mask) => as_tensor(mask)?,
            None => {
                let (batch, tokens, _) = features.dims3().map_err(failed)?;
                Tensor::ones((batch, tokens), DType::U32, features.device()).map_err(failed)?
            }
        };
        let time = match call.value("time") {
            Some(Value::Float(time)) => vec![*time],
            Some(other) => as_tensor(other)?
                .to_dtype(DType::F64)
                .and_then(|time| time.flatten_all()?.to_vec1())
                .map_err(failed)?,
            None => vec![0.0],
        };
        let length =
            call.value("base_sequence_length").map(|_| call.size("base_sequence_length")).transpose()?;
        let options = ForwardOptions {
            rope: RopeFactors { linear: call.float("linear")?, ntk: call.float("ntk")? }.into(),
            base_sequence_length: length,
            interrupt: interrupt(call.cancel),
        };
        let network = &backbone.network;
        let features = TextFeatures::new(features, &mask).map_err(node_error)?;
        let caption = network.prepare(&features).map_err(node_error)?;
        let raw = call.bool("raw")?;
        let velocity = if call.thrifty {
            one_by_one(network, &latent, &time, &caption, &options, raw)
        } else {
            evaluate(network, &latent, &time, &caption, &options, raw)
        };
        Ok(vec![Value::domain(TensorValue(velocity.map_err(node_error)?))])
    }
}

fn evaluate(
    network: &NextDit,
    latent: &Tensor,
    time: &[f64],
    caption: &PreparedCaption,
    options: &ForwardOptions,
    raw: bool,
) -> lumina_models::Result<Tensor> {
    if raw {
        network.forward(latent, time, caption, options)
    } else {
        network.velocity(latent, time, caption, options)
    }
}

/// As [`evaluate`], one latent of the batch after the other.
fn one_by_one(
    network: &NextDit,
    latent: &Tensor,
    time: &[f64],
    caption: &PreparedCaption,
    options: &ForwardOptions,
    raw: bool,
) -> lumina_models::Result<Tensor> {
    let batch = latent.dim(0)?;
    // What does not fit together is refused as it is for a whole batch.
    if caption.batch() != batch || !(time.len() == 1 || time.len() == batch) {
        return evaluate(network, latent, time, caption, options, raw);
    }
    let mut velocities = Vec::with_capacity(batch);
    for row in 0..batch {
        let time = time.get(row).or(time.first()).copied().unwrap_or(0.0);
        let one = latent.narrow(0, row, 1)?;
        velocities.push(evaluate(network, &one, &[time], &caption.rows(row, 1)?, options, raw)?);
    }
    Ok(Tensor::cat(&velocities, 0)?)
}

/// What one evaluation takes, in bytes.
struct Need {
    /// The shape of the velocity, where it is known.
    shape: Option<[usize; 4]>,
    working: u64,
    one_at_a_time: u64,
    kept: u64,
}

impl Need {
    fn of(inquiry: &Inquiry<'_>, config: &NextDitConfig) -> Option<Self> {
        let dtype = Compute::of(inquiry.world).dtype;
        let (latent, features) = (inquiry.fact("latent")?, inquiry.fact("features")?);
        let [batch, height, width] = [latent.dimension(0)?, latent.dimension(2)?, latent.dimension(3)?];
        let caption = match features.int("most tokens") {
            Some(tokens) => usize::try_from(tokens).ok()?,
            None => features.dimension(1)?,
        };
        let raw = match &inquiry.fact("raw")?.value {
            Some(Value::Bool(raw)) => Some(*raw),
            _ => None,
        };
        let shape = raw.map(|raw| {
            let channels = if raw { config.out_channels() } else { config.in_channels };
            [batch, channels, height, width]
        });
        let tokens = config.tokens(height, width);
        let kept = (batch * config.out_channels() * height * width * 4) as u64;
        let around = 3 * kept + config.caption_bytes(batch, caption, dtype);
        Some(Self {
            shape,
            working: around + config.forward_bytes(batch, tokens, caption, dtype),
            one_at_a_time: around + config.forward_bytes(1, tokens, caption, dtype),
            kept,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candle_core::Device;
    use lumina_models::noise::Generator;
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
        let caption = network.prepare(&TextFeatures::new(features, &mask).unwrap()).unwrap();
        let latent = normal(2, &[3, 16, 8, 8]);
        let options = ForwardOptions::default();
        for (time, raw) in [(&[0.3][..], false), (&[0.1, 0.5, 0.9], true)] {
            let together = evaluate(&network, &latent, time, &caption, &options, raw).unwrap();
            let apart = one_by_one(&network, &latent, time, &caption, &options, raw).unwrap();
            let largest =
                |tensor: Tensor| tensor.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            // Sums over another number of rows are rounded in another order.
            let difference = largest((&together - &apart).unwrap()) / largest(together);
            assert!(difference < 1e-5, "{difference}");
        }
    }
}
