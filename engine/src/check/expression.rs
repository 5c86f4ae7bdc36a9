//! Literals, parameters and links looked up and converted.

use super::compose::{Composition, Named};
use super::inputs::{Override, lookup};
use super::params::{Param, Params, StandsFor};
use crate::diagnostic::{Code, Diagnostic};
use crate::document::{Expression, parse_literal};
use crate::graph::Input;
use crate::registry::Registry;
use crate::source::{Span, Spanned};
use crate::spec::InputSpec;
use crate::suggest::{list, suggest};
use crate::template::{BadTemplate, Piece, split};
use crate::types::Type;
use crate::value::Value;

pub(super) struct Resolver<'a> {
    pub(super) composition: &'a Composition<'a>,
    pub(super) registry: &'a Registry,
    /// One for each part.
    pub(super) params: &'a [Params<'a>],
    pub(super) overrides: Vec<Override<'a>>,
    pub(super) everywhere: &'a [(String, String)],
    pub(super) diagnostics: Vec<Diagnostic>,
    /// How many parameters and outputs of included graphs an expression went through.
    pub(super) depth: usize,
}

/// More than any composition of files needs: an output of a graph that is its own input goes round for ever.
const LONGEST_WAY: usize = 100;

/// Where an expression stands.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    /// The part whose names it uses.
    pub(super) part: usize,
    /// The whole name of the node.
    pub(super) node: &'a str,
}

impl Resolver<'_> {
    /// What an expression gives an input of type `ty`. `None` when something is wrong, which is reported.
    pub(super) fn expression(
        &mut self,
        expression: &Spanned<Expression>,
        spec: &InputSpec,
        ty: &Type,
        site: Site<'_>,
    ) -> Option<Input> {
        let span = expression.span;
        let value = match &expression.value {
            Expression::Bool(value) => Value::Bool(*value),
            Expression::Int(value) => Value::Int(*value),
            Expression::Float(value) => Value::Float(*value),
            Expression::Text(value) => Value::text(value.as_str()),
            Expression::Param(name) => {
                let params = &self.params[site.part];
                let Some(param) = params.get(name) else {
                    self.diagnostics.push(params.unknown(name, span));
                    return None;
                };
                if let Some(stands_for) = param.stands_for {
                    return self.stand_in(stands_for, param, spec, ty, site, span);
                }
                let Some(value) = &param.value else {
                    self.diagnostics.extend(params.lacking(param, span));
                    return None;
                };
                if !ty.accepts(&value.ty()) {
                    let declared = param.declaration.name.span;
                    let label = format!("`{name}` is {}", value.ty());
                    let diagnostic = wrong_type(spec, ty, span, &label);
                    self.diagnostics.push(diagnostic.related(declared, "declared here"));
                    return None;
                }
                value.clone()
            }
            Expression::Link { node, output } => {
                return self.link(node, output.as_deref(), spec, ty, site, span);
            }
            Expression::List(items) => return self.list(items, spec, ty, span, site),
        };
        if !ty.accepts(&value.ty()) {
            let label = format!("this is {}", expression.value.describe());
            self.diagnostics.push(wrong_type(spec, ty, span, &label));
            return None;
        }
        self.literal(value.coerce(ty), spec, span, site)
    }

    /// A value that is written in the graph.
    fn literal(&mut self, value: Value, spec: &InputSpec, span: Span, site: Site<'_>) -> Option<Input> {
        if let Err((code, message)) = spec.allows(&value) {
            self.diagnostics.push(Diagnostic::new(code, span, message).label("not allowed"));
            return None;
        }
        match self.templated(value, spec, site) {
            Ok(input) => Some(input),
            Err(BadTemplate::NoValue) => None,
            Err(bad) => {
                self.diagnostics.push(
                    Diagnostic::new(Code::UnknownPlaceholder, span, bad.to_string())
                        .label("in this path")
                        .help("possible: `{graph}`, `{node}` and the graph's parameters; `{{` is a brace"),
                );
                None
            }
        }
    }

    /// A parameter that stands for something else than a value.
    fn stand_in(
        &mut self,
        stands_for: StandsFor<'_>,
        param: &Param<'_>,
        spec: &InputSpec,
        ty: &Type,
        site: Site<'_>,
        span: Span,
    ) -> Option<Input> {
        match stands_for {
            StandsFor::Linked { part, expression } => {
                self.deeper(span, |resolver| resolver.expression(expression, spec, ty, Site { part, ..site }))
            }
            StandsFor::Swept { sweep, output } => {
                let given = &param.declaration.ty;
                if !ty.accepts(given) {
                    let label = format!("`{}` is {given}", param.declaration.name.value);
                    self.diagnostics.push(wrong_type(spec, ty, span, &label));
                    return None;
                }
                Some(Input::Link { node: self.composition.nodes.len() + sweep, output })
            }
        }
    }

    /// Goes one parameter or output further, unless that has been done too often.
    fn deeper<T>(&mut self, span: Span, go: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth >= LONGEST_WAY {
            let message = "this goes round in a circle through the outputs of a graph";
            self.diagnostics.push(Diagnostic::new(Code::Cycle, span, message).label("in the circle"));
            return None;
        }
        self.depth += 1;
        let result = go(self);
        self.depth -= 1;
        result
    }

    /// Reads the placeholders of an output path; any other value stays as it is.
    pub(super) fn templated(
        &self,
        value: Value,
        spec: &InputSpec,
        site: Site<'_>,
    ) -> Result<Input, BadTemplate> {
        let Value::Path(path) = &value else { return Ok(Input::Value(value)) };
        if !spec.template {
            return Ok(Input::Value(value));
        }
        let graph = || self.composition.parts[0].document.source.stem();
        let pieces = split(&path.to_string_lossy(), |name| match name {
            "graph" => Ok(Piece::Hole(Input::Value(Value::text(graph())))),
            "node" => Ok(Piece::Node),
            _ => {
                let unknown = || BadTemplate::Unknown(name.to_owned());
                let param = self.params[site.part].get(name).ok_or_else(unknown)?;
                match (param.stands_for, &param.value) {
                    (Some(StandsFor::Swept { sweep, output }), _) => {
                        Ok(Piece::Hole(Input::Link { node: self.composition.nodes.len() + sweep, output }))
                    }
                    (Some(StandsFor::Linked { .. }), _) => Err(BadTemplate::Linked(name.to_owned())),
                    (None, Some(value)) => Ok(Piece::Hole(Input::Value(value.clone()))),
                    (None, None) => Err(BadTemplate::NoValue),
                }
            }
        })?;
        Ok(Input::Template(pieces.into()))
    }

    fn list(
        &mut self,
        items: &[Spanned<Expression>],
        spec: &InputSpec,
        ty: &Type,
        span: Span,
        site: Site<'_>,
    ) -> Option<Input> {
        let Some(item_type) = item_type(ty) else {
            self.diagnostics.push(wrong_type(spec, ty, span, "this is a list"));
            return None;
        };
        let inputs: Vec<Option<Input>> =
            items.iter().map(|item| self.expression(item, spec, &item_type, site)).collect();
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

    pub(super) fn link(
        &mut self,
        source: &str,
        output: Option<&str>,
        spec: &InputSpec,
        ty: &Type,
        site: Site<'_>,
        span: Span,
    ) -> Option<Input> {
        let position = match lookup(self.composition, site.part, source) {
            Ok(Named::Node(position)) => position,
            Ok(Named::Graph(part)) => {
                return self.output_of_graph(part?, source, output, spec, ty, site, span);
            }
            Err(candidates) => {
                let diagnostic = self.inside_a_graph(source, site, span).unwrap_or_else(|| {
                    Diagnostic::new(Code::UnknownNode, span, format!("no node is called `{source}`"))
                        .label("unknown node")
                        .maybe_help(suggest(source, candidates))
                });
                self.diagnostics.push(diagnostic);
                return None;
            }
        };
        // An unknown kind is reported at the node itself.
        let kind = self.registry.get(&self.composition.declaration(position)?.kind.value)?;
        let names: Vec<&str> = kind.spec.outputs.iter().map(|output| output.name).collect();
        let output = self.choose(source, output, &names, span)?;
        let given = &kind.spec.outputs[output].ty;
        // What an output of type Any really is shows later.
        if *given != Type::Any && !might_fit(ty, given) {
            let label = format!("`{source}.{}` is {given}", names[output]);
            self.diagnostics.push(wrong_type(spec, ty, span, &label));
            return None;
        }
        Some(Input::Link { node: position, output })
    }

    /// An output of an included graph: what its `outputs` say.
    #[expect(clippy::too_many_arguments, reason = "a link with the place it stands at")]
    fn output_of_graph(
        &mut self,
        part: usize,
        source: &str,
        output: Option<&str>,
        spec: &InputSpec,
        ty: &Type,
        site: Site<'_>,
        span: Span,
    ) -> Option<Input> {
        let outputs = &self.composition.parts[part].document.outputs;
        let names: Vec<&str> = outputs.iter().map(|(name, _)| name.value.as_str()).collect();
        let (name, expression) = &outputs[self.choose(source, output, &names, span)?];
        let known = self.diagnostics.len();
        let input =
            self.deeper(span, |resolver| resolver.expression(expression, spec, ty, Site { part, ..site }));
        // An output that is in order inside does not fit where the link stands.
        for diagnostic in &mut self.diagnostics[known..] {
            let does_not_fit =
                matches!(diagnostic.code, Code::WrongType | Code::OutOfRange | Code::NotAChoice);
            if does_not_fit && diagnostic.span == Some(expression.span) {
                diagnostic.span = Some(span);
                let label = format!("the output `{}` of `{source}`", name.value);
                let inner = std::mem::replace(&mut diagnostic.label, label);
                diagnostic.related.push((expression.span, inner));
            }
        }
        input
    }

    /// A name like `upscale/decode` is that of a node inside of a graph, which only this graph can link to.
    fn inside_a_graph(&self, source: &str, site: Site<'_>, span: Span) -> Option<Diagnostic> {
        let (graph, _) = source.split_once('/')?;
        let Some(Named::Graph(Some(part))) = self.composition.parts[site.part].names.get(graph) else {
            return None;
        };
        let outputs = &self.composition.parts[*part].document.outputs;
        let names: Vec<&str> = outputs.iter().map(|(name, _)| name.value.as_str()).collect();
        let message = format!("`{source}` is inside of the graph `{graph}`");
        let diagnostic =
            Diagnostic::new(Code::UnknownNode, span, message).label("cannot be linked to from here");
        Some(match names.is_empty() {
            true => diagnostic.help("a graph says what it gives in its field `outputs`"),
            false => diagnostic
                .help(format!("write `Link(\"{graph}.NAME\")` with one of its outputs: {}", list(&names))),
        })
    }

    /// The position of the output that a link means.
    fn choose(&mut self, source: &str, output: Option<&str>, names: &[&str], span: Span) -> Option<usize> {
        let chosen = match output {
            Some(name) => names.iter().position(|known| *known == name).ok_or_else(|| {
                Diagnostic::new(Code::UnknownOutput, span, format!("`{source}` has no output `{name}`"))
                    .label("unknown output")
                    .maybe_help(suggest(name, names.iter().copied()))
            }),
            None if names.len() == 1 => Ok(0),
            None if names.is_empty() => {
                let message = format!("`{source}` has no outputs");
                Err(Diagnostic::new(Code::UnknownOutput, span, message)
                    .label("nothing to link to")
                    .help("a graph says what it gives in its field `outputs`"))
            }
            None => Err(Diagnostic::new(
                Code::AmbiguousOutput,
                span,
                format!("`{source}` has {} outputs, say which one", names.len()),
            )
            .label("which output?")
            .help(format!("write `Link(\"{source}.NAME\")` with one of {}", list(names)))),
        };
        chosen.map_err(|diagnostic| self.diagnostics.push(diagnostic)).ok()
    }
}

fn wrong_type(spec: &InputSpec, ty: &Type, span: Span, label: &str) -> Diagnostic {
    Diagnostic::new(Code::WrongType, span, format!("`{}` must be {ty}", spec.name)).label(label)
}

/// May an output of type `given` turn out to fit? A list of anything may be a list of the right things.
fn might_fit(ty: &Type, given: &Type) -> bool {
    let is_open = |ty: &Type| matches!(ty, Type::List(item) if **item == Type::Any);
    match (ty, given) {
        (_, Type::OneOf(given)) => given.iter().all(|given| might_fit(ty, given)),
        (Type::OneOf(types), _) => types.iter().any(|ty| might_fit(ty, given)),
        (Type::List(_), _) if is_open(given) => true,
        _ => ty.accepts(given),
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
pub(super) fn read_list(ty: &Type, text: &str) -> Option<Value> {
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
