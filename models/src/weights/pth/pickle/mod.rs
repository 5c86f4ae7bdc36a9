//! A machine for the pickles that torch writes.
//!
//! Python's pickles are programs that may call anything. This machine knows the opcodes that build plain values and the
//! few names of `Global`, and it calls nothing: a name that is not on the list ends the reading. What it takes in memory
//! is bounded by the length of the pickle, and nothing recurses. Opcodes: CPython's `Lib/pickletools.py`, protocols 2 to 5.

mod global;
mod machine;
mod memory;
mod rebuild;
mod value;

pub(super) use value::{TensorReference, Value};

use super::PthError;
use machine::Machine;
use value::{Object, ObjectId};

/// What a pickle built.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    bytes: &'a [u8],
    objects: Vec<Object>,
    root: Value,
}

impl<'a> Pickle<'a> {
    /// More than the table of any checkpoint: a tensor takes some two hundred bytes.
    pub(super) const MAX_BYTES: u64 = 1 << 26;

    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, PthError> {
        let (objects, root) = Machine::new(bytes).run()?;
        Ok(Self { bytes, objects, root })
    }

    pub(super) fn root(&self) -> Value {
        self.root
    }

    /// The text of a value that is one.
    pub(super) fn text(&self, value: Value) -> Option<&'a str> {
        match value {
            Value::Text(text) => text.read(self.bytes),
            _ => None,
        }
    }

    /// The entries of a dictionary, or the fields of a namespace.
    pub(super) fn entries(&self, value: Value) -> Option<&[(Value, Value)]> {
        let Value::Object(id) = value else { return None };
        match self.object(id)? {
            Object::Dict(entries) => Some(entries),
            Object::Namespace(None) => Some(&[]),
            Object::Namespace(Some(fields)) => match self.object(*fields)? {
                Object::Dict(entries) => Some(entries),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn tensor(&self, value: Value) -> Option<&TensorReference> {
        let Value::Object(id) = value else { return None };
        match self.object(id)? {
            Object::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }

    fn object(&self, id: ObjectId) -> Option<&Object> {
        self.objects.get(id.0 as usize)
    }
}
