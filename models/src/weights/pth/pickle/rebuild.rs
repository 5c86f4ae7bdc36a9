//! What torch's functions do when they rebuild a tensor, without calling them.

use safetensors::Dtype;

use super::global::Global;
use super::memory::{Memory, Step};
use super::value::{Object, StorageReference, TensorReference, Value};

/// Torch itself allows 64, no network more than 5.
const MAX_DIMENSIONS: usize = 16;

impl Global {
    /// What calling it with `arguments` gives, without calling anything.
    pub(super) fn call(self, arguments: Value, memory: &mut Memory) -> Step<Value> {
        let made = match (self, memory.tuple(arguments)?) {
            (Self::RebuildTensor, &[storage, offset, size, stride, ..]) => {
                TensorReference::rebuild(memory, storage, None, offset, [size, stride])?
            }
            (Self::RebuildTensorWithFormat, &[storage, offset, size, stride, _, _, format, ..]) => {
                let Value::Global(Self::Format(format)) = format else {
                    return Err("rebuilds a tensor of no known number format".into());
                };
                TensorReference::rebuild(memory, storage, Some(format), offset, [size, stride])?
            }
            (Self::RebuildParameter, &[tensor, ..]) if memory.is_tensor(tensor) => return Ok(tensor),
            (Self::Size, &[size]) => return memory.tuple(size).map(|_| size),
            (Self::OrderedDict, []) => return memory.add(Object::Dict(Vec::new())),
            (Self::Namespace, []) => return memory.add(Object::Namespace(None)),
            (Self::Dropped, _) => return Ok(Value::Dropped),
            (_, arguments) => {
                let count = arguments.len();
                return Err(format!("calls {self:?} with {count} arguments, which it does not take").into());
            }
        };
        memory.add(Object::Tensor(Box::new(made)))
    }
}

impl StorageReference {
    /// A storage from what torch writes as its lasting name: `("storage", class, key, location, count)`.
    pub(super) fn named(name: Value, memory: &Memory, pickle: &[u8]) -> Step<Self> {
        let [Value::Text(kind), Value::Global(class), Value::Text(key), _, Value::Int(count), ..] =
            *memory.tuple(name)?
        else {
            return Err("names something that is no storage".into());
        };
        let format = match class {
            Global::Storage(format) => Some(format),
            Global::UntypedStorage => None,
            _ => return Err("names a storage of no known class".into()),
        };
        if kind.read(pickle) != Some("storage") {
            return Err("names something that is no storage".into());
        }
        let count = u64::try_from(count).map_err(|_| format!("names a storage of {count} numbers"))?;
        Ok(Self { format, key, count })
    }
}

impl TensorReference {
    /// A view of a storage, checked to lie inside; `format` where the storage has none.
    fn rebuild(
        memory: &Memory,
        storage: Value,
        format: Option<Dtype>,
        offset: Value,
        sizes: [Value; 2],
    ) -> Step<Self> {
        let storage = memory.storage(storage)?;
        let format = format.or(storage.format).ok_or("rebuilds a tensor without a number format")?;
        let [shape, strides] = [memory.tuple(sizes[0])?, memory.tuple(sizes[1])?];
        if shape.len() != strides.len() || shape.len() > MAX_DIMENSIONS {
            let (dimensions, strides) = (shape.len(), strides.len());
            return Err(format!("rebuilds a tensor of {dimensions} dimensions with {strides} strides").into());
        }
        let offset = number(&offset)?;
        let shape = shape.iter().map(number).collect::<Step<Vec<_>>>()?;
        let strides = strides.iter().map(number).collect::<Step<Vec<_>>>()?;
        let held = match storage.format {
            Some(_) => storage.count,
            None => storage.count / (format.bitsize() as u64 / 8).max(1),
        };
        let outside =
            || format!("rebuilds a tensor of shape {shape:?} that leaves its storage of {held} numbers");
        let count = shape.iter().try_fold(1_usize, |all, &size| all.checked_mul(size)).ok_or_else(outside)?;
        if count == 0 {
            return Ok(Self { format, storage, offset: 0, shape, strides });
        }
        let last = shape
            .iter()
            .zip(&strides)
            .try_fold(offset, |index, (&size, &stride)| index.checked_add((size - 1).checked_mul(stride)?));
        // A view that repeats its storage could ask for any amount of memory.
        if count as u64 > held || last.is_none_or(|last| last as u64 >= held) {
            return Err(outside().into());
        }
        Ok(Self { format, storage, offset, shape, strides })
    }
}

fn number(value: &Value) -> Step<usize> {
    match value {
        Value::Int(number) => {
            usize::try_from(*number).map_err(|_| format!("rebuilds a tensor with the size {number}").into())
        }
        _ => Err("rebuilds a tensor with a size that is no number".into()),
    }
}
