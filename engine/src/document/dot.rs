//! A graph as a picture description for Graphviz.

use std::fmt::Write;

use super::{Document, Expression};

/// The nodes with their kinds, and an arrow for every link, labelled with the input it feeds.
pub fn dot(document: &Document) -> String {
    let mut text =
        format!("digraph {} {{\n    rankdir=LR;\n    node [shape=box];\n", quote(&document.source.stem()));
    for node in &document.nodes {
        let label = format!("{}\n{}", node.name.value, node.kind.value);
        let _ = writeln!(text, "    {} [label={}];", quote(&node.name.value), quote(&label));
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
    text + "}\n"
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
}
