//! A graph as a picture description for Graphviz.

use std::fmt::Write;

use super::{CacheMode, Document, Expression, NodeDeclaration};
use crate::check::GRAPH;

/// The nodes with their kinds, and an arrow for every link, labelled with the input it feeds. A node that stands for a
/// graph file has a shape of its own and names the file; the graph's outputs are ovals.
pub fn dot(document: &Document) -> String {
    let mut text =
        format!("digraph {} {{\n    rankdir=LR;\n    node [shape=box];\n", quote(&document.source.stem()));
    for node in &document.nodes {
        let shape = if node.kind.value == GRAPH { ", shape=component" } else { "" };
        let _ = writeln!(text, "    {} [label={}{shape}];", quote(&node.name.value), quote(&label(node)));
    }
    for node in &document.nodes {
        for (input, expression) in &node.inputs {
            for (source, output) in links(&expression.value) {
                let label = match output {
                    Some(output) => format!("{output} to {}", input.value),
                    None => input.value.clone(),
                };
                let (from, to) = (quote(source), quote(&node.name.value));
                let _ = writeln!(text, "    {from} -> {to} [label={}];", quote(&label));
            }
        }
    }
    for (name, expression) in &document.outputs {
        // No node can have this name: it has a space in it.
        let id = quote(&format!("output {}", name.value));
        let _ = writeln!(text, "    {id} [label={}, shape=oval];", quote(&name.value));
        for (source, output) in links(&expression.value) {
            let _ = match output {
                Some(output) => writeln!(text, "    {} -> {id} [label={}];", quote(source), quote(output)),
                None => writeln!(text, "    {} -> {id};", quote(source)),
            };
        }
    }
    text + "}\n"
}

/// What stands in the box of a node: its name, its kind, and what is particular about it.
fn label(node: &NodeDeclaration) -> String {
    let mut label = format!("{}\n{}", node.name.value, node.kind.value);
    let path = node.inputs.iter().find(|(name, _)| node.kind.value == GRAPH && name.value == "path");
    if let Some(Expression::Text(path)) = path.map(|(_, expression)| &expression.value) {
        let _ = write!(label, " {path}");
    }
    if node.cache != CacheMode::On {
        let _ = write!(label, "\ncache: {}", node.cache.name());
    }
    label
}

/// The nodes and outputs that an expression links to. Lists nest at most as deep as the file format lets them.
fn links(expression: &Expression) -> Vec<(&str, Option<&str>)> {
    match expression {
        Expression::Link { node, output } => vec![(node, output.as_deref())],
        Expression::List(items) => items.iter().flat_map(|item| links(&item.value)).collect(),
        _ => Vec::new(),
    }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::parse;
    use crate::source::Source;

    #[test]
    fn every_link_is_an_arrow() {
        let text = r#"Graph(format: 1, nodes: {
            "a": Node(kind: "k"), "b": Node(kind: "k", with: {"x": Link("a.out"), "y": [Link("a"), 1]}),
        })"#;
        let dot = dot(&parse(Source::new("g.ron", text)).0);
        assert!(
            dot.contains(r#""a" -> "b" [label="out to x"];"#) && dot.contains(r#""a" -> "b" [label="y"];"#)
        );
        assert_eq!(dot.matches("->").count(), 2);
    }

    #[test]
    fn parts_outputs_and_ways_to_keep_values_are_seen() {
        let text = r#"Graph(format: 1, nodes: {
            "up": Node(kind: "graph", with: {"path": "up.ron", "x": Link("a")}), "a": Node(kind: "k", cache: off),
        }, outputs: {"up": Link("up.image"), "all": [Link("a"), Link("up")]})"#;
        let dot = dot(&parse(Source::new("g.ron", text)).0);
        for line in [
            r#""up" [label="up\ngraph up.ron", shape=component];"#,
            r#""a" [label="a\nk\ncache: off"];"#,
            r#""output up" [label="up", shape=oval];"#,
            r#""up" -> "output up" [label="image"];"#,
            r#""a" -> "output all";"#,
        ] {
            assert!(dot.contains(line), "{line} is not in {dot}");
        }
        assert_eq!(dot.matches("->").count(), 4);
    }
}
