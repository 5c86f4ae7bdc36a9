//! `tensor.reshape`: the numbers of a tensor in another shape.

use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};

use crate::value::{TensorValue, as_tensor, tensor_type, type_of};

pub(crate) struct TensorReshape;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new("tensor.reshape", 1, "Gives a tensor another shape\n\nThe numbers stay in their order.")
        .input(InputSpec::required("tensor", tensor_type(), "a tensor"))
        .input(InputSpec::required(
            "shape",
            Type::list(Type::Int),
            "the dimensions, outermost first, with as many numbers",
        ))
        .output("tensor", type_of::<TensorValue>(), "the same numbers")
        .device()
        .example(
            r#""flat": Node(kind: "tensor.reshape", with: { "tensor": Link("wave"), "shape": [1, 16000] })"#,
        )
}

impl Node for TensorReshape {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let fact = Fact::of(type_of::<TensorValue>());
        let tensor = inquiry.fact("tensor");
        let memory = Memory::kept(tensor.and_then(Fact::elements).unwrap_or(0) * 4);
        let Some(shape) = inquiry.fact("shape").and_then(|fact| fact.value.as_ref()) else {
            return Ok(Inference::new([fact], memory));
        };
        let shape = dimensions(shape)
            .map_err(|message| vec![Mistake::at("shape", message).code(Code::OutOfRange)])?;
        if let Some(found) = tensor.and_then(Fact::elements)
            && let Some(message) = differs(&shape, found)
        {
            let mistake = Mistake::at("shape", message).code(Code::WrongShape);
            let tensor = tensor.map(Fact::to_string).unwrap_or_default();
            return Err(vec![mistake.also("tensor", tensor)]);
        }
        Ok(Inference::new([fact.shape(shape)], memory))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let tensor = as_tensor(call.value("tensor").unwrap_or(&Value::Bool(false)))?;
        let shape =
            dimensions(call.value("shape").unwrap_or(&Value::Bool(false))).map_err(NodeError::failed)?;
        if let Some(message) = differs(&shape, tensor.elem_count() as u64) {
            return Err(NodeError::failed(message));
        }
        let tensor = tensor.reshape(shape).map_err(|error| NodeError::failed(error.to_string()))?;
        Ok(vec![Value::domain(TensorValue(tensor))])
    }
}

fn dimensions(value: &Value) -> Result<Vec<usize>, String> {
    let Value::List(items) = value else { return Err("`shape` is no list".to_owned()) };
    let dimension = |item: &Value| match item {
        Value::Int(side) => usize::try_from(*side).map_err(|_| format!("`shape` has {side} in it, below 0")),
        other => Err(format!("`shape` has a {} in it", other.ty())),
    };
    items.iter().map(dimension).collect()
}

/// Says that a shape has another number of numbers.
fn differs(shape: &[usize], found: u64) -> Option<String> {
    let wanted = shape.iter().try_fold(1_u64, |product, &side| product.checked_mul(side as u64));
    (wanted != Some(found)).then(|| {
        let wanted = wanted.map_or_else(|| "too many".to_owned(), |wanted| wanted.to_string());
        format!("`shape` has room for {wanted} numbers, the tensor has {found}")
    })
}
