//! A graph file as it is written: names, literals and links with their places, nothing looked up yet.

mod builder;
mod diff;
mod dot;
mod format;
mod fragment;
mod inline;
mod parse;
mod reference;
mod restore;
mod ruler;
mod scanner;
mod token;

pub use builder::{GraphBuilder, NodeBuilder, link, param};
pub use diff::{Difference, diff};
pub use dot::dot;
pub use format::format;
pub(crate) use parse::parse_literal;
pub use parse::{parse, parse_values};
pub use restore::restore;

use crate::source::{Source, Span, Spanned};
use crate::types::Type;

/// The format version that this engine reads.
pub const FORMAT: i64 = 1;

/// A graph file. Order is that of the file; the same name may still occur twice.
#[derive(Clone, Debug)]
pub struct Document {
    /// The text that everything below points into.
    pub source: Source,
    /// What the graph is for.
    pub about: String,
    /// Declared parameters.
    pub params: Vec<ParamDeclaration>,
    /// Nodes.
    pub nodes: Vec<NodeDeclaration>,
    /// What the graph gives: to a run, and to a graph that includes it.
    pub outputs: Values,
}

/// A parameter: a named value that the command line may set.
#[derive(Clone, Debug)]
pub struct ParamDeclaration {
    /// Its name.
    pub name: Spanned<String>,
    /// The whole `Type(...)`.
    pub span: Span,
    /// Its type: a scalar; [`Type::Any`] for an `Input`, and when the file names none that exists, which is reported.
    pub ty: Type,
    /// Of an `Input`, the type it names: one that only flows through links.
    pub flows: Option<Spanned<String>>,
    /// What it is for.
    pub about: String,
    /// Its value unless set; without one it has to be set.
    pub default: Option<Spanned<Expression>>,
    /// Smallest number allowed.
    pub min: Option<f64>,
    /// Largest number allowed.
    pub max: Option<f64>,
    /// The texts allowed; empty for all.
    pub choices: Vec<String>,
}

impl ParamDeclaration {
    /// The name of its type for messages.
    pub fn type_name(&self) -> String {
        self.flows.as_ref().map_or_else(|| self.ty.to_string(), |flows| flows.value.clone())
    }

    /// A parameter of which only name and type are known.
    fn of(name: Spanned<String>, span: Span, ty: Type) -> Self {
        Self {
            name,
            span,
            ty,
            flows: None,
            about: String::new(),
            default: None,
            min: None,
            max: None,
            choices: Vec::new(),
        }
    }
}

/// A node: a kind and what its inputs are given.
#[derive(Clone, Debug)]
pub struct NodeDeclaration {
    /// Its name in this graph.
    pub name: Spanned<String>,
    /// The whole `Node(...)`.
    pub span: Span,
    /// The kind, as registered.
    pub kind: Spanned<String>,
    /// Inputs by name.
    pub inputs: Values,
    /// How its outputs are kept.
    pub cache: CacheMode,
}

/// How the outputs of a node are kept in the caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// Taken from a cache, and kept there.
    #[default]
    On,
    /// Neither: the node runs in every run that needs it.
    Off,
    /// The node runs, and its outputs replace what was kept.
    Refresh,
    /// Taken from a cache where they are, and not kept there otherwise.
    ReadOnly,
}

impl CacheMode {
    /// Every mode with its name in graphs; the first is what holds unless something is said.
    pub const ALL: [(&'static str, CacheMode); 4] = [
        ("on", CacheMode::On),
        ("off", CacheMode::Off),
        ("refresh", CacheMode::Refresh),
        ("read_only", CacheMode::ReadOnly),
    ];

    /// Its name in graphs.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, mode)| *mode == self).map_or("on", |(name, _)| name)
    }

    /// May outputs be taken from a cache?
    pub(crate) fn reads(self) -> bool {
        matches!(self, CacheMode::On | CacheMode::ReadOnly)
    }

    /// May outputs be kept in a cache?
    pub(crate) fn writes(self) -> bool {
        matches!(self, CacheMode::On | CacheMode::Refresh)
    }
}

impl Document {
    /// Makes all places point into another file of a composition.
    pub(crate) fn move_to_file(&mut self, file: u32) {
        for param in &mut self.params {
            param.name.span.file = file;
            param.span.file = file;
            param.default.iter_mut().for_each(|default| default.move_to_file(file));
            param.flows.iter_mut().for_each(|flows| flows.span.file = file);
        }
        for node in &mut self.nodes {
            node.name.span.file = file;
            node.span.file = file;
            node.kind.span.file = file;
            move_values(&mut node.inputs, file);
        }
        move_values(&mut self.outputs, file);
    }
}

fn move_values(values: &mut Values, file: u32) {
    for (name, value) in values {
        name.span.file = file;
        value.move_to_file(file);
    }
}

impl Spanned<Expression> {
    /// Lists nest at most as deep as the file format lets them.
    fn move_to_file(&mut self, file: u32) {
        self.span.file = file;
        if let Expression::List(items) = &mut self.value {
            items.iter_mut().for_each(|item| item.move_to_file(file));
        }
    }
}

/// Values by name, in the order of the file.
pub type Values = Vec<(Spanned<String>, Spanned<Expression>)>;

/// What an input is given.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// `true`, `false`.
    Bool(bool),
    /// A number without a fraction.
    Int(i64),
    /// A number with one.
    Float(f64),
    /// A text in quotes.
    Text(String),
    /// `[a, b, c]`.
    List(Vec<Spanned<Expression>>),
    /// `Param("name")`.
    Param(String),
    /// `Link("node")` or `Link("node.output")`.
    Link {
        /// The node.
        node: String,
        /// The output; may be left out when the node has one.
        output: Option<String>,
    },
}

impl Expression {
    /// A few words for messages: `the number 3`.
    pub fn describe(&self) -> String {
        match self {
            Expression::Bool(value) => format!("`{value}`"),
            Expression::Int(value) => format!("the whole number {value}"),
            Expression::Float(value) => format!("the number {value}"),
            Expression::Text(_) => "a text".to_owned(),
            Expression::List(_) => "a list".to_owned(),
            Expression::Param(name) => format!("parameter `{name}`"),
            Expression::Link { node, .. } => format!("a link to `{node}`"),
        }
    }
}
