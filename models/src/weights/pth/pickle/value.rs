//! What a pickle builds.

use safetensors::Dtype;

use super::global::Global;

/// A value, or the place of one; containers are shared, as in Python.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Text),
    /// A function or a class of the closed list.
    Global(Global),
    /// Something that holds other values.
    Object(ObjectId),
    /// Bytes, huge numbers, sets: never part of a tensor, so nothing is kept of it.
    Dropped,
}

/// A text, as its place in the pickle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Text {
    pub(super) start: u32,
    pub(super) length: u32,
}

/// An index into the objects of a pickle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct ObjectId(pub(super) u32);

/// A value that holds others. Nothing walks through them without a bound, for a list may hold itself.
#[derive(Debug)]
pub(in super::super) enum Object {
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// The dictionary of its fields, once it is set.
    Namespace(Option<ObjectId>),
    Storage(StorageReference),
    Tensor(Box<TensorReference>),
}

/// A storage that a tensor views.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct StorageReference {
    /// None for a storage of bytes.
    pub(in super::super) format: Option<Dtype>,
    /// The name of its entry under `data/`.
    pub(in super::super) key: Text,
    /// How many numbers it holds, or bytes where it has no format.
    pub(in super::super) count: u64,
}

/// A tensor as the pickle describes it.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct TensorReference {
    pub(in super::super) format: Dtype,
    pub(in super::super) storage: StorageReference,
    /// Numbers in the storage before its first.
    pub(in super::super) offset: usize,
    pub(in super::super) shape: Vec<usize>,
    /// Numbers between neighbours in each dimension.
    pub(in super::super) strides: Vec<usize>,
}

impl Text {
    /// The text itself, from the bytes of its pickle.
    pub(super) fn read(self, pickle: &[u8]) -> Option<&str> {
        let start = self.start as usize;
        std::str::from_utf8(pickle.get(start..start.checked_add(self.length as usize)?)?).ok()
    }
}

impl TensorReference {
    /// Whether its numbers lie one after the other, the last dimension fastest.
    pub(in super::super) fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        let mut dimensions = self.shape.iter().zip(&self.strides).rev();
        self.shape.contains(&0)
            || dimensions.all(|(&size, &stride)| {
                let fits = size == 1 || stride == expected;
                expected *= size;
                fits
            })
    }
}
