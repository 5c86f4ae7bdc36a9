//! What two graphs differ in, by name: order, white space and comments do not count.

use std::collections::BTreeMap;

use super::builder::{quote, write_expression};
use super::{CacheMode, Document, NodeDeclaration, ParamDeclaration};

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is about: `node latent`, `latent.solver`, `cache latent`, `parameter seed`, `output image`.
    pub place: String,
    /// What stands there in the first graph; `None` where there is nothing.
    pub before: Option<String>,
    /// What stands there in the second graph; `None` where there is nothing.
    pub after: Option<String>,
}

/// All differences, by place.
pub fn diff(before: &Document, after: &Document) -> Vec<Difference> {
    let (before, after) = (facts(before), facts(after));
    let mut places: Vec<&String> = before.keys().chain(after.keys()).collect();
    places.sort();
    places.dedup();
    places
        .into_iter()
        .filter(|place| before.get(*place) != after.get(*place))
        .map(|place| Difference {
            place: place.clone(),
            before: before.get(place).cloned(),
            after: after.get(place).cloned(),
        })
        .collect()
}

/// Everything a graph says, one fact a place.
fn facts(document: &Document) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::from([("about".to_owned(), document.about.clone())]);
    for param in &document.params {
        facts.insert(format!("parameter {}", param.name.value), describe_param(param));
    }
    for node in &document.nodes {
        facts.insert(format!("node {}", node.name.value), node.kind.value.clone());
        if node.cache != CacheMode::On {
            facts.insert(format!("cache {}", node.name.value), node.cache.name().to_owned());
        }
        facts.extend(inputs(node));
    }
    for (name, expression) in &document.outputs {
        facts.insert(format!("output {}", name.value), write_expression(&expression.value));
    }
    facts
}

fn inputs(node: &NodeDeclaration) -> impl Iterator<Item = (String, String)> + '_ {
    node.inputs.iter().map(|(name, expression)| {
        (format!("{}.{}", node.name.value, name.value), write_expression(&expression.value))
    })
}

fn describe_param(param: &ParamDeclaration) -> String {
    if let Some(flows) = &param.flows {
        return format!("Input(type: {})", quote(&flows.value));
    }
    let mut parts = Vec::new();
    parts.extend(
        param.default.as_ref().map(|default| format!("default: {}", write_expression(&default.value))),
    );
    parts.extend(param.min.map(|min| format!("min: {min}")));
    parts.extend(param.max.map(|max| format!("max: {max}")));
    if !param.choices.is_empty() {
        parts.push(format!("choices: {:?}", param.choices));
    }
    format!("{}({})", param.ty, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::parse;
    use crate::source::Source;

    fn document(text: &str) -> Document {
        parse(Source::new("g.ron", text)).0
    }

    #[test]
    fn only_what_is_said_counts() {
        let one = document(
            r#"Graph(format: 1, nodes: {"a": Node(kind: "k", with: {"x": 1, "y": 2}), "b": Node(kind: "k")})"#,
        );
        let same = document(
            "// moved\nGraph(format: 1, nodes: {\"b\": Node(kind: \"k\"), \"a\": Node(kind: \"k\", with: {\"y\": 2, \"x\": 1})})",
        );
        assert_eq!(diff(&one, &same), []);
        let other = document(
            r#"Graph(format: 1, params: {"p": Int(default: 1)}, nodes: {"a": Node(kind: "k", with: {"x": 3, "y": 2})})"#,
        );
        let places: Vec<String> = diff(&one, &other).into_iter().map(|difference| difference.place).collect();
        assert_eq!(places, ["a.x", "node b", "parameter p"]);
    }

    #[test]
    fn outputs_and_ways_to_keep_values_are_places_of_their_own() {
        let one = document(
            r#"Graph(format: 1, params: {"p": Input(type: "Latent")}, nodes: {"a": Node(kind: "k", cache: off)},
                outputs: {"x": Link("a"), "y": Param("p")})"#,
        );
        let other = document(
            r#"Graph(format: 1, params: {"p": Input(type: "Image")}, nodes: {"a": Node(kind: "k", cache: on)},
                outputs: {"x": Link("a.out"), "y": Param("p")})"#,
        );
        let text = |text: &str| Some(text.to_owned());
        let difference = |place: &str, before, after| Difference { place: place.to_owned(), before, after };
        assert_eq!(
            diff(&one, &other),
            [
                difference("cache a", text("off"), None),
                difference("output x", text("Link(\"a\")"), text("Link(\"a.out\")")),
                difference("parameter p", text("Input(type: \"Latent\")"), text("Input(type: \"Image\")")),
            ]
        );
    }
}
