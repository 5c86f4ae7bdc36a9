//! The values of the graph's parameters: set from outside, or their defaults.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::unknown_override;
use crate::diagnostic::{Code, Diagnostic};
use crate::document::{Document, Expression, ParamDeclaration};
use crate::source::{Span, Spanned};
use crate::suggest::{list, suggest};
use crate::types::Type;
use crate::value::Value;

/// The parameters of a graph with their values.
pub(super) struct Params<'d> {
    document: &'d Document,
    params: HashMap<&'d str, Param<'d>>,
    used: RefCell<BTreeSet<String>>,
}

pub(super) struct Param<'d> {
    pub(super) declaration: &'d ParamDeclaration,
    /// `None` when it has no value or a wrong one, which is reported already or will be when it is used.
    pub(super) value: Option<Value>,
    /// Its value was set from outside.
    pub(super) overridden: bool,
}

impl<'d> Params<'d> {
    pub(super) fn read(
        document: &'d Document,
        overrides: &[&(String, String)],
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let names: Vec<&str> = document.params.iter().map(|param| param.name.value.as_str()).collect();
        for (name, _) in overrides {
            if !names.contains(&name.as_str()) {
                let inputs = "an input of a node is set as `node.input`";
                diagnostics.push(
                    unknown_override(name, "the graph has no such parameter", names.iter().copied())
                        .help(inputs),
                );
            }
        }
        let params = document.params.iter().map(|declaration| {
            let set = overrides.iter().rev().find(|(name, _)| *name == declaration.name.value);
            let value = match set {
                Some((_, text)) => overridden(declaration, text, diagnostics),
                None => default(declaration, diagnostics),
            };
            (declaration.name.value.as_str(), Param { declaration, value, overridden: set.is_some() })
        });
        Self { document, params: params.collect(), used: RefCell::default() }
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

    pub(super) fn without_value(param: &Param<'_>, span: Span) -> Diagnostic {
        let name = &param.declaration.name.value;
        Diagnostic::new(Code::MissingInput, span, format!("the parameter `{name}` has no value"))
            .label("used here")
            .related(param.declaration.name.span, "declared without a default")
            .help(format!("give it a `default`, or set it with `--set {name}=...`"))
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

/// A scalar as plain text: what `--set` takes and path templates show.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        Value::Path(path) => path.display().to_string(),
        other => format!("{other:?}"),
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

fn overridden(
    declaration: &ParamDeclaration,
    text: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Value> {
    let name = &declaration.name.value;
    let result = read_scalar(&declaration.ty, text)
        .ok_or_else(|| format!("`{name}` must be {}, found `{text}`", declaration.ty))
        .and_then(|value| allowed(declaration, &value).map(|()| value).map_err(|(_, message)| message));
    match result {
        Ok(value) => Some(value),
        Err(message) => {
            let message = format!("`--set {name}={text}`: {message}");
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

/// Says why a number is outside a range.
pub(super) fn in_range(name: &str, value: &Value, min: Option<f64>, max: Option<f64>) -> Result<(), String> {
    let number = match value {
        Value::Int(value) => *value as f64,
        Value::Float(value) => *value,
        _ => return Ok(()),
    };
    if number.is_nan() || min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) {
        let range = match (min, max) {
            (Some(min), Some(max)) => format!("between {min} and {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => "a number".to_owned(),
        };
        return Err(format!("`{name}` must be {range}, found {number}"));
    }
    Ok(())
}

/// Says why a text is none of the choices.
pub(super) fn in_choices(name: &str, value: &Value, choices: &[&str]) -> Result<(), String> {
    match value {
        Value::Text(text) if !choices.is_empty() && !choices.contains(&&**text) => {
            Err(format!("`{name}` must be one of {}, found `{text}`", list(choices)))
        }
        _ => Ok(()),
    }
}
