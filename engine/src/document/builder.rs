//! Graphs from Rust code: written as the text they would have as a file, so that messages have places too.

use std::fmt::Write;

use super::{CacheMode, Expression};
use crate::source::Source;

/// Builds the text of a graph.
///
/// ```
/// use lumina_engine::{GraphBuilder, link};
/// let graph = GraphBuilder::new("answer")
///     .node("left", "math.constant", |node| node.with("value", 40))
///     .node("sum", "math.add", |node| node.with("a", link("left")).with("b", 2));
/// assert!(graph.to_ron().contains("Link(\"left\")"));
/// ```
#[derive(Clone, Debug)]
pub struct GraphBuilder {
    name: String,
    about: String,
    params: String,
    nodes: String,
    outputs: String,
}

/// Collects what is said of one node.
#[derive(Clone, Debug, Default)]
pub struct NodeBuilder {
    inputs: String,
    cache: CacheMode,
}

impl GraphBuilder {
    /// An empty graph; the name stands for the file name in messages and output paths.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            about: String::new(),
            params: String::new(),
            nodes: String::new(),
            outputs: String::new(),
        }
    }

    /// What the graph is for.
    pub fn about(mut self, about: impl Into<String>) -> Self {
        self.about = about.into();
        self
    }

    /// Declares a parameter with the type of its default.
    pub fn param(mut self, name: &str, default: impl Into<Expression>) -> Self {
        let default = default.into();
        let ty = match default {
            Expression::Bool(_) => "Bool",
            Expression::Int(_) => "Int",
            Expression::Float(_) => "Float",
            Expression::Text(_) | Expression::List(_) | Expression::Param(_) | Expression::Link { .. } => {
                "Text"
            }
        };
        self.params += &format!("        {}: {ty}(default: {}),\n", quote(name), write_expression(&default));
        self
    }

    /// Adds a node.
    pub fn node(mut self, name: &str, kind: &str, inputs: impl FnOnce(NodeBuilder) -> NodeBuilder) -> Self {
        let NodeBuilder { inputs, cache } = inputs(NodeBuilder::default());
        let cache = match cache {
            CacheMode::On => String::new(),
            other => format!(", cache: {}", other.name()),
        };
        self.nodes +=
            &format!("        {}: Node(kind: {}, with: {{{inputs}}}{cache}),\n", quote(name), quote(kind));
        self
    }

    /// Adds to what the graph gives: to a run, and to a graph that includes it.
    pub fn output(mut self, name: &str, value: impl Into<Expression>) -> Self {
        self.outputs += &format!("        {}: {},\n", quote(name), write_expression(&value.into()));
        self
    }

    /// The graph as a file.
    pub fn to_ron(&self) -> String {
        let Self { about, params, nodes, outputs, .. } = self;
        let about = quote(about);
        let outputs = match outputs.is_empty() {
            true => String::new(),
            false => format!("    outputs: {{\n{outputs}    }},\n"),
        };
        format!(
            "Graph(\n    format: 1,\n    about: {about},\n    params: {{\n{params}    }},\n    nodes: {{\n{nodes}    }},\n{outputs})\n"
        )
    }

    /// The graph as a source that can be parsed.
    pub fn source(&self) -> Source {
        Source::new(format!("{}.ron", self.name), self.to_ron())
    }
}

impl NodeBuilder {
    /// Gives an input a literal, a [`link`] or a [`param`].
    pub fn with(mut self, input: &str, value: impl Into<Expression>) -> Self {
        self.inputs += &format!("{}: {}, ", quote(input), write_expression(&value.into()));
        self
    }

    /// Says how the outputs of the node are kept.
    pub fn cache(mut self, mode: CacheMode) -> Self {
        self.cache = mode;
        self
    }
}

/// A link to the only output of a node, or to `node.output`.
pub fn link(target: &str) -> Expression {
    match target.split_once('.') {
        Some((node, output)) => Expression::Link { node: node.into(), output: Some(output.into()) },
        None => Expression::Link { node: target.into(), output: None },
    }
}

/// The value of a parameter.
pub fn param(name: &str) -> Expression {
    Expression::Param(name.into())
}

pub(super) fn quote(text: &str) -> String {
    // RON escapes are those of Rust but for `\'`, which `escape_debug` would write.
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '\'' => quoted.push('\''),
            other => quoted.extend(other.escape_debug()),
        }
    }
    quoted + "\""
}

pub(super) fn write_expression(expression: &Expression) -> String {
    match expression {
        Expression::Bool(value) => value.to_string(),
        Expression::Int(value) => value.to_string(),
        Expression::Float(value) => format!("{value:?}"),
        Expression::Text(value) => quote(value),
        Expression::List(items) => {
            let mut text = String::from("[");
            for item in items {
                let _ = write!(text, "{}, ", write_expression(&item.value));
            }
            text + "]"
        }
        Expression::Param(name) => format!("Param({})", quote(name)),
        Expression::Link { node, output: None } => format!("Link({})", quote(node)),
        Expression::Link { node, output: Some(output) } => {
            format!("Link({})", quote(&format!("{node}.{output}")))
        }
    }
}

impl From<bool> for Expression {
    fn from(value: bool) -> Self {
        Expression::Bool(value)
    }
}

impl From<i64> for Expression {
    fn from(value: i64) -> Self {
        Expression::Int(value)
    }
}

impl From<i32> for Expression {
    fn from(value: i32) -> Self {
        Expression::Int(value.into())
    }
}

impl From<f64> for Expression {
    fn from(value: f64) -> Self {
        Expression::Float(value)
    }
}

impl From<&str> for Expression {
    fn from(value: &str) -> Self {
        Expression::Text(value.into())
    }
}

impl From<String> for Expression {
    fn from(value: String) -> Self {
        Expression::Text(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::parse;

    #[test]
    fn outputs_and_ways_to_keep_values_are_written() {
        let graph = GraphBuilder::new("g")
            .node("a", "k", |node| node.with("x", 1).cache(CacheMode::ReadOnly))
            .node("b", "k", |node| node)
            .output("all", link("a.out"));
        let (document, diagnostics) = parse(graph.source());
        assert_eq!(diagnostics, []);
        assert_eq!((document.nodes[0].cache, document.nodes[1].cache), (CacheMode::ReadOnly, CacheMode::On));
        assert_eq!(document.outputs[0].1.value, link("a.out"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_survives_being_written_and_read(text in "\\PC*", number in proptest::num::f64::NORMAL) {
            let graph = GraphBuilder::new("g").about(text.clone()).node("a", "k", |node| {
                node.with("text", text.clone()).with("number", number)
            });
            let (document, diagnostics) = parse(graph.source());
            proptest::prop_assert_eq!(diagnostics, vec![]);
            proptest::prop_assert_eq!(&document.about, &text);
            proptest::prop_assert_eq!(&document.nodes[0].inputs[0].1.value, &Expression::Text(text));
            proptest::prop_assert_eq!(&document.nodes[0].inputs[1].1.value, &Expression::Float(number));
        }
    }
}
