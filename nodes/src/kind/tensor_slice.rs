//! `tensor.slice`: a part of a tensor.

use lumina_engine::{
    Call, Code, Dimension, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec,
    Type, Value,
};

use crate::value::{TensorValue, input_tensor, tensor_type, type_of};

pub(crate) struct TensorSlice;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new("tensor.slice", 1, "Takes a part of a tensor along one axis")
        .input(InputSpec::required("tensor", tensor_type(), "a tensor"))
        .input(InputSpec::default("axis", Type::Int, Value::Int(0), "which axis, counted from 0; 0 is the batch").min(0.0).max(15.0))
        .input(InputSpec::default("start", Type::Int, Value::Int(0), "the first entry, counted from 0").min(0.0))
        .input(InputSpec::optional("count", Type::Int, "how many entries; all that follow when absent").min(1.0))
        .output("tensor", type_of::<TensorValue>(), "the part, with the same axes")
        .device()
        .example(r#""first": Node(kind: "tensor.slice", with: { "tensor": Link("latents"), "start": 0, "count": 1 })"#)
}

impl Node for TensorSlice {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let mut fact = Fact::of(type_of::<TensorValue>());
        let known = inquiry.fact("tensor").and_then(|tensor| Some((tensor, tensor.shape.clone()?)));
        let (Some((tensor, mut shape)), Some(axis)) = (known, inquiry.size("axis")) else {
            return Ok(Inference::new([fact], Memory::UNKNOWN));
        };
        let Some(place) = shape.get_mut(axis) else {
            let mistake = Mistake::at("axis", beyond(axis, shape.len())).code(Code::OutOfRange);
            return Err(vec![mistake.also("tensor", tensor.to_string())]);
        };
        let has_count = inquiry.fact("count").is_some();
        let size = match (tensor.dimension(axis), inquiry.size("start"), inquiry.size("count")) {
            (Some(size), Some(start), count) => match part(size, start, count) {
                Some(_) if has_count && count.is_none() => None,
                Some(count) => Some(count),
                None => {
                    let input = if count.is_some() { "count" } else { "start" };
                    let mistake = Mistake::at(input, outside(size, start, count)).code(Code::OutOfRange);
                    return Err(vec![mistake.also("tensor", tensor.to_string())]);
                }
            },
            (None, _, count) => count,
            _ => None,
        };
        *place = Dimension::from(size);
        fact.shape = Some(shape);
        let bytes = fact.elements().unwrap_or(0) * 8;
        Ok(Inference::new([fact], Memory::kept(bytes)))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let tensor = input_tensor(call, "tensor")?;
        let (axis, start) = (call.size("axis")?, call.size("start")?);
        let count = call.value("count").map(|_| call.size("count")).transpose()?;
        let size = tensor.dims().get(axis).copied();
        let size = size.ok_or_else(|| NodeError::failed(beyond(axis, tensor.rank())))?;
        let taken = part(size, start, count).ok_or_else(|| NodeError::failed(outside(size, start, count)))?;
        let tensor = tensor.narrow(axis, start, taken).and_then(|part| part.contiguous());
        Ok(vec![Value::domain(TensorValue(tensor.map_err(|error| NodeError::failed(error.to_string()))?))])
    }
}

/// How many entries are taken; none when they are not there.
fn part(size: usize, start: usize, count: Option<usize>) -> Option<usize> {
    let rest = size.checked_sub(start).filter(|rest| *rest > 0)?;
    let count = count.unwrap_or(rest);
    (count > 0 && count <= rest).then_some(count)
}

fn beyond(axis: usize, axes: usize) -> String {
    format!("there is no axis {axis}: the tensor has {axes}, counted from 0")
}

fn outside(size: usize, start: usize, count: Option<usize>) -> String {
    let what = count.map_or_else(String::new, |count| format!("{count} from "));
    format!("there are {size} entries along the axis, not {what}{start} on")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_inside_of_its_tensor() {
        assert_eq!(part(4, 1, None), Some(3));
        assert_eq!(part(4, 1, Some(2)), Some(2));
        for (start, count) in [(4, None), (1, Some(4)), (usize::MAX, Some(1)), (0, Some(0))] {
            assert_eq!(part(4, start, count), None);
        }
    }
}
