//! The values of the graph's parameters: set from outside, or their defaults.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::unknown_override;
use crate::diagnostic::{Code, Diagnostic};
use crate::document::{Document, Expression, NodeDeclaration, ParamDeclaration};
use crate::registry::Registry;
use crate::source::{Span, Spanned};
use crate::spec::{in_choices, in_range};
use crate::suggest::suggest;
use crate::template::plain;
use crate::types::Type;
use crate::value::Value;

/// The parameters of a part with their values.
pub(super) struct Params<'d> {
    document: &'d Document,
    params: HashMap<&'d str, Param<'d>>,
    used: RefCell<BTreeSet<String>>,
    is_root: bool,
}

pub(super) struct Param<'d> {
    pub(super) declaration: &'d ParamDeclaration,
    /// `None` when it has no value or a wrong one, which is reported already or will be when it is used.
    pub(super) value: Option<Value>,
    /// What it stands for instead of a value.
    pub(super) stands_for: Option<StandsFor<'d>>,
    /// Its value was set from outside.
    pub(super) overridden: bool,
}

/// What a parameter may stand for instead of a value.
#[derive(Clone, Copy)]
pub(super) enum StandsFor<'d> {
    /// What the including graph gave it: an expression of that part with links in it.
    Linked { part: usize, expression: &'d Spanned<Expression> },
    /// One value after the other: an output of a sweep.
    Swept { sweep: usize, output: usize },
}

/// What is given to the parameters of a part.
pub(super) struct Given<'a> {
    /// Values from the command line, by parameter.
    pub(super) set: Vec<(&'a str, &'a str)>,
    /// What the parameters' names begin with on the command line: nothing, or `upscale.`.
    pub(super) prefix: String,
    /// Parameters that are swept, with the sweep and its output.
    pub(super) swept: Vec<(&'a str, usize, usize)>,
}

impl<'d> Params<'d> {
    /// The parameters of the graph file itself.
    pub(super) fn of_root(
        document: &'d Document,
        given: &Given<'_>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let names: Vec<&str> = document.params.iter().map(|param| param.name.value.as_str()).collect();
        for (name, _) in &given.set {
            if !names.contains(name) {
                let inputs = "an input of a node is set as `node.input`";
                diagnostics.push(
                    unknown_override(name, "the graph has no such parameter", names.iter().copied())
                        .help(inputs),
                );
            }
        }
        Self::read(document, given, diagnostics, true, &mut |declaration, diagnostics| {
            (default(declaration, diagnostics), None)
        })
    }

    /// The parameters of an included graph: what the node that includes it gives, or their defaults.
    pub(super) fn of_included(
        document: &'d Document,
        node: &'d NodeDeclaration,
        outer: (usize, &Params<'d>),
        given: &Given<'_>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        for (name, _) in node.inputs.iter().filter(|(name, _)| name.value != "path") {
            if !document.params.iter().any(|param| param.name.value == name.value) {
                let message =
                    format!("`{}` has no parameter `{}`", document.source.path().display(), name.value);
                diagnostics.push(
                    Diagnostic::new(Code::UnknownInput, name.span, message)
                        .label("unknown parameter")
                        .maybe_help(suggest(
                            &name.value,
                            document.params.iter().map(|param| param.name.value.as_str()),
                        )),
                );
            }
        }
        for (name, _) in &given.set {
            let names = document.params.iter().map(|param| param.name.value.as_str());
            if !names.clone().any(|known| known == *name) {
                let name = format!("{}{name}", given.prefix);
                diagnostics.push(unknown_override(&name, "the graph has no such parameter", names));
            }
        }
        Self::read(document, given, diagnostics, false, &mut |declaration, diagnostics| {
            let bound = node.inputs.iter().find(|(name, _)| name.value == declaration.name.value);
            match bound {
                Some((_, expression)) => bind(declaration, expression, outer, diagnostics),
                None if declaration.default.is_some() => (default(declaration, diagnostics), None),
                None => {
                    let name = &declaration.name.value;
                    let message =
                        format!("`{}` needs the parameter `{name}`", document.source.path().display());
                    diagnostics.push(
                        Diagnostic::new(Code::MissingInput, node.kind.span, message)
                            .label(format!("`{name}` is missing"))
                            .related(declaration.name.span, "declared here"),
                    );
                    (None, None)
                }
            }
        })
    }

    fn read(
        document: &'d Document,
        given: &Given<'_>,
        diagnostics: &mut Vec<Diagnostic>,
        is_root: bool,
        value: &mut Read<'_, 'd>,
    ) -> Self {
        let params = document.params.iter().map(|declaration| {
            let name = declaration.name.value.as_str();
            let set = given.set.iter().rev().find(|(set, _)| *set == name);
            let swept = given.swept.iter().find(|(swept, ..)| *swept == name);
            let (value, stands_for) = match (set, swept) {
                (_, Some((_, sweep, output))) => {
                    (None, Some(StandsFor::Swept { sweep: *sweep, output: *output }))
                }
                (Some((_, text)), None) => {
                    let name = format!("{}{name}", given.prefix);
                    (overridden(("set", &name), declaration, text, diagnostics), None)
                }
                (None, None) => value(declaration, diagnostics),
            };
            (name, Param { declaration, value, stands_for, overridden: set.is_some() || swept.is_some() })
        });
        let params = params.collect();
        Self { document, params, used: RefCell::default(), is_root }
    }

    /// Remembers that the parameters in an expression are used. Lists nest at most as deep as the file format lets them.
    pub(super) fn mention(&self, expression: &Expression) {
        match expression {
            Expression::Param(name) => {
                self.used.borrow_mut().insert(name.clone());
            }
            Expression::List(items) => items.iter().for_each(|item| self.mention(&item.value)),
            _ => {}
        }
    }

    /// Looks a parameter up and remembers that it is used.
    pub(super) fn get(&self, name: &str) -> Option<&Param<'d>> {
        let param = self.params.get(name)?;
        self.used.borrow_mut().insert(name.to_owned());
        Some(param)
    }

    pub(super) fn unknown(&self, name: &str, span: Span) -> Diagnostic {
        Diagnostic::new(Code::UnknownParam, span, format!("the graph declares no parameter `{name}`"))
            .label("unknown parameter")
            .maybe_help(suggest(name, self.document.params.iter().map(|param| param.name.value.as_str())))
    }

    fn without_value(param: &Param<'_>, span: Span) -> Diagnostic {
        let name = &param.declaration.name.value;
        Diagnostic::new(Code::MissingInput, span, format!("the parameter `{name}` has no value"))
            .label("used here")
            .related(param.declaration.name.span, "declared without a default")
            .help(match &param.declaration.flows {
                None => format!("give it a `default`, or set it with `--set {name}=...`"),
                Some(_) => {
                    "an `Input` gets its value from a graph that includes this one: `Node(kind: \"graph\", ...)`"
                        .to_owned()
                }
            })
    }

    /// Reports parameters of types that no node kind knows.
    pub(super) fn check_types(&self, registry: &Registry, diagnostics: &mut Vec<Diagnostic>) {
        for flows in self.document.params.iter().filter_map(|param| param.flows.as_ref()) {
            let known = registry.type_names();
            if !known.contains(&flows.value) {
                let message = format!("no type is called `{}`", flows.value);
                diagnostics.push(
                    Diagnostic::new(Code::WrongType, flows.span, message)
                        .label("unknown type")
                        .maybe_help(suggest(&flows.value, known.iter().map(String::as_str))),
                );
            }
        }
    }

    /// Reports a parameter that is used and has no value, unless that is reported where it stands: a wrong type, default
    /// or override.
    pub(super) fn lacking(&self, param: &Param<'_>, span: Span) -> Option<Diagnostic> {
        let has_type = param.declaration.ty != Type::Any || param.declaration.flows.is_some();
        let is_open = has_type && param.declaration.default.is_none() && !param.overridden;
        // A parameter of an included graph that is not given is reported at the node that includes it.
        (is_open && self.is_root).then(|| Self::without_value(param, span))
    }

    pub(super) fn warn_unused(&self, diagnostics: &mut Vec<Diagnostic>) {
        let used = self.used.borrow();
        let names = self.document.params.iter().map(|param| &param.name);
        for Spanned { value: name, span } in names.filter(|name| !used.contains(&name.value)) {
            diagnostics.push(
                Diagnostic::new(Code::UnusedParam, *span, format!("no node uses the parameter `{name}`"))
                    .label("unused"),
            );
        }
    }

    /// Every parameter as it would be written in a graph.
    pub(super) fn resolved(&self) -> BTreeMap<String, String> {
        let known = self.params.iter().filter_map(|(name, param)| Some((*name, param.value.as_ref()?)));
        known.map(|(name, value)| (name.to_owned(), plain(value))).collect()
    }
}

fn default(declaration: &ParamDeclaration, diagnostics: &mut Vec<Diagnostic>) -> Option<Value> {
    let Spanned { value: expression, span } = declaration.default.as_ref()?;
    let value = match expression {
        Expression::Bool(value) => Value::Bool(*value),
        Expression::Int(value) => Value::Int(*value),
        Expression::Float(value) => Value::Float(*value),
        Expression::Text(value) => Value::text(value.as_str()),
        Expression::List(_) | Expression::Param(_) | Expression::Link { .. } => {
            let message =
                format!("the default of a parameter is a plain value, not {}", expression.describe());
            diagnostics.push(Diagnostic::new(Code::WrongType, *span, message).label("not a plain value"));
            return None;
        }
    };
    if !declaration.ty.accepts(&value.ty()) {
        let message = format!("the default of `{}` must be {}", declaration.name.value, declaration.ty);
        let label = format!("this is {}", expression.describe());
        diagnostics.push(Diagnostic::new(Code::WrongType, *span, message).label(label));
        return None;
    }
    let value = value.coerce(&declaration.ty);
    match allowed(declaration, &value) {
        Ok(()) => Some(value),
        Err((code, message)) => {
            diagnostics.push(Diagnostic::new(code, *span, message).label("not allowed"));
            None
        }
    }
}

/// How the value of a parameter that is not set from outside is found.
type Read<'a, 'd> =
    dyn FnMut(&'d ParamDeclaration, &mut Vec<Diagnostic>) -> (Option<Value>, Option<StandsFor<'d>>) + 'a;

/// The value of a parameter that an including graph gives.
fn bind<'d>(
    declaration: &'d ParamDeclaration,
    expression: &'d Spanned<Expression>,
    (part, outer): (usize, &Params<'d>),
    diagnostics: &mut Vec<Diagnostic>,
) -> (Option<Value>, Option<StandsFor<'d>>) {
    outer.mention(&expression.value);
    let span = expression.span;
    let value = match &expression.value {
        Expression::Bool(value) => Value::Bool(*value),
        Expression::Int(value) => Value::Int(*value),
        Expression::Float(value) => Value::Float(*value),
        Expression::Text(value) => Value::text(value.as_str()),
        Expression::Link { .. } | Expression::List(_) => {
            return (None, Some(StandsFor::Linked { part, expression }));
        }
        Expression::Param(name) => match outer.get(name) {
            None => {
                diagnostics.push(outer.unknown(name, span));
                return (None, None);
            }
            Some(Param { stands_for: Some(stands_for), .. }) => return (None, Some(*stands_for)),
            Some(Param { value: Some(value), .. }) => value.clone(),
            Some(param) => {
                diagnostics.extend(outer.lacking(param, span));
                return (None, None);
            }
        },
    };
    let name = &declaration.name.value;
    if let Some(flows) = &declaration.flows {
        let message = format!("`{name}` must be {}, which only a link can give", flows.value);
        let label = format!("this is {}", expression.value.describe());
        diagnostics.push(
            Diagnostic::new(Code::WrongType, span, message).label(label).related(flows.span, "declared here"),
        );
        return (None, None);
    }
    if !declaration.ty.accepts(&value.ty()) {
        let message = format!("`{name}` must be {}", declaration.ty);
        let label = format!("this is {}", value.ty());
        diagnostics.push(
            Diagnostic::new(Code::WrongType, span, message)
                .label(label)
                .related(declaration.name.span, "declared here"),
        );
        return (None, None);
    }
    let value = value.coerce(&declaration.ty);
    match allowed(declaration, &value) {
        Ok(()) => (Some(value), None),
        Err((code, message)) => {
            diagnostics.push(
                Diagnostic::new(code, span, message)
                    .label("not allowed")
                    .related(declaration.name.span, "declared here"),
            );
            (None, None)
        }
    }
}

/// Reads a value that the command line gives a parameter, with a flag (`set` or `sweep`) and what stands behind it.
pub(super) fn overridden(
    (flag, given): (&str, &str),
    declaration: &ParamDeclaration,
    text: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Value> {
    let name = &declaration.name.value;
    let result = read_scalar(&declaration.ty, text)
        .filter(|_| declaration.flows.is_none())
        .ok_or_else(|| format!("`{name}` must be {}, found `{text}`", declaration.type_name()))
        .and_then(|value| allowed(declaration, &value).map(|()| value).map_err(|(_, message)| message));
    match result {
        Ok(value) => Some(value),
        Err(message) => {
            let message = format!("`--{flag} {given}={text}`: {message}");
            diagnostics.push(Diagnostic::without_place(Code::BadOverride, message));
            None
        }
    }
}

/// Reads a scalar of a type from plain text.
pub(super) fn read_scalar(ty: &Type, text: &str) -> Option<Value> {
    match ty {
        Type::Text => Some(Value::text(text)),
        Type::Path => Some(Value::path(Path::new(text))),
        Type::Int => text.trim().parse().ok().map(Value::Int),
        Type::Float => text.trim().parse().ok().filter(|value: &f64| value.is_finite()).map(Value::Float),
        Type::Bool => text.trim().parse().ok().map(Value::Bool),
        Type::OneOf(types) => types.iter().find_map(|ty| read_scalar(ty, text)),
        Type::Any => {
            [Type::Int, Type::Float, Type::Bool, Type::Text].iter().find_map(|ty| read_scalar(ty, text))
        }
        Type::List(_) | Type::Domain(_) => None,
    }
}

fn allowed(declaration: &ParamDeclaration, value: &Value) -> Result<(), (Code, String)> {
    let name = &declaration.name.value;
    in_range(name, value, declaration.min, declaration.max).map_err(|message| (Code::OutOfRange, message))?;
    let choices: Vec<&str> = declaration.choices.iter().map(String::as_str).collect();
    in_choices(name, value, &choices).map_err(|message| (Code::NotAChoice, message))
}
