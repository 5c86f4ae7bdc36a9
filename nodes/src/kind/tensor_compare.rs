//! `tensor.compare`: how far two tensors are apart.

use candle_core::{DType, Device, Tensor};
use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};

use crate::value::{as_tensor, tensor_type};

pub(crate) struct TensorCompare;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "tensor.compare",
        1,
        "Compares two tensors\n\nGives the largest absolute difference; fails when it is above `tolerance`.",
    )
    .input(InputSpec::required("a", tensor_type(), "a tensor"))
    .input(InputSpec::required("b", tensor_type(), "another one of the same shape"))
    .input(InputSpec::optional("tolerance", Type::Float, "the largest difference allowed").min(0.0))
    .output("difference", Type::Float, "the largest absolute difference")
    .effect()
    .device()
    .example(r#""apart": Node(kind: "tensor.compare", with: { "a": Link("latent"), "b": Link("expected"), "tolerance": 1e-4 })"#)
}

impl Node for TensorCompare {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        if let Some((a, b)) = inquiry.fact("a").zip(inquiry.fact("b"))
            && let (Some(left), Some(right)) = (&a.shape, &b.shape)
        {
            let differ = left.len() != right.len()
                || (0..left.len()).any(
                    |index| matches!((a.dimension(index), b.dimension(index)), (Some(x), Some(y)) if x != y),
                );
            if differ {
                let mistake = Mistake::at("b", "the tensors have different shapes").code(Code::WrongShape);
                return Err(vec![mistake.label(b.to_string()).also("a", a.to_string())]);
            }
        }
        let elements =
            ["a", "b"].iter().filter_map(|input| inquiry.fact(input)?.elements()).max().unwrap_or(0);
        // Both as f64, the second one twice while it is read.
        Ok(Inference::new([Fact::of(Type::Float)], Memory::new(elements * 8 * 3, Memory::SMALL.kept)))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let tensor = |input: &str| as_tensor(call.value(input).unwrap_or(&Value::Bool(false)));
        let (a, b) = (tensor("a")?, tensor("b")?);
        if a.dims() != b.dims() {
            return Err(NodeError::failed(format!("the shapes {:?} and {:?} differ", a.dims(), b.dims())));
        }
        let difference = difference(&a, &b).map_err(|error| NodeError::failed(error.to_string()))?;
        if call.value("tolerance").is_some() {
            let tolerance = call.float("tolerance")?;
            // A NaN is never within a tolerance.
            if difference.is_nan() || difference > tolerance {
                return Err(NodeError::failed(format!(
                    "the largest difference is {difference:e}, above {tolerance:e}"
                )));
            }
        }
        Ok(vec![Value::Float(difference)])
    }
}

fn difference(a: &Tensor, b: &Tensor) -> candle_core::Result<f64> {
    let values = |tensor: &Tensor| -> candle_core::Result<Vec<f64>> {
        tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
    };
    let pairs = values(a)?.into_iter().zip(values(b)?);
    // `f64::max` would drop a NaN.
    Ok(pairs
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |most, next| if next > most || next.is_nan() { next } else { most }))
}
