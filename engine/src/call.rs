//! What a node is given while it runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cancel::Cancel;
use crate::event::{Event, Events, Picture};
use crate::node_error::NodeError;
use crate::provenance::Provenance;
use crate::value::{Domain, Value};
use crate::world::World;

/// What a node may use while it runs.
pub struct Call<'a> {
    pub(crate) node: &'a str,
    pub(crate) names: &'a [&'static str],
    pub(crate) values: &'a [Option<Value>],
    pub(crate) events: &'a dyn Events,
    pub(crate) preview_every: Option<u64>,
    /// Compute in the way that the inference calls [`thrifty`](crate::Inference::thrifty), where the node has one.
    pub thrifty: bool,
    /// Files and devices.
    pub world: &'a dyn World,
    /// Asked often; work stops when it says so.
    pub cancel: &'a Cancel,
    /// What made this run: graph, parameters, digests of weights. For embedding into outputs.
    pub provenance: &'a Provenance,
}

impl Call<'_> {
    /// An input; `None` when it is absent.
    pub fn value(&self, input: &str) -> Option<&Value> {
        let index = self.names.iter().position(|name| *name == input)?;
        self.values.get(index)?.as_ref()
    }

    /// An input of a domain type that must be there.
    pub fn domain<T: Domain>(&self, input: &str) -> Result<Arc<T>, NodeError> {
        self.optional_domain(input)?.ok_or_else(|| NodeError::missing(input))
    }

    /// An input of a domain type that may be absent.
    pub fn optional_domain<T: Domain>(&self, input: &str) -> Result<Option<Arc<T>>, NodeError> {
        match self.value(input) {
            None => Ok(None),
            Some(value) => match value.downcast() {
                Some(content) => Ok(Some(content)),
                None => Err(NodeError::wrong_type(input, T::NAME, value)),
            },
        }
    }

    /// A whole number.
    pub fn int(&self, input: &str) -> Result<i64, NodeError> {
        match self.value(input) {
            Some(Value::Int(value)) => Ok(*value),
            found => Err(NodeError::expected(input, "Int", found)),
        }
    }

    /// A whole number that is not negative.
    pub fn size(&self, input: &str) -> Result<usize, NodeError> {
        let value = self.int(input)?;
        usize::try_from(value).map_err(|_| NodeError::failed(format!("`{input}` is {value}, below 0")))
    }

    /// A number.
    pub fn float(&self, input: &str) -> Result<f64, NodeError> {
        match self.value(input) {
            Some(Value::Float(value)) => Ok(*value),
            Some(Value::Int(value)) => Ok(*value as f64),
            found => Err(NodeError::expected(input, "Float", found)),
        }
    }

    /// A truth value.
    pub fn bool(&self, input: &str) -> Result<bool, NodeError> {
        match self.value(input) {
            Some(Value::Bool(value)) => Ok(*value),
            found => Err(NodeError::expected(input, "Bool", found)),
        }
    }

    /// A text.
    pub fn text(&self, input: &str) -> Result<&str, NodeError> {
        match self.value(input) {
            Some(Value::Text(value)) => Ok(value),
            found => Err(NodeError::expected(input, "Text", found)),
        }
    }

    /// A path.
    pub fn path(&self, input: &str) -> Result<PathBuf, NodeError> {
        match self.value(input) {
            Some(Value::Path(value)) => Ok(value.to_path_buf()),
            found => Err(NodeError::expected(input, "Path", found)),
        }
    }

    /// The file or folder that a path input names.
    pub fn find(&self, input: &str) -> Result<PathBuf, NodeError> {
        let path = self.path(input)?;
        self.world
            .find(&path)
            .map_err(|_| NodeError::file(format!("there is nothing at `{}`", path.display())))
    }

    /// Reports that `done` of `total` pieces of work are finished.
    pub fn progress(&self, done: u64, total: u64, unit: &'static str) {
        self.events.event(&Event::NodeProgress { node: self.node.to_owned(), done, total, unit });
    }

    /// Reports something that looks odd but keeps nothing from running. Said once, by the run that computes the node:
    /// a run that finds its outputs in a cache is silent.
    pub fn warn(&self, message: impl Into<String>) {
        self.events.event(&Event::NodeWarning { node: self.node.to_owned(), message: message.into() });
    }

    /// Reports that a file was written.
    pub fn written(&self, path: &Path) {
        self.events.event(&Event::Written { node: self.node.to_owned(), path: path.display().to_string() });
    }

    /// Should this step, counted from 1, be shown? Asked before work is put into a [`preview`](Self::preview).
    pub fn wants_preview(&self, step: u64) -> bool {
        self.preview_every.is_some_and(|every| step > 0 && step.is_multiple_of(every.max(1)))
    }

    /// Shows what the node's work looks like after a step, counted from 1.
    pub fn preview(&self, step: u64, picture: Picture) {
        self.events.event(&Event::Preview { node: self.node.to_owned(), step, picture });
    }

    /// Stops the node if the run was cancelled.
    pub fn check_cancelled(&self) -> Result<(), NodeError> {
        if self.cancel.is_cancelled() { Err(NodeError::Interrupted) } else { Ok(()) }
    }
}
