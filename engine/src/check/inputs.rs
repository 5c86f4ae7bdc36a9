//! What every socket gets: literals, parameters and links looked up and converted.

use std::collections::HashMap;
use std::sync::Arc;

use super::params::{Params, in_choices, in_range, read_scalar};
use super::template::{BadTemplate, expand};
use super::{Draft, Origin, positions, unknown_override};
use crate::diagnostic::{Code, Diagnostic};
use crate::document::{Document, Expression, NodeDeclaration, parse_literal};
use crate::fact::Fact;
use crate::graph::{GraphNode, Input};
use crate::registry::{Kind, Registry};
use crate::source::{Span, Spanned};
use crate::spec::{InputSpec, Presence};
use crate::suggest::{list, suggest};
use crate::types::Type;
use crate::value::Value;

pub(super) struct Resolver<'a> {
    document: &'a Document,
    registry: &'a Registry,
    params: &'a Params<'a>,
    positions: HashMap<&'a str, usize>,
    overrides: Vec<Override<'a>>,
    everywhere: &'a [(String, String)],
    diagnostics: Vec<Diagnostic>,
}

/// `--set node.input=value`.
struct Override<'a> {
    name: &'a str,
    node: &'a str,
    input: &'a str,
    value: &'a str,
    used: bool,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(
        document: &'a Document,
        registry: &'a Registry,
        params: &'a Params<'a>,
        overrides: &[&'a (String, String)],
        everywhere: &'a [(String, String)],
    ) -> Self {
        let split = |(name, value): &&'a (String, String)| {
            let (node, input) = name.split_once('.').unwrap_or((name, ""));
            Override { name, node, input, value, used: false }
        };
        Self {
            document,
            registry,
            params,
            positions: positions(document),
            overrides: overrides.iter().map(split).collect(),
            everywhere,
            diagnostics: Vec::new(),
        }
    }

    /// Hands over what was found, and reports overrides that met no input.
    pub(super) fn finish(mut self, diagnostics: &mut Vec<Diagnostic>) {
        for set in self.overrides.iter().filter(|set| !set.used) {
            let diagnostic = match self.positions.get(set.node) {
                None => unknown_override(set.name, "the graph has no such node", self.names()),
                Some(position) => {
                    let kind = self.registry.get(&self.document.nodes[*position].kind.value);
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
        diagnostics.append(&mut self.diagnostics);
    }

    /// The names of all nodes in the order of the file.
    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.document.nodes.iter().map(|node| node.name.value.as_str())
    }

    /// A node with its inputs; `None` when its kind is unknown.
    pub(super) fn node(&mut self, declaration: &NodeDeclaration) -> Option<Draft> {
        // What a node mentions is used, also where the node is wrong or an override stands in its place.
        declaration.inputs.iter().for_each(|(_, expression)| self.params.mention(&expression.value));
        let Some(kind) = self.registry.get(&declaration.kind.value).map(Arc::clone) else {
            let found = &declaration.kind.value;
            self.diagnostics.push(
                Diagnostic::new(
                    Code::UnknownKind,
                    declaration.kind.span,
                    format!("no node kind is called `{found}`"),
                )
                .label("unknown kind")
                .maybe_help(suggest(found, self.registry.names()))
                .help("`lumina-graph nodes ls` lists all kinds"),
            );
            return None;
        };
        self.report_unknown(declaration, &kind);
        let mut inputs = Vec::with_capacity(kind.spec.inputs.len());
        let mut origins = Vec::with_capacity(kind.spec.inputs.len());
        for spec in &kind.spec.inputs {
            let (input, origin) = self.input(declaration, &kind, spec);
            origins.push(Origin { unresolved: input.is_none(), ..origin });
            inputs.push(input.unwrap_or(Input::Absent));
        }
        let outputs = kind.spec.outputs.iter().map(|output| Fact::of(output.ty.clone())).collect();
        let name = declaration.name.value.clone();
        let node =
            GraphNode { name, kind, inputs, outputs, files: Vec::new(), working_bytes: 0, output_bytes: 0 };
        let declaration = self.positions[declaration.name.value.as_str()];
        Some(Draft { node, declaration, origins })
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
    ) -> (Option<Input>, Origin) {
        let node = &declaration.name.value;
        let given = declaration.inputs.iter().find(|(name, _)| name.value == spec.name);
        let param = match given {
            Some((_, Spanned { value: Expression::Param(name), .. })) => Some(name.clone()),
            _ => None,
        };
        let set = self.overrides.iter_mut().rev().find(|set| set.node == node && set.input == spec.name);
        if let Some(set) = set {
            set.used = true;
            let (name, value) = (set.name, set.value);
            let origin = Origin { set: Some(name.to_owned()), ..Origin::default() };
            return (self.overridden(name, value, spec, node), origin);
        }
        let none = Origin::default();
        if let Some((name, value)) = self.everywhere.iter().find(|(name, _)| name == spec.name) {
            return (self.overridden(name, value, spec, node), none);
        }
        match (given, &spec.presence) {
            (Some((_, expression)), _) => {
                let origin = Origin { param, ..Origin::default() };
                (self.expression(expression, spec, &spec.ty, node), origin)
            }
            (None, Presence::Optional) => (Some(Input::Absent), none),
            (None, Presence::Default(value)) => {
                // A default with a placeholder that does not exist is a mistake of the node kind: it stays as it is.
                let expanded = self.expanded(value.clone(), spec, node).unwrap_or_else(|_| value.clone());
                (Some(Input::Value(expanded)), none)
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

    /// The value of an input that was set on the command line.
    fn overridden(&mut self, name: &str, text: &str, spec: &InputSpec, node: &str) -> Option<Input> {
        let result = read_list(&spec.ty, text)
            .or_else(|| read_scalar(&spec.ty, text))
            .ok_or_else(|| format!("`{}` must be {}, found `{text}`", spec.name, spec.ty))
            .and_then(|value| in_range(spec.name, &value, spec.min, spec.max).map(|()| value))
            .and_then(|value| in_choices(spec.name, &value, spec.choices).map(|()| value))
            .and_then(|value| {
                self.expanded(value, spec, node).map_err(|bad| match bad {
                    BadTemplate::Unknown(name) => format!("nothing is called `{name}`"),
                    BadTemplate::Unbalanced => "a brace is not closed".to_owned(),
                    BadTemplate::NoValue => "a parameter in it has no value".to_owned(),
                })
            });
        match result {
            Ok(value) => Some(Input::Value(value)),
            Err(message) => {
                let message = format!("`--set {name}={text}`: {message}");
                self.diagnostics.push(Diagnostic::without_place(Code::BadOverride, message));
                None
            }
        }
    }

    /// `None` when something is wrong, which is reported.
    fn expression(
        &mut self,
        expression: &Spanned<Expression>,
        spec: &InputSpec,
        ty: &Type,
        node: &str,
    ) -> Option<Input> {
        let span = expression.span;
        let value = match &expression.value {
            Expression::Bool(value) => Value::Bool(*value),
            Expression::Int(value) => Value::Int(*value),
            Expression::Float(value) => Value::Float(*value),
            Expression::Text(value) => Value::text(value.as_str()),
            Expression::Param(name) => {
                let Some(param) = self.params.get(name) else {
                    self.diagnostics.push(self.params.unknown(name, span));
                    return None;
                };
                let Some(value) = &param.value else {
                    // A wrong type, default or override is reported where it stands.
                    let has_type = param.declaration.ty != Type::Any;
                    if has_type && param.declaration.default.is_none() && !param.overridden {
                        self.diagnostics.push(Params::without_value(param, span));
                    }
                    return None;
                };
                if !ty.accepts(&value.ty()) {
                    let declared = param.declaration.name.span;
                    let label = format!("`{name}` is {}", value.ty());
                    let diagnostic = self.wrong_type(spec, ty, span, &label);
                    self.diagnostics.push(diagnostic.related(declared, "declared here"));
                    return None;
                }
                value.clone()
            }
            Expression::Link { node: source, output } => {
                return self.link(source, output.as_deref(), spec, ty, span);
            }
            Expression::List(items) => return self.list(items, spec, ty, span, node),
        };
        if !ty.accepts(&value.ty()) {
            let label = format!("this is {}", expression.value.describe());
            let diagnostic = self.wrong_type(spec, ty, span, &label);
            self.diagnostics.push(diagnostic);
            return None;
        }
        let value = value.coerce(ty);
        let allowed = in_range(spec.name, &value, spec.min, spec.max)
            .map_err(|message| (Code::OutOfRange, message))
            .and_then(|()| {
                in_choices(spec.name, &value, spec.choices).map_err(|message| (Code::NotAChoice, message))
            });
        if let Err((code, message)) = allowed {
            self.diagnostics.push(Diagnostic::new(code, span, message).label("not allowed"));
            return None;
        }
        match self.expanded(value, spec, node) {
            Ok(value) => Some(Input::Value(value)),
            Err(BadTemplate::NoValue) => None,
            Err(bad) => {
                let message = match bad {
                    BadTemplate::Unknown(name) => format!("nothing is called `{name}` in this path"),
                    _ => "a brace in this path is not closed".to_owned(),
                };
                self.diagnostics.push(
                    Diagnostic::new(Code::UnknownPlaceholder, span, message)
                        .label("in this path")
                        .help("possible: `{graph}`, `{node}` and the graph's parameters; `{{` is a brace"),
                );
                None
            }
        }
    }

    fn expanded(&self, value: Value, spec: &InputSpec, node: &str) -> Result<Value, BadTemplate> {
        match &value {
            Value::Path(path) if spec.template => {
                let graph = self.document.source.stem();
                expand(&path.to_string_lossy(), &graph, node, self.params).map(Value::path)
            }
            _ => Ok(value),
        }
    }

    fn list(
        &mut self,
        items: &[Spanned<Expression>],
        spec: &InputSpec,
        ty: &Type,
        span: Span,
        node: &str,
    ) -> Option<Input> {
        let Some(item_type) = item_type(ty) else {
            let diagnostic = self.wrong_type(spec, ty, span, "this is a list");
            self.diagnostics.push(diagnostic);
            return None;
        };
        let inputs: Vec<Option<Input>> =
            items.iter().map(|item| self.expression(item, spec, &item_type, node)).collect();
        let inputs: Vec<Input> = inputs.into_iter().collect::<Option<_>>()?;
        let values: Option<Vec<Value>> = inputs
            .iter()
            .map(|input| if let Input::Value(value) = input { Some(value.clone()) } else { None })
            .collect();
        Some(match values {
            Some(values) => Input::Value(Value::List(values.into())),
            None => Input::List(inputs),
        })
    }

    fn link(
        &mut self,
        source: &str,
        output: Option<&str>,
        spec: &InputSpec,
        ty: &Type,
        span: Span,
    ) -> Option<Input> {
        let Some(position) = self.positions.get(source).copied() else {
            self.diagnostics.push(
                Diagnostic::new(Code::UnknownNode, span, format!("no node is called `{source}`"))
                    .label("unknown node")
                    .maybe_help(suggest(source, self.names())),
            );
            return None;
        };
        // An unknown kind is reported at the node itself.
        let kind = self.registry.get(&self.document.nodes[position].kind.value)?;
        let names: Vec<&str> = kind.spec.outputs.iter().map(|output| output.name).collect();
        let index = match output {
            Some(name) => kind.spec.output_index(name).ok_or_else(|| {
                Diagnostic::new(Code::UnknownOutput, span, format!("`{source}` has no output `{name}`"))
                    .label("unknown output")
                    .maybe_help(suggest(name, names.iter().copied()))
            }),
            None if names.len() == 1 => Ok(0),
            None => Err(Diagnostic::new(
                Code::AmbiguousOutput,
                span,
                format!("`{source}` has {} outputs, say which one", names.len()),
            )
            .label("which output?")
            .help(format!("write `Link(\"{source}.NAME\")` with one of {}", list(&names)))),
        };
        let output = match index {
            Ok(output) => output,
            Err(diagnostic) => {
                self.diagnostics.push(diagnostic);
                return None;
            }
        };
        let given = &kind.spec.outputs[output].ty;
        // What an output of type Any really is shows only when it runs.
        if *given != Type::Any && !ty.accepts(given) {
            let label = format!("`{source}.{}` is {given}", names[output]);
            let diagnostic = self.wrong_type(spec, ty, span, &label);
            self.diagnostics.push(diagnostic);
            return None;
        }
        Some(Input::Link { node: position, output })
    }

    fn wrong_type(&self, spec: &InputSpec, ty: &Type, span: Span, label: &str) -> Diagnostic {
        Diagnostic::new(Code::WrongType, span, format!("`{}` must be {ty}", spec.name)).label(label)
    }
}

/// The type of the items of a list that fits into a socket.
fn item_type(ty: &Type) -> Option<Type> {
    match ty {
        Type::List(item) => Some((**item).clone()),
        Type::OneOf(types) => types.iter().find_map(item_type),
        Type::Any => Some(Type::Any),
        _ => None,
    }
}

/// A list of plain values from text such as `["a", "b"]`, where the type is a list or may be one.
fn read_list(ty: &Type, text: &str) -> Option<Value> {
    let item = item_type(ty)?;
    let Expression::List(items) = parse_literal(text)? else { return None };
    let values = items.into_iter().map(|value| match value.value {
        Expression::Bool(value) => Some(Value::Bool(value)),
        Expression::Int(value) => Some(Value::Int(value)),
        Expression::Float(value) => Some(Value::Float(value)),
        Expression::Text(value) => Some(Value::text(value)),
        Expression::List(_) | Expression::Param(_) | Expression::Link { .. } => None,
    });
    let values =
        values.map(|value| value.filter(|value| item.accepts(&value.ty())).map(|value| value.coerce(&item)));
    Some(Value::List(values.collect::<Option<Vec<_>>>()?.into()))
}
