//! `backbone.velocities`: one look at a backbone with latents of different sizes.

use candle_core::{DType, Tensor};
use lumina_engine::{
    Call, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};

use crate::evaluation::{self, Evaluation, failed};
use crate::node_error;
use crate::value::{BackboneValue, TensorValue, input_tensors, tensor_type, type_of};

pub(crate) struct BackboneVelocities;

pub(crate) fn spec() -> NodeSpec {
    let spec = NodeSpec::new(
        "backbone.velocities",
        1,
        "Evaluates a backbone once for latents of different sizes\n\n\
         The shorter ones are filled with the network's own padding, which no token sees. Everything else is as in\n\
         `backbone.velocity`. Networks that read classes or a context have no padding.",
    )
    .input(InputSpec::required("backbone", type_of::<BackboneValue>(), "the network"))
    .input(InputSpec::required("latent", Type::list(tensor_type()), "each [channels, height, width]"));
    evaluation::sockets(spec)
        .output("velocities", Type::list(type_of::<TensorValue>()), "each of the shape of its latent")
        .device()
        .example(r#""several": Node(kind: "backbone.velocities", with: { "backbone": Link("model.backbone"), "latent": [Link("wide"), Link("tall")], "time": 0.5, "features": Link("text") })"#)
}

impl Node for BackboneVelocities {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        if let Some(profile) = evaluation::profile(inquiry) {
            let mut mistakes = evaluation::mistakes(inquiry, &profile);
            if !profile.mixed_sizes {
                let message =
                    format!("the backbone is {}, which takes latents of one size at a time", profile.name);
                mistakes.push(
                    Mistake::at("backbone", message).help("`backbone.velocity` takes a batch of one size"),
                );
            }
            if !mistakes.is_empty() {
                return Err(mistakes);
            }
        }
        // What is known of a list says nothing of the shapes in it.
        let fact = Fact::of(Type::list(type_of::<TensorValue>()));
        Ok(Inference::new([fact], Memory::UNKNOWN))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let backbone = call.domain::<BackboneValue>("backbone")?;
        let network = &*backbone.network;
        let latents = input_tensors(call, "latent")?
            .iter()
            .map(|latent| latent.to_dtype(DType::F32).map_err(failed))
            .collect::<Result<Vec<Tensor>, _>>()?;
        let evaluation = Evaluation::of(call, network)?;
        let prepared = network.bind(&evaluation.conditioning).map_err(node_error)?;
        let Evaluation { time, options, raw, .. } = &evaluation;
        let outputs = network.forward_list(&latents, time, &*prepared, options).map_err(node_error)?;
        let channels = network.profile().in_channels;
        let velocities = outputs.into_iter().map(|output| {
            let output = if *raw { Ok(output) } else { output.narrow(0, 0, channels)?.contiguous() };
            output.map(|velocity| Value::domain(TensorValue(velocity)))
        });
        let velocities = velocities.collect::<candle_core::Result<Vec<_>>>().map_err(failed)?;
        Ok(vec![Value::List(velocities.into())])
    }
}
