//! A graph file with the values of a run written into it: run again, it gives the same.

use super::builder::quote;
use super::inline::{Inlining, apply, set_values};
use super::parse::parse_literal;
use super::{CacheMode, Document, NodeDeclaration, ParamDeclaration, format};
use crate::provenance::Provenance;
use crate::registry::Registry;
use crate::source::{Source, Span, Spanned};
use crate::types::Type;

/// The text of a document with the parameters and overrides of a run as its own values. Everything else, comments
/// included, stays as it is. What the run set but the document does not have is left out.
///
/// Graphs that it includes are written into it, so that it runs without their files: the node `latent` of `upscale` becomes
/// `upscale_latent`.
pub fn restore(document: &Document, provenance: &Provenance, registry: &Registry) -> String {
    let mut edits: Vec<(Span, String)> = Vec::new();
    for param in &document.params {
        if let Some(value) = provenance.params.get(&param.name.value) {
            edits.push(set_default(document, param, &literal(&param.ty, value)));
        }
    }
    let mut overridden = Vec::new();
    for node in &document.nodes {
        let set = set_values(&format!("{}.", node.name.value), node, provenance, registry);
        overridden.extend(set_inputs(node, &set));
    }
    let mut inlining = Inlining::new(document, provenance, registry);
    if inlining.is_needed() {
        let spans: Vec<Span> = overridden.iter().map(|(span, _)| *span).collect();
        edits.extend(inlining.edits(&spans));
    }
    edits.extend(overridden);
    let text = document.source.text();
    let restored = apply(text, 0..text.len(), edits);
    if !inlining.is_needed() {
        return restored;
    }
    // Nodes of other files stand in it with the indentation they had there.
    format(&Source::new(document.source.path(), restored.as_str())).unwrap_or(restored)
}

fn set_default(document: &Document, param: &ParamDeclaration, value: &str) -> (Span, String) {
    if let Some(Spanned { span, .. }) = &param.default {
        return (*span, value.to_owned());
    }
    let declared = document.source.slice(param.span);
    match declared.find('(') {
        Some(at) => {
            let place = param.span.start + at + 1;
            (Span::new(place, place), format!("default: {value}, "))
        }
        None => (Span::new(param.span.end, param.span.end), format!("(default: {value})")),
    }
}

pub(super) fn set_inputs(node: &NodeDeclaration, set: &[(&str, String)]) -> Vec<(Span, String)> {
    let given = |input: &str| node.inputs.iter().find(|(name, _)| name.value == input);
    let mut edits = Vec::new();
    let mut added = String::new();
    for (input, value) in set {
        match given(input) {
            Some((_, expression)) => edits.push((expression.span, value.clone())),
            None => added += &format!("{}: {value}, ", quote(input)),
        }
    }
    match (added.is_empty(), node.inputs.first()) {
        (true, _) => {}
        (false, Some((first, _))) => edits.push((Span::new(first.span.start, first.span.start), added)),
        (false, None) => {
            let cache = match node.cache {
                CacheMode::On => String::new(),
                other => format!(", cache: {}", other.name()),
            };
            let kind = quote(&node.kind.value);
            edits.push((node.span, format!("Node(kind: {kind}, with: {{ {added}}}{cache})")));
        }
    }
    edits
}

pub(super) fn literal(ty: &Type, value: &str) -> String {
    let is_number = || value.parse::<f64>().is_ok();
    let is_list = || value.trim_start().starts_with('[') && parse_literal(value).is_some();
    match ty {
        Type::List(_) => value.to_owned(),
        Type::OneOf(types) if is_list() && types.iter().any(|ty| matches!(ty, Type::List(_))) => {
            value.to_owned()
        }
        Type::Int | Type::Float | Type::Bool => value.to_owned(),
        Type::OneOf(types) if is_number() && types.iter().any(|ty| matches!(ty, Type::Int | Type::Float)) => {
            value.to_owned()
        }
        _ => quote(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::parse;

    #[test]
    fn parameters_become_defaults_and_comments_stay() {
        let text = r#"Graph(format: 1, params: { // what to draw
            "prompt": Text(default: "a fox"), "seed": Int(min: 0), "bare": Int,
        }, nodes: {})"#;
        let (document, _) = parse(Source::new("a.ron", text));
        let mut provenance = Provenance::default();
        for (name, value) in [("prompt", "an \"owl\""), ("seed", "7"), ("bare", "1"), ("gone", "2")] {
            provenance.params.insert(name.into(), value.into());
        }
        let restored = restore(&document, &provenance, &Registry::new());
        assert!(restored.contains(r#"Text(default: "an \"owl\"")"#) && restored.contains("// what to draw"));
        assert!(restored.contains("Int(default: 7, min: 0)") && restored.contains("Int(default: 1)"));
        assert_eq!(parse(Source::new("b.ron", restored)).1, []);
    }
}
