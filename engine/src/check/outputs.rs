//! Two nodes that write to the same path.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;

use super::compose::plain;
use super::place::Places;
use crate::diagnostic::{Code, Diagnostic};
use crate::graph::{GraphNode, Input};
use crate::source::Span;
use crate::value::Value;

/// Reports nodes whose output paths are the same.
pub(super) fn same(places: &Places<'_>, nodes: &[GraphNode], diagnostics: &mut Vec<Diagnostic>) {
    let mut first: HashMap<PathBuf, (Span, &str)> = HashMap::new();
    for node in nodes.iter().filter(|node| node.kind.spec.effect && !node.pending) {
        for (spec, input) in node.kind.spec.inputs.iter().zip(&node.inputs) {
            let Input::Value(Value::Path(path)) = input else { continue };
            if !spec.template {
                continue;
            }
            let Some(span) = places.input(node.declared, spec.name) else { continue };
            match first.entry(plain(path)) {
                Entry::Vacant(free) => drop(free.insert((span, &node.name))),
                Entry::Occupied(taken) => {
                    let (other, name) = taken.get();
                    // In an iteration both may stand at the same place.
                    let what = if *other == span { "turns" } else { "nodes" };
                    let message = format!("two {what} write to `{}`", path.display());
                    let diagnostic = Diagnostic::new(Code::SameOutput, span, message);
                    diagnostics.push(if *other == span {
                        diagnostic.label(format!("`{name}` and `{}`", node.name)).help(
                            "every turn needs a path of its own: one that is written in the graph gets the number of the turn",
                        )
                    } else {
                        diagnostic
                            .label("the second")
                            .related(*other, "the first")
                            .help("`{node}` in a path is the node's name")
                    });
                }
            }
        }
    }
}
