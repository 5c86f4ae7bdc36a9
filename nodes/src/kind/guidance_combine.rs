//! `guidance.combine`: two velocities as guidance makes one of them.

use candle_core::DType;
use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::flow::{Guidance, GuidedChannels};

use crate::node_error;
use crate::value::{TensorValue, input_tensor, tensor_type, type_of};

pub(crate) struct GuidanceCombine;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "guidance.combine",
        1,
        "Guides one velocity away from another\n\n\
         Gives `unconditional + scale * (conditional - unconditional)`: what `guidance.cfg` does at every step, for\n\
         velocities of `backbone.velocity`.",
    )
    .input(InputSpec::required("conditional", tensor_type(), "[batch, channels, ...]"))
    .input(InputSpec::required("unconditional", tensor_type(), "another velocity of the same shape"))
    .input(InputSpec::default("scale", Type::Float, Value::Float(4.0), "the guidance scale").min(0.0).max(100.0))
    .input(
        InputSpec::default(
            "channels",
            Type::Text,
            Value::text("first3"),
            "the channels that are guided: `first3` as the reference implementations do, or `all`; the others are those of \
             `conditional`",
        )
        .choices(&["first3", "all"]),
    )
    .output("velocity", type_of::<TensorValue>(), "of the same shape")
    .device()
    .example(r#""guided": Node(kind: "guidance.combine", with: { "conditional": Link("with_text"), "unconditional": Link("without"), "scale": 4.0 })"#)
}

impl Node for GuidanceCombine {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let shape = |input: &str| inquiry.fact(input).filter(|fact| fact.shape.is_some());
        let (one, other) = (shape("conditional"), shape("unconditional"));
        if let (Some(one), Some(other)) = (one, other)
            && let (Some(left), Some(right)) = (one.elements(), other.elements())
            && (left, &one.shape) != (right, &other.shape)
        {
            let mistake = Mistake::at("unconditional", "the velocities have different shapes");
            let mistake = mistake.code(Code::WrongShape).label(other.to_string());
            return Err(vec![mistake.also("conditional", one.to_string())]);
        }
        let mut fact = Fact::of(type_of::<TensorValue>());
        fact.shape = one.or(other).and_then(|known| known.shape.clone());
        let bytes = fact.elements().unwrap_or(0) * 4;
        Ok(Inference::new([fact], Memory::new(3 * bytes, bytes)))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let tensor = |input: &str| {
            let tensor = input_tensor(call, input)?;
            tensor.to_dtype(DType::F32).map_err(|error| NodeError::failed(error.to_string()))
        };
        let (conditional, unconditional) = (tensor("conditional")?, tensor("unconditional")?);
        if conditional.dims() != unconditional.dims() {
            let (one, other) = (conditional.dims(), unconditional.dims());
            return Err(NodeError::failed(format!("the shapes {one:?} and {other:?} differ")));
        }
        let channels = match call.text("channels")? {
            "all" => GuidedChannels::All,
            _ => GuidedChannels::FirstThree,
        };
        let guidance = Guidance { scale: call.float("scale")?, channels };
        let velocity = guidance.combine(&conditional, &unconditional).map_err(node_error)?;
        Ok(vec![Value::domain(TensorValue(velocity))])
    }
}
