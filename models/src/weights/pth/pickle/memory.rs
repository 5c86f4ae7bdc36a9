//! What the machine works on: a stack with marks, a memo, and the objects that were built.

use std::collections::HashMap;

use super::value::{Object, ObjectId, StorageReference, Value};

/// Bound on the marks, the memo and the objects, each.
const MAX_OBJECTS: usize = 1 << 20;
/// Bound on the values that are ever pushed, and so on what lists and dictionaries hold. A tensor takes some thirty.
const MAX_VALUES: usize = 1 << 22;

/// Why an opcode is not carried out.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// What it does wrong, as a predicate.
    Reason(String),
    /// It names something that is not on the list.
    Global(String),
}

/// What one opcode gives.
pub(super) type Step<T> = Result<T, Fault>;

impl From<&str> for Fault {
    fn from(reason: &str) -> Self {
        Self::Reason(reason.to_owned())
    }
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self::Reason(reason)
    }
}

#[derive(Debug, Default)]
pub(super) struct Memory {
    stack: Vec<Value>,
    /// Values that were pushed so far.
    pushed: usize,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    objects: Vec<Object>,
}

impl Memory {
    /// The objects, when nothing but the last value was left and has been taken.
    pub(super) fn finish(self) -> Step<Vec<Object>> {
        if self.stack.is_empty() && self.marks.is_empty() {
            Ok(self.objects)
        } else {
            Err("ends it too early".into())
        }
    }

    pub(super) fn push(&mut self, value: Value) -> Step<()> {
        bounded(self.pushed, MAX_VALUES)?;
        self.pushed += 1;
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn push_object(&mut self, object: Object) -> Step<()> {
        let value = self.add(object)?;
        self.push(value)
    }

    /// The value on top of the stack, above the last mark.
    pub(super) fn top(&self) -> Step<Value> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let values = self.stack.get(floor..).unwrap_or_default();
        values.last().copied().ok_or_else(|| "takes a value that is not there".into())
    }

    pub(super) fn pop(&mut self) -> Step<Value> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// The last `count` values, in the order in which they were pushed.
    pub(super) fn pop_many(&mut self, count: usize) -> Step<Vec<Value>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let start = self.stack.len().checked_sub(count).filter(|&start| start >= floor);
        Ok(self.stack.split_off(start.ok_or("takes a value that is not there")?))
    }

    /// As [`pop`](Self::pop), but takes the mark when it is on top.
    pub(super) fn pop_any(&mut self) -> Step<()> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    pub(super) fn mark(&mut self) -> Step<()> {
        bounded(self.marks.len(), MAX_OBJECTS)?;
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// Everything above the last mark, which is taken too.
    pub(super) fn pop_mark(&mut self) -> Step<Vec<Value>> {
        let mark = self.marks.pop().ok_or("takes a mark that is not there")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    pub(super) fn recall(&mut self, index: u32) -> Step<()> {
        let value = self.memo.get(&index).copied();
        self.push(value.ok_or("recalls something that was never built")?)
    }

    pub(super) fn remember(&mut self, index: u32) -> Step<()> {
        bounded(self.memo.len(), MAX_OBJECTS)?;
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    /// Remembers the top under the next free number.
    pub(super) fn remember_next(&mut self) -> Step<()> {
        self.remember(u32::try_from(self.memo.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn add(&mut self, object: Object) -> Step<Value> {
        bounded(self.objects.len(), MAX_OBJECTS)?;
        let id = u32::try_from(self.objects.len()).map_err(|error| error.to_string())?;
        self.objects.push(object);
        Ok(Value::Object(ObjectId(id)))
    }

    pub(super) fn tuple(&self, value: Value) -> Step<&[Value]> {
        match self.get(value) {
            Some(Object::Tuple(items)) => Ok(items),
            _ => Err("needs a tuple".into()),
        }
    }

    pub(super) fn storage(&self, value: Value) -> Step<StorageReference> {
        match self.get(value) {
            Some(Object::Storage(storage)) => Ok(*storage),
            _ => Err("rebuilds a tensor without a storage".into()),
        }
    }

    pub(super) fn is_tensor(&self, value: Value) -> bool {
        matches!(self.get(value), Some(Object::Tensor(_)))
    }

    pub(super) fn append(&mut self, items: Vec<Value>) -> Step<()> {
        match (self.top()?, self.top_object()) {
            (_, Some(Object::List(list))) => list.extend(items),
            (Value::Dropped, _) => {}
            _ => return Err("appends to something that is no list".into()),
        }
        Ok(())
    }

    pub(super) fn set_items(&mut self, items: Vec<Value>) -> Step<()> {
        if !items.len().is_multiple_of(2) {
            return Err("sets a key without a value".into());
        }
        match (self.top()?, self.top_object()) {
            (_, Some(Object::Dict(entries))) => {
                entries.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
            }
            (Value::Dropped, _) => {}
            _ => return Err("sets keys of something that is no dictionary".into()),
        }
        Ok(())
    }

    /// Sets the fields of the top. Those of a dictionary, such as the versions that torch notes, are dropped.
    pub(super) fn build(&mut self, state: Value) -> Step<()> {
        let fields = match (state, self.get(state)) {
            (Value::Object(id), Some(Object::Dict(_))) => Some(id),
            _ => None,
        };
        match (self.top()?, self.top_object()) {
            (_, Some(Object::Namespace(place))) => {
                *place = Some(fields.ok_or("sets fields that are no dictionary")?);
            }
            (_, Some(Object::Dict(_))) | (Value::Dropped, _) => {}
            _ => return Err("sets fields of something that has none".into()),
        }
        Ok(())
    }

    fn top_object(&mut self) -> Option<&mut Object> {
        match self.top() {
            Ok(Value::Object(ObjectId(id))) => self.objects.get_mut(id as usize),
            _ => None,
        }
    }

    fn get(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(ObjectId(id)) => self.objects.get(id as usize),
            _ => None,
        }
    }
}

fn bounded(count: usize, most: usize) -> Step<()> {
    if count < most { Ok(()) } else { Err(format!("builds more than {most} values").into()) }
}
