//! `tensor.compare`: how far two tensors are apart.

use candle_core::{DType, Device, Tensor};
use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};

use crate::value::{TensorValue, as_tensor, tensor_type, type_of};

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
    .input(InputSpec::optional(
        "mask",
        type_of::<TensorValue>(),
        "only where this is not 0; its shape is the beginning of that of `a`, for example [batch, tokens]",
    ))
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
        let mask = inquiry.fact("mask").zip(inquiry.fact("a"));
        if let Some(mistake) = mask.and_then(|(mask, a)| wrong_mask(mask, a)) {
            return Err(vec![mistake]);
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
        let mask = call.value("mask").map(as_tensor).transpose()?;
        if let Some(mask) = mask.as_ref().filter(|mask| !a.dims().starts_with(mask.dims())) {
            let message =
                format!("the mask has the shape {:?}, the tensors have {:?}", mask.dims(), a.dims());
            return Err(NodeError::failed(message));
        }
        let difference =
            difference(&a, &b, mask.as_ref()).map_err(|error| NodeError::failed(error.to_string()))?;
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

/// A mistake when the shape of a mask is not the beginning of another.
fn wrong_mask(mask: &Fact, tensor: &Fact) -> Option<Mistake> {
    let (left, right) = (mask.shape.as_ref()?, tensor.shape.as_ref()?);
    let differ = left.len() > right.len()
        || (0..left.len()).any(
            |index| matches!((mask.dimension(index), tensor.dimension(index)), (Some(x), Some(y)) if x != y),
        );
    differ.then(|| {
        let message = "the shape of the mask is not the beginning of that of the tensors";
        let mistake = Mistake::at("mask", message).code(Code::WrongShape);
        mistake.label(mask.to_string()).also("a", tensor.to_string())
    })
}

fn difference(a: &Tensor, b: &Tensor, mask: Option<&Tensor>) -> candle_core::Result<f64> {
    let values = |tensor: &Tensor| -> candle_core::Result<Vec<f64>> {
        tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
    };
    let (a, b) = (values(a)?, values(b)?);
    let counts = mask.map(values).transpose()?;
    // Numbers of the tensors for each number of the mask.
    let width = counts.as_ref().map_or(1, |counts| a.len() / counts.len().max(1)).max(1);
    let counts = |index: usize| {
        counts.as_ref().is_none_or(|counts| counts.get(index / width).is_some_and(|number| *number != 0.0))
    };
    // `f64::max` would drop a NaN.
    Ok(a.into_iter()
        .zip(b)
        .enumerate()
        .filter(|(index, _)| counts(*index))
        .map(|(_, (a, b))| (a - b).abs())
        .fold(0.0, |most, next| if next > most || next.is_nan() { next } else { most }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_masked_do_not_count() {
        let tensor = |numbers: [[f32; 2]; 2]| Tensor::new(&numbers, &Device::Cpu).unwrap();
        let (a, b) = (tensor([[1.0, 2.0], [3.0, f32::NAN]]), tensor([[1.0, 2.5], [9.0, 4.0]]));
        let mask = |numbers: [i64; 2]| Tensor::new(&numbers, &Device::Cpu).unwrap();
        assert!(difference(&a, &b, None).unwrap().is_nan());
        assert_eq!(difference(&a, &b, Some(&mask([1, 0]))).unwrap(), 0.5);
        assert_eq!(difference(&a, &b, Some(&mask([0, 0]))).unwrap(), 0.0);
        assert!(difference(&a, &b, Some(&mask([0, 1]))).unwrap().is_nan());
        let each = tensor([[0.0, 0.0], [1.0, 0.0]]);
        assert_eq!(difference(&a, &b, Some(&each)).unwrap(), 6.0);
    }
}
