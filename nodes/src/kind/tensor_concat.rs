//! `tensor.concat`: tensors one after the other.

use candle_core::Tensor;
use lumina_engine::{
    Call, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};

use crate::value::{TensorValue, input_tensors, tensor_type, type_of};

pub(crate) struct TensorConcat;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new("tensor.concat", 1, "Puts tensors one after the other along one axis")
        .input(InputSpec::required(
            "tensors",
            Type::list(tensor_type()),
            "tensors that differ along this axis at most",
        ))
        .input(
            InputSpec::default(
                "axis",
                Type::Int,
                Value::Int(0),
                "which axis, counted from 0; 0 is the batch",
            )
            .min(0.0)
            .max(15.0),
        )
        .output("tensor", type_of::<TensorValue>(), "all of them")
        .device()
        .example(
            r#""both": Node(kind: "tensor.concat", with: { "tensors": [Link("latent"), Link("latent")] })"#,
        )
}

impl Node for TensorConcat {
    fn infer(&self, _: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        // What is known of a list says nothing of the shapes in it.
        Ok(Inference::new([Fact::of(type_of::<TensorValue>())], Memory::UNKNOWN))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let tensors = input_tensors(call, "tensors")?;
        let Some(first) = tensors.first() else {
            return Err(NodeError::failed("`tensors` is an empty list"));
        };
        let axis = call.size("axis")?;
        let others = |tensor: &Tensor| {
            let sides = tensor.dims().iter().enumerate().filter(|(index, _)| *index != axis);
            sides.map(|(_, side)| *side).collect::<Vec<_>>()
        };
        let fits = |tensor: &&Tensor| tensor.rank() == first.rank() && others(tensor) == others(first);
        if axis >= first.rank() {
            return Err(NodeError::failed(format!(
                "there is no axis {axis}: the tensors have {}",
                first.rank()
            )));
        }
        if let Some(other) = tensors.iter().find(|tensor| !fits(tensor)) {
            let (one, other) = (first.dims(), other.dims());
            return Err(NodeError::failed(format!(
                "{one:?} and {other:?} differ not only along axis {axis}"
            )));
        }
        let joined = Tensor::cat(&tensors, axis).map_err(|error| NodeError::failed(error.to_string()))?;
        Ok(vec![Value::domain(TensorValue(joined))])
    }
}
