//! What a node kind has to say and to do.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::cancel::Cancel;
use crate::diagnostic::Code;
use crate::event::{Event, Events};
use crate::fact::Fact;
use crate::provenance::Provenance;
use crate::value::{Domain, Value};
use crate::world::World;

/// The behaviour of a node kind. It has no state: the same inputs give the same outputs.
pub trait Node: Send + Sync {
    /// Says what the outputs will be, from what is known of the inputs, without loading or computing.
    ///
    /// It may read configuration and headers of files through their paths, never weights.
    ///
    /// # Errors
    /// Everything that is wrong with the inputs, at once.
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>>;

    /// Computes the outputs, in the order of the kind's specification.
    ///
    /// # Errors
    /// One error; the engine adds the node's name.
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError>;

    /// Does what the outputs stand for still exist? Asked before cached outputs are used; a node that writes
    /// files says no when they are gone.
    fn is_fresh(&self, outputs: &[Value], world: &dyn World) -> bool {
        let _ = (outputs, world);
        true
    }
}

/// What a node answers before it runs.
#[derive(Clone, Debug, Default)]
pub struct Inference {
    /// What is known of each output, in the order of the specification.
    pub outputs: Vec<Fact>,
    /// Files whose content decides the outputs, beside the inputs. Their digests become part of the key.
    pub files: Vec<PathBuf>,
    /// Bytes of memory it needs while it runs, outputs included.
    pub working_bytes: u64,
    /// Bytes of memory that its outputs hold on to afterwards.
    pub output_bytes: u64,
}

impl Inference {
    /// Only the outputs, nothing else to say.
    pub fn outputs(outputs: impl IntoIterator<Item = Fact>) -> Self {
        Self { outputs: outputs.into_iter().collect(), ..Self::default() }
    }

    /// Adds the working memory.
    pub fn working_bytes(mut self, bytes: u64) -> Self {
        self.working_bytes = bytes;
        self
    }

    /// Adds the memory that the outputs hold.
    pub fn output_bytes(mut self, bytes: u64) -> Self {
        self.output_bytes = bytes;
        self
    }

    /// Adds files that decide the outputs.
    pub fn files(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.files.extend(files);
        self
    }
}

/// What is known of a node's inputs while the graph is checked.
pub struct Inquiry<'a> {
    pub(crate) names: &'a [&'static str],
    pub(crate) facts: &'a [Option<Fact>],
    /// Files and devices.
    pub world: &'a dyn World,
}

impl Inquiry<'_> {
    /// What is known of an input; `None` when it is absent.
    pub fn fact(&self, input: &str) -> Option<&Fact> {
        let index = self.names.iter().position(|name| *name == input)?;
        self.facts.get(index)?.as_ref()
    }

    /// The known value of an input that is a whole number.
    pub fn int(&self, input: &str) -> Option<i64> {
        match self.fact(input)?.value.as_ref()? {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The known value of an input that is a whole number and not negative.
    pub fn size(&self, input: &str) -> Option<usize> {
        usize::try_from(self.int(input)?).ok()
    }

    /// The known value of an input that is a number.
    pub fn float(&self, input: &str) -> Option<f64> {
        match self.fact(input)?.value.as_ref()? {
            Value::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// The known value of an input that is a text.
    pub fn text(&self, input: &str) -> Option<&str> {
        match self.fact(input)?.value.as_ref()? {
            Value::Text(value) => Some(value),
            _ => None,
        }
    }

    /// The known value of an input that is a path.
    pub fn path(&self, input: &str) -> Option<PathBuf> {
        match self.fact(input)?.value.as_ref()? {
            Value::Path(value) => Some(value.to_path_buf()),
            _ => None,
        }
    }

    /// A mistake if two inputs are known to differ in a property.
    pub fn same(&self, property: &str, first: &str, second: &str) -> Option<Mistake> {
        let one = self.fact(first)?.properties.get(property)?;
        let other = self.fact(second)?.properties.get(property)?;
        (one != other).then(|| {
            Mistake::at(first, format!("`{first}` and `{second}` are of different {property}s"))
                .code(Code::Incompatible)
                .label(one.to_string())
                .also(second, other.to_string())
        })
    }
}

/// A mistake a node found in its inputs.
#[derive(Clone, Debug)]
pub struct Mistake {
    /// The input, where one can be named.
    pub input: Option<String>,
    /// What kind.
    pub code: Code,
    /// One sentence.
    pub message: String,
    /// Words under the input.
    pub label: String,
    /// Other inputs that belong to it, with words.
    pub also: Vec<(String, String)>,
    /// How to mend it.
    pub help: Vec<String>,
}

impl Mistake {
    /// A mistake at an input.
    pub fn at(input: impl Into<String>, message: impl Into<String>) -> Self {
        Self { input: Some(input.into()), ..Self::new(message) }
    }

    /// A mistake of the node as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            input: None,
            code: Code::Incompatible,
            message: message.into(),
            label: String::new(),
            also: Vec::new(),
            help: Vec::new(),
        }
    }

    /// Sets the code.
    pub fn code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// Words under the input.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Points at another input too.
    pub fn also(mut self, input: impl Into<String>, label: impl Into<String>) -> Self {
        self.also.push((input.into(), label.into()));
        self
    }

    /// Adds a line of help.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

/// What a node may use while it runs.
pub struct Call<'a> {
    pub(crate) node: &'a str,
    pub(crate) names: &'a [&'static str],
    pub(crate) values: &'a [Option<Value>],
    pub(crate) events: &'a dyn Events,
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

    /// Reports that `done` of `total` pieces of work are finished.
    pub fn progress(&self, done: u64, total: u64, unit: &'static str) {
        self.events.event(&Event::NodeProgress { node: self.node.to_owned(), done, total, unit });
    }

    /// Reports that a file was written.
    pub fn written(&self, path: &Path) {
        self.events.event(&Event::Written { node: self.node.to_owned(), path: path.display().to_string() });
    }

    /// Stops the node if the run was cancelled.
    pub fn check_cancelled(&self) -> Result<(), NodeError> {
        if self.cancel.is_cancelled() { Err(NodeError::Interrupted) } else { Ok(()) }
    }
}

/// Why a node did not give its outputs.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum NodeError {
    /// Something went wrong inside.
    #[error("{message}")]
    Failed {
        /// One sentence.
        message: String,
        /// How to mend it.
        help: Option<String>,
    },
    /// A file is missing or damaged.
    #[error("{message}")]
    File {
        /// One sentence.
        message: String,
        /// How to mend it.
        help: Option<String>,
    },
    /// There is not enough memory.
    #[error("{message}")]
    OutOfMemory {
        /// One sentence.
        message: String,
    },
    /// The run was cancelled.
    #[error("interrupted")]
    Interrupted,
}

impl NodeError {
    /// An error with a message and no help.
    pub fn failed(message: impl Into<String>) -> Self {
        NodeError::Failed { message: message.into(), help: None }
    }

    /// An error about a file.
    pub fn file(message: impl Into<String>) -> Self {
        NodeError::File { message: message.into(), help: None }
    }

    /// The help line, if there is one.
    pub fn help(&self) -> Option<&str> {
        match self {
            NodeError::Failed { help, .. } | NodeError::File { help, .. } => help.as_deref(),
            _ => None,
        }
    }

    fn missing(input: &str) -> Self {
        Self::failed(format!("the input `{input}` is not given"))
    }

    fn wrong_type(input: &str, expected: &str, found: &Value) -> Self {
        Self::failed(format!("the input `{input}` must be a {expected}, found {}", found.ty()))
    }

    fn expected(input: &str, expected: &str, found: Option<&Value>) -> Self {
        match found {
            None => Self::missing(input),
            Some(value) => Self::wrong_type(input, expected, value),
        }
    }
}
