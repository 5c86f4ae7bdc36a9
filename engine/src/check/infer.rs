//! Asks every node, in order, what its outputs will be.

use super::Draft;
use super::order;
use super::params::Params;
use crate::diagnostic::Diagnostic;
use crate::document::Document;
use crate::fact::Fact;
use crate::graph::{GraphNode, Input};
use crate::inquiry::Inquiry;
use crate::mistake::Mistake;
use crate::source::Span;
use crate::types::Type;
use crate::world::World;

pub(super) fn infer(
    mut drafts: Vec<Draft>,
    document: &Document,
    world: &dyn World,
    params: &Params<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<GraphNode> {
    for index in 0..drafts.len() {
        let (before, rest) = drafts.split_at_mut(index);
        let draft = &mut rest[0];
        let names: Vec<&'static str> = draft.node.kind.spec.inputs.iter().map(|input| input.name).collect();
        let facts: Vec<Option<Fact>> = draft
            .node
            .inputs
            .iter()
            .zip(&draft.origins)
            .zip(&draft.node.kind.spec.inputs)
            .map(|((input, origin), spec)| match origin.unresolved {
                // What is unknown is carried: the node can still be asked about its other inputs.
                true => Some(Fact::of(spec.ty.clone())),
                false => fact(input, before),
            })
            .collect();
        let inquiry = Inquiry { names: &names, facts: &facts, world };
        match draft.node.kind.node.infer(&inquiry) {
            Ok(inference) => {
                for (known, fact) in draft.node.outputs.iter_mut().zip(inference.outputs) {
                    *known = fact;
                }
                let warnings = inference.warnings;
                draft.node.files = inference.files;
                draft.node.working_bytes = inference.memory.working;
                draft.node.output_bytes = inference.memory.kept;
                let place = Place { document, draft, params };
                diagnostics.extend(warnings.iter().map(|warning| place.diagnostic(warning)));
            }
            Err(mistakes) => {
                let place = Place { document, draft, params };
                diagnostics.extend(mistakes.iter().map(|mistake| place.diagnostic(mistake)));
            }
        }
    }
    drafts.into_iter().map(order::node).collect()
}

fn fact(input: &Input, before: &[Draft]) -> Option<Fact> {
    match input {
        Input::Absent => None,
        Input::Value(value) => Some(Fact::constant(value.clone())),
        Input::Link { node, output } => before.get(*node)?.node.outputs.get(*output).cloned(),
        Input::List(items) => {
            let item = items.first().and_then(|item| fact(item, before)).map_or(Type::Any, |fact| fact.ty);
            Some(Fact::of(Type::list(item)))
        }
    }
}

/// Where the inputs of a node stand in the file.
struct Place<'a> {
    document: &'a Document,
    draft: &'a Draft,
    params: &'a Params<'a>,
}

impl Place<'_> {
    fn diagnostic(&self, mistake: &Mistake) -> Diagnostic {
        let declaration = &self.document.nodes[self.draft.declaration];
        let span = mistake.input.as_ref().and_then(|input| self.span(input)).unwrap_or(declaration.kind.span);
        let mut diagnostic = Diagnostic::new(mistake.code, span, &*mistake.message).label(&*mistake.label);
        diagnostic.help.clone_from(&mistake.help);
        for (input, label) in &mistake.also {
            if let Some(span) = self.span(input) {
                diagnostic = diagnostic.related(span, &**label);
            }
        }
        if let Some(name) = mistake.input.as_ref().and_then(|input| self.set(input)) {
            return diagnostic.help(format!("the value comes from `--set {name}=...`"));
        }
        match mistake.input.as_ref().and_then(|input| self.param(input)) {
            Some((name, None)) => diagnostic.help(format!("the value comes from `--set {name}=...`")),
            Some((_, Some(default))) => diagnostic.related(default, "the value comes from here"),
            None => diagnostic,
        }
    }

    fn span(&self, input: &str) -> Option<Span> {
        let declaration = &self.document.nodes[self.draft.declaration];
        let (_, expression) = declaration.inputs.iter().find(|(name, _)| name.value == input)?;
        Some(expression.span)
    }

    /// The override an input came from.
    fn set(&self, input: &str) -> Option<String> {
        let index = self.draft.node.kind.spec.inputs.iter().position(|spec| spec.name == input)?;
        self.draft.origins.get(index)?.set.clone()
    }

    /// The parameter an input came from, with the place of its default unless it was set from outside.
    fn param(&self, input: &str) -> Option<(String, Option<Span>)> {
        let index = self.draft.node.kind.spec.inputs.iter().position(|spec| spec.name == input)?;
        let name = self.draft.origins.get(index)?.param.clone()?;
        let param = self.params.get(&name)?;
        let default = param.declaration.default.as_ref().map(|default| default.span);
        let span = if param.overridden { None } else { default };
        Some((name, span))
    }
}
