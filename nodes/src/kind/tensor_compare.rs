//! `tensor.compare`: how far two tensors are apart.

use candle_core::{DType, Device, Tensor};
use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};

use crate::value::{TensorValue, as_tensor, input_tensors, tensor_type, type_of};

pub(crate) struct TensorCompare;

pub(crate) fn spec() -> NodeSpec {
    let one_or_more = || Type::OneOf(vec![tensor_type(), Type::list(tensor_type())]);
    NodeSpec::new(
        "tensor.compare",
        1,
        "Compares two tensors, or two lists of tensors\n\n\
         Gives the largest absolute difference; fails when it is above `tolerance`, so that the exit code of the run is not 0.",
    )
    .input(InputSpec::required("a", one_or_more(), "a tensor, or a list of them"))
    .input(InputSpec::required("b", one_or_more(), "another one of the same shape, or a list of as many"))
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
        let (a, b) = (input_tensors(call, "a")?, input_tensors(call, "b")?);
        if a.len() != b.len() {
            let (left, right) = (a.len(), b.len());
            return Err(NodeError::failed(format!("`a` has {left} tensors, `b` has {right}")));
        }
        let mask = call.value("mask").map(as_tensor).transpose()?;
        let mut most = 0.0;
        for (a, b) in a.iter().zip(&b) {
            let (left, right) = (a.dims(), b.dims());
            if left != right {
                return Err(NodeError::failed(format!("the shapes {left:?} and {right:?} differ")));
            }
            if let Some(mask) = mask.as_ref().filter(|mask| !left.starts_with(mask.dims())) {
                let message = format!("the mask has the shape {:?}, the tensors have {left:?}", mask.dims());
                return Err(NodeError::failed(message));
            }
            let apart = difference(a, b, mask.as_ref());
            most = larger(most, apart.map_err(|error| NodeError::failed(error.to_string()))?);
        }
        if call.value("tolerance").is_some() {
            let tolerance = call.float("tolerance")?;
            // A NaN is never within a tolerance.
            if most.is_nan() || most > tolerance {
                return Err(NodeError::failed(format!(
                    "the largest difference is {most:e}, above {tolerance:e}"
                )));
            }
        }
        Ok(vec![Value::Float(most)])
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
    Ok(a.into_iter()
        .zip(b)
        .enumerate()
        .filter(|(index, _)| counts(*index))
        .map(|(_, (a, b))| (a - b).abs())
        .fold(0.0, larger))
}

/// The larger of two differences; NaN wherever there is one, which `f64::max` would drop.
fn larger(most: f64, next: f64) -> f64 {
    if next > most || next.is_nan() { next } else { most }
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

    #[test]
    fn not_a_number_is_never_passed_over() {
        assert_eq!([1.0, 3.0, 2.0].into_iter().fold(0.0, larger), 3.0);
        assert!([1.0, f64::NAN, 2.0].into_iter().fold(0.0, larger).is_nan());
    }
}
