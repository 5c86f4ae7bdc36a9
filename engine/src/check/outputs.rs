//! Two nodes that write to the same path.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::Draft;
use crate::diagnostic::{Code, Diagnostic};
use crate::document::Document;
use crate::graph::Input;
use crate::source::Span;
use crate::value::Value;

/// Reports nodes whose output paths are the same.
pub(super) fn same(document: &Document, drafts: &[Draft], diagnostics: &mut Vec<Diagnostic>) {
    let mut first: HashMap<PathBuf, Span> = HashMap::new();
    for draft in drafts.iter().filter(|draft| draft.node.kind.spec.effect) {
        let declaration = &document.nodes[draft.declaration];
        for (spec, input) in draft.node.kind.spec.inputs.iter().zip(&draft.node.inputs) {
            let Input::Value(Value::Path(path)) = input else { continue };
            if !spec.template {
                continue;
            }
            let given = declaration.inputs.iter().find(|(name, _)| name.value == spec.name);
            let span = given.map_or(declaration.name.span, |(_, expression)| expression.span);
            if let Some(other) = first.get(&plain(path)) {
                let message = format!("two nodes write to `{}`", path.display());
                diagnostics.push(
                    Diagnostic::new(Code::SameOutput, span, message)
                        .label("the second")
                        .related(*other, "the first")
                        .help("`{node}` in a path is the node's name"),
                );
            } else {
                first.insert(plain(path), span);
            }
        }
    }
}

/// The path without `.` and `folder/..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(plain.components().next_back(), Some(Component::Normal(_))) => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}
