//! `backbone.velocity`: one look at a backbone.

use candle_core::DType;
use lumina_engine::{
    Call, Fact, Inference, InputSpec, Inquiry, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::backbone::{ForwardOptions, RopeFactors};
use lumina_models::text::TextFeatures;

use crate::value::{BackboneValue, TensorValue, as_tensor, tensor_type, type_of};
use crate::{interrupt, node_error};

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
    .example(r#""once": Node(kind: "backbone.velocity", with: { "backbone": Link("model.backbone"), "latent": Link("noise"), "time": 0.5, "features": Link("text") })"#)
}

impl Node for BackboneVelocity {
    fn infer(&self, _: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        Ok(Inference::outputs([Fact::of(type_of::<TensorValue>())]))
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
                candle_core::Tensor::ones((batch, tokens), DType::U32, features.device()).map_err(failed)?
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
            rope: RopeFactors { linear: call.float("linear")?, ntk: call.float("ntk")? },
            base_sequence_length: length,
            interrupt: interrupt(call.cancel),
        };
        let network = &backbone.network;
        let features = TextFeatures::new(features, &mask).map_err(node_error)?;
        let caption = network.prepare(&features).map_err(node_error)?;
        let velocity = if call.bool("raw")? {
            network.forward(&latent, &time, &caption, &options)
        } else {
            network.velocity(&latent, &time, &caption, &options)
        };
        Ok(vec![Value::domain(TensorValue(velocity.map_err(node_error)?))])
    }
}
