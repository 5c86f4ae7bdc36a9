//! The description of a node kind: what `nodes show` prints, what the check reads, what the docs page says.

use crate::control::Control;
use crate::diagnostic::Code;
use crate::suggest::list;
use crate::types::Type;
use crate::value::Value;

/// Everything that is known of a node kind without running it.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// Its name in graphs, `group.verb`.
    pub kind: &'static str,
    /// Raised when the same inputs give another output than before; part of every cache key.
    pub version: u32,
    /// What it does; the first line is the summary.
    pub doc: &'static str,
    /// Its inputs.
    pub inputs: Vec<InputSpec>,
    /// Its outputs.
    pub outputs: Vec<OutputSpec>,
    /// Does it act on the world outside (write a file)? Such nodes are what a run is for.
    pub effect: bool,
    /// Does it compute on the device (a network, a tensor)? Such nodes run one at a time; others run beside them.
    pub device: bool,
    /// Does it decide which other nodes run?
    pub control: Option<Control>,
    /// A piece of a graph that shows its use.
    pub example: &'static str,
}

/// An input socket.
#[derive(Clone, Debug)]
pub struct InputSpec {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub ty: Type,
    /// What it is for.
    pub doc: &'static str,
    /// May it be left out?
    pub presence: Presence,
    /// Smallest number allowed.
    pub min: Option<f64>,
    /// Largest number allowed.
    pub max: Option<f64>,
    /// The texts allowed; empty for all.
    pub choices: &'static [&'static str],
    /// Is it an output path in which `{graph}`, `{node}` and `{parameter}` are replaced?
    pub template: bool,
}

/// Whether an input must be given.
#[derive(Clone, Debug, PartialEq)]
pub enum Presence {
    /// It must be given.
    Required,
    /// The node sees that it is absent.
    Optional,
    /// It has this value when it is not given.
    Default(Value),
}

/// An output socket.
#[derive(Clone, Debug)]
pub struct OutputSpec {
    /// Its name.
    pub name: &'static str,
    /// What it gives.
    pub ty: Type,
    /// What it is.
    pub doc: &'static str,
}

impl NodeSpec {
    /// A kind without sockets; the methods below add them.
    pub fn new(kind: &'static str, version: u32, doc: &'static str) -> Self {
        Self {
            kind,
            version,
            doc,
            inputs: Vec::new(),
            outputs: Vec::new(),
            effect: false,
            device: false,
            control: None,
            example: "",
        }
    }

    /// Adds an input.
    pub fn input(mut self, input: InputSpec) -> Self {
        self.inputs.push(input);
        self
    }

    /// Adds an output.
    pub fn output(mut self, name: &'static str, ty: Type, doc: &'static str) -> Self {
        self.outputs.push(OutputSpec { name, ty, doc });
        self
    }

    /// Marks it as acting on the world outside.
    pub fn effect(mut self) -> Self {
        self.effect = true;
        self
    }

    /// Marks it as computing on the device.
    pub fn device(mut self) -> Self {
        self.device = true;
        self
    }

    /// Marks it as deciding which other nodes run.
    pub(crate) fn control(mut self, control: Control) -> Self {
        self.control = Some(control);
        self
    }

    /// Adds an example.
    pub fn example(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    /// The first line of the documentation.
    pub fn summary(&self) -> &'static str {
        self.doc.lines().next().unwrap_or("")
    }

    /// The position of an output.
    pub fn output_index(&self, name: &str) -> Option<usize> {
        self.outputs.iter().position(|output| output.name == name)
    }
}

impl InputSpec {
    /// A required input.
    pub fn required(name: &'static str, ty: Type, doc: &'static str) -> Self {
        Self {
            name,
            ty,
            doc,
            presence: Presence::Required,
            min: None,
            max: None,
            choices: &[],
            template: false,
        }
    }

    /// An input that may be absent.
    pub fn optional(name: &'static str, ty: Type, doc: &'static str) -> Self {
        Self { presence: Presence::Optional, ..Self::required(name, ty, doc) }
    }

    /// An input with a value of its own.
    pub fn default(name: &'static str, ty: Type, default: Value, doc: &'static str) -> Self {
        Self { presence: Presence::Default(default), ..Self::required(name, ty, doc) }
    }

    /// The smallest number allowed.
    pub fn min(mut self, min: f64) -> Self {
        self.min = Some(min);
        self
    }

    /// The largest number allowed.
    pub fn max(mut self, max: f64) -> Self {
        self.max = Some(max);
        self
    }

    /// The texts allowed.
    pub fn choices(mut self, choices: &'static [&'static str]) -> Self {
        self.choices = choices;
        self
    }

    /// Says why a value is outside the range or none of the choices.
    pub(crate) fn allows(&self, value: &Value) -> Result<(), (Code, String)> {
        in_range(self.name, value, self.min, self.max).map_err(|message| (Code::OutOfRange, message))?;
        in_choices(self.name, value, self.choices).map_err(|message| (Code::NotAChoice, message))
    }

    /// Placeholders in the text are replaced.
    pub fn template(mut self) -> Self {
        self.template = true;
        self
    }
}

/// Says why a number is outside a range.
pub(crate) fn in_range(name: &str, value: &Value, min: Option<f64>, max: Option<f64>) -> Result<(), String> {
    let number = match value {
        Value::Int(value) => *value as f64,
        Value::Float(value) => *value,
        _ => return Ok(()),
    };
    if number.is_nan() || min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) {
        let range = match (min, max) {
            (Some(min), Some(max)) => format!("between {min} and {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => "a number".to_owned(),
        };
        return Err(format!("`{name}` must be {range}, found {number}"));
    }
    Ok(())
}

/// Says why a text is none of the choices.
pub(crate) fn in_choices(name: &str, value: &Value, choices: &[&str]) -> Result<(), String> {
    match value {
        Value::Text(text) if !choices.is_empty() && !choices.contains(&&**text) => {
            Err(format!("`{name}` must be one of {}, found `{text}`", list(choices)))
        }
        _ => Ok(()),
    }
}
