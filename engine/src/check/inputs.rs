//! What every socket of every node gets.

use std::collections::HashSet;
use std::sync::Arc;

use super::compose::{Composition, Named};
use super::expression::{Resolver, Site, read_list};
use super::params::read_scalar;
use super::{Draft, Origin, unknown_override};
use crate::diagnostic::{Code, Diagnostic};
use crate::document::{Expression, NodeDeclaration};
use crate::graph::Input;
use crate::registry::Kind;
use crate::source::Spanned;
use crate::spec::{InputSpec, Presence};
use crate::suggest::suggest;

/// `--set node.input=value`.
pub(super) struct Override<'a> {
    name: &'a str,
    pub(super) node: &'a str,
    pub(super) input: &'a str,
    pub(super) value: &'a str,
    /// It met an input.
    pub(super) used: bool,
}

impl<'a> Override<'a> {
    pub(super) fn new(name: &'a str, value: &'a str) -> Self {
        let (node, input) = name.split_once('.').unwrap_or((name, ""));
        Override { name, node, input, value, used: false }
    }
}

impl<'a> Resolver<'a> {
    /// A node with its inputs; `None` when its kind is unknown.
    pub(super) fn node(&mut self, index: usize) -> Option<Draft> {
        let declared = &self.composition.nodes[index];
        let declaration = self.composition.declaration(index)?;
        let params = &self.params[declared.part];
        // What a node mentions is used, also where the node is wrong or an override stands in its place.
        declaration.inputs.iter().for_each(|(_, expression)| params.mention(&expression.value));
        let Some(kind) = self.registry.get(&declaration.kind.value).map(Arc::clone) else {
            self.unknown_kind(&declaration.kind);
            return None;
        };
        self.report_unknown(declaration, &kind);
        let site = Site { part: declared.part, node: &declared.name };
        let mut inputs = Vec::with_capacity(kind.spec.inputs.len());
        let mut origins = Vec::with_capacity(kind.spec.inputs.len());
        for spec in &kind.spec.inputs {
            let (input, origin) = self.input(declaration, &kind, spec, site);
            origins.push(Origin { unresolved: input.is_none(), ..origin });
            inputs.push(input.unwrap_or(Input::Absent));
        }
        let cache = declaration.cache;
        Some(Draft {
            name: declared.name.clone(),
            kind,
            inputs,
            origins,
            cache,
            declaration: index,
            sweep: None,
        })
    }

    fn unknown_kind(&mut self, kind: &Spanned<String>) {
        let found = &kind.value;
        self.diagnostics.push(
            Diagnostic::new(Code::UnknownKind, kind.span, format!("no node kind is called `{found}`"))
                .label("unknown kind")
                .maybe_help(suggest(found, self.registry.names()))
                .help("`lumina-graph nodes ls` lists all kinds"),
        );
    }

    fn report_unknown(&mut self, declaration: &NodeDeclaration, kind: &Kind) {
        for (name, _) in &declaration.inputs {
            if !kind.spec.inputs.iter().any(|input| input.name == name.value) {
                let message = format!("`{}` has no input `{}`", kind.spec.kind, name.value);
                self.diagnostics.push(
                    Diagnostic::new(Code::UnknownInput, name.span, message)
                        .label("unknown input")
                        .maybe_help(suggest(&name.value, kind.spec.inputs.iter().map(|input| input.name))),
                );
            }
        }
    }

    /// An input, `None` when it could not be resolved, and where it came from.
    fn input(
        &mut self,
        declaration: &NodeDeclaration,
        kind: &Kind,
        spec: &InputSpec,
        site: Site<'_>,
    ) -> (Option<Input>, Origin) {
        let given = declaration.inputs.iter().find(|(name, _)| name.value == spec.name);
        let param = match given {
            Some((_, Spanned { value: Expression::Param(name), .. })) => Some(name.clone()),
            _ => None,
        };
        let set = self.overrides.iter_mut().rev().find(|set| set.node == site.node && set.input == spec.name);
        if let Some(set) = set {
            set.used = true;
            let (name, value) = (set.name, set.value);
            let origin = Origin { set: Some(name.to_owned()), ..Origin::default() };
            return (self.overridden("set", name, value, spec, site), origin);
        }
        let none = Origin::default();
        if let Some((name, value)) = self.everywhere.iter().find(|(name, _)| name == spec.name) {
            return (self.overridden("set", name, value, spec, site), none);
        }
        match (given, &spec.presence) {
            (Some((_, expression)), _) => {
                let origin = Origin { param, ..Origin::default() };
                (self.expression(expression, spec, &spec.ty, site), origin)
            }
            (None, Presence::Optional) => (Some(Input::Absent), none),
            (None, Presence::Default(value)) => {
                // A default with a placeholder that does not exist is a mistake of the node kind: it stays as it is.
                let expanded = self.templated(value.clone(), spec, site);
                (Some(expanded.unwrap_or_else(|_| Input::Value(value.clone()))), none)
            }
            (None, Presence::Required) => {
                let message = format!("`{}` needs the input `{}`", kind.spec.kind, spec.name);
                self.diagnostics.push(
                    Diagnostic::new(Code::MissingInput, declaration.kind.span, message)
                        .label(format!("`{}` is missing", spec.name))
                        .help(format!("`{}` is {}: {}", spec.name, spec.ty, spec.doc)),
                );
                (None, none)
            }
        }
    }

    /// The value of an input that was set on the command line with the flag `--set` or `--sweep`.
    pub(super) fn overridden(
        &mut self,
        flag: &str,
        name: &str,
        text: &str,
        spec: &InputSpec,
        site: Site<'_>,
    ) -> Option<Input> {
        let result = read_list(&spec.ty, text)
            .or_else(|| read_scalar(&spec.ty, text))
            .ok_or_else(|| format!("`{}` must be {}, found `{text}`", spec.name, spec.ty))
            .and_then(|value| spec.allows(&value).map(|()| value).map_err(|(_, message)| message))
            .and_then(|value| self.templated(value, spec, site).map_err(|bad| bad.to_string()));
        result
            .map_err(|message| {
                let message = format!("`--{flag} {name}={text}`: {message}");
                self.diagnostics.push(Diagnostic::without_place(Code::BadOverride, message));
            })
            .ok()
    }

    /// Hands over what was found, and reports overrides that met no input.
    pub(super) fn finish(mut self, diagnostics: &mut Vec<Diagnostic>) {
        for set in self.overrides.iter().filter(|set| !set.used) {
            let position = self.composition.nodes.iter().position(|node| node.name == set.node);
            let diagnostic = match position.and_then(|position| self.composition.declaration(position)) {
                None => {
                    let graphs =
                        self.composition.parts[1..].iter().map(|part| part.prefix.trim_end_matches('/'));
                    let names = graphs.chain(self.composition.nodes.iter().map(|node| node.name.as_str()));
                    unknown_override(set.name, "the graph has no such node", names)
                }
                Some(declaration) => {
                    let kind = self.registry.get(&declaration.kind.value);
                    let inputs = kind.map_or(&[][..], |kind| &kind.spec.inputs);
                    unknown_override(
                        set.name,
                        "the node has no such input",
                        inputs.iter().map(|input| input.name),
                    )
                }
            };
            self.diagnostics.push(diagnostic);
        }
        // An output of a graph is looked at wherever something links to it.
        let mut seen = HashSet::new();
        let is_new = |found: &Diagnostic| seen.insert((found.code, found.span, found.message.clone()));
        self.diagnostics.retain(is_new);
        diagnostics.append(&mut self.diagnostics);
    }
}

/// What `source` stands for in a part, and what it might have been.
pub(super) fn lookup<'c>(
    composition: &'c Composition<'_>,
    part: usize,
    source: &str,
) -> Result<Named, impl Iterator<Item = &'c str>> {
    let part = &composition.parts[part];
    match part.names.get(source) {
        Some(named) => Ok(*named),
        None => Err(part.document.nodes.iter().map(|node| node.name.value.as_str())),
    }
}
