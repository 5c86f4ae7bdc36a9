//! Token numbers as the input of a node: lists of whole numbers, or a tensor.

use candle_core::{DType, Tensor};
use lumina_engine::{Fact, Type, Value};

use crate::value::{TensorValue, as_tensor, type_of};

/// The socket type of rows of whole numbers.
pub(crate) fn rows_type() -> Type {
    let item = Type::OneOf(vec![Type::Int, Type::list(Type::Int)]);
    Type::OneOf(vec![Type::list(item), type_of::<TensorValue>()])
}

/// Rows of whole numbers.
///
/// # Errors
/// In words that follow the name of the input: `has no numbers`.
pub(crate) fn rows(value: &Value) -> Result<Vec<Vec<u32>>, String> {
    let rows = match value {
        Value::List(items) if items.iter().all(|item| matches!(item, Value::Int(_))) => vec![row(items)?],
        Value::List(items) => items
            .iter()
            .map(|item| match item {
                Value::List(items) => row(items),
                other => Err(format!("is a list with a {} in it", other.ty())),
            })
            .collect::<Result<_, _>>()?,
        other => {
            let tensor = as_tensor(other).map_err(|error| error.to_string())?;
            of_tensor(&tensor)?
        }
    };
    let length = rows.first().map_or(0, Vec::len);
    if length == 0 {
        return Err("has no numbers".to_owned());
    }
    match rows.iter().find(|row| row.len() != length) {
        Some(other) => Err(format!("has rows of {length} and {} numbers, expected one length", other.len())),
        None => Ok(rows),
    }
}

/// The number of rows and of numbers in each, as far as a fact tells.
pub(crate) fn sizes_of(fact: &Fact) -> (Option<usize>, Option<usize>) {
    match fact.value.as_ref().map(rows) {
        Some(Ok(rows)) => (Some(rows.len()), rows.first().map(Vec::len)),
        Some(Err(_)) => (None, None),
        None if fact.shape.as_ref().is_some_and(|shape| shape.len() == 1) => (Some(1), fact.dimension(0)),
        None => (fact.dimension(0), fact.dimension(1)),
    }
}

fn row(items: &[Value]) -> Result<Vec<u32>, String> {
    items
        .iter()
        .map(|item| match item {
            Value::Int(number) => {
                u32::try_from(*number).map_err(|_| format!("has {number} in it, expected 0 or more"))
            }
            other => Err(format!("is a list with a {} in it", other.ty())),
        })
        .collect()
}

fn of_tensor(tensor: &Tensor) -> Result<Vec<Vec<u32>>, String> {
    let tensor = match tensor.rank() {
        1 => tensor.unsqueeze(0),
        2 => Ok(tensor.clone()),
        _ => return Err(format!("has the shape {:?}, expected [batch, tokens]", tensor.dims())),
    };
    if !matches!(
        tensor.as_ref().map(Tensor::dtype),
        Ok(DType::U8 | DType::U32 | DType::I16 | DType::I32 | DType::I64)
    ) {
        return Err("holds no whole numbers".to_owned());
    }
    let numbers = tensor.and_then(|tensor| tensor.to_dtype(DType::I64)?.to_vec2::<i64>());
    let numbers = numbers.map_err(|error| error.to_string())?;
    let whole =
        |number: i64| u32::try_from(number).map_err(|_| format!("has {number} in it, expected 0 or more"));
    numbers.into_iter().map(|row| row.into_iter().map(whole).collect()).collect()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn list(items: impl IntoIterator<Item = Value>) -> Value {
        Value::List(items.into_iter().collect())
    }

    fn ints(numbers: &[i64]) -> Value {
        list(numbers.iter().map(|number| Value::Int(*number)))
    }

    #[test]
    fn a_list_is_one_row_and_lists_are_many() {
        assert_eq!(rows(&ints(&[2, 9])), Ok(vec![vec![2, 9]]));
        assert_eq!(rows(&list([ints(&[2, 9]), ints(&[3, 4])])), Ok(vec![vec![2, 9], vec![3, 4]]));
        let tensor = Tensor::new(&[[2_i64, 9], [3, 4]], &Device::Cpu).unwrap();
        assert_eq!(rows(&Value::domain(TensorValue(tensor))), Ok(vec![vec![2, 9], vec![3, 4]]));
    }

    #[test]
    fn what_cannot_be_tokens_is_refused() {
        let refused = |value: &Value| rows(value).unwrap_err();
        assert_eq!(refused(&ints(&[])), "has no numbers");
        assert_eq!(refused(&ints(&[1, -2])), "has -2 in it, expected 0 or more");
        let ragged = refused(&list([ints(&[1, 2]), ints(&[1])]));
        assert_eq!(ragged, "has rows of 2 and 1 numbers, expected one length");
        let tensor = |tensor: Tensor| refused(&Value::domain(TensorValue(tensor)));
        assert_eq!(tensor(Tensor::new(&[1_f32], &Device::Cpu).unwrap()), "holds no whole numbers");
        assert_eq!(tensor(Tensor::new(&[-1_i64], &Device::Cpu).unwrap()), "has -1 in it, expected 0 or more");
        let cube = Tensor::zeros((1, 1, 1), DType::U32, &Device::Cpu).unwrap();
        assert_eq!(tensor(cube), "has the shape [1, 1, 1], expected [batch, tokens]");
    }
}
