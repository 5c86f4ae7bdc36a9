//! A graph file as it is written: names, literals and links with their places, nothing looked up yet.

mod builder;
mod diff;
mod dot;
mod fragment;
mod parse;
mod reference;
mod restore;
mod scanner;

pub use builder::{GraphBuilder, NodeBuilder, link, param};
pub use diff::{Difference, diff};
pub use dot::dot;
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
}

/// A parameter: a named value that the command line may set.
#[derive(Clone, Debug)]
pub struct ParamDeclaration {
    /// Its name.
    pub name: Spanned<String>,
    /// The whole `Type(...)`.
    pub span: Span,
    /// Its type: a scalar; [`Type::Any`] when the file names none that exists, which is reported.
    pub ty: Type,
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
    /// A parameter of which only name and type are known.
    fn of(name: Spanned<String>, span: Span, ty: Type) -> Self {
        Self {
            name,
            span,
            ty,
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
