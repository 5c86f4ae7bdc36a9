//! Whether what reaches a socket fits it, and what is known of it.

use crate::diagnostic::Code;
use crate::fact::Fact;
use crate::graph::{GraphNode, Input};
use crate::mistake::Mistake;
use crate::spec::InputSpec;
use crate::types::Type;
use crate::value::Value;

/// What is known of an input.
pub(crate) fn fact(input: &Input, nodes: &[GraphNode]) -> Option<Fact> {
    match input {
        Input::Absent | Input::Template(_) => None,
        Input::Value(value) => Some(Fact::constant(value.clone())),
        Input::Link { node, output } => nodes.get(*node)?.outputs.get(*output).cloned(),
        Input::Item { node, output, index } => {
            Some(item(nodes.get(*node)?.outputs.get(*output)?, Some(*index)))
        }
        Input::List(items) => {
            let item = items.first().and_then(|item| fact(item, nodes)).map_or(Type::Any, |fact| fact.ty);
            Some(Fact::of(Type::list(item)))
        }
    }
}

/// What is known of an item of a list.
pub(crate) fn item(list: &Fact, index: Option<usize>) -> Fact {
    match (&list.value, index, &list.ty) {
        (Some(Value::List(items)), Some(index), _) if index < items.len() => {
            Fact::constant(items[index].clone())
        }
        (_, _, Type::List(item)) => Fact::of((**item).clone()),
        _ => Fact::of(Type::Any),
    }
}

/// A value in the type of its socket, where that loses nothing.
pub(crate) fn coerced(input: Input, ty: &Type) -> Input {
    match input {
        Input::Value(value) => Input::Value(value.coerce(ty)),
        other => other,
    }
}

/// Why an input that came through parameters, branches or iterations does not fit its socket.
pub(crate) fn misfits(input: &Input, fact: Option<&Fact>, spec: &InputSpec) -> Option<Mistake> {
    let fact = fact?;
    let known = match input {
        Input::Value(value) => Some(value),
        _ => fact.value.as_ref(),
    };
    if !may_fit(&spec.ty, &fact.ty) {
        let message = format!("`{}` must be {}", spec.name, spec.ty);
        let label = turns_out(&fact.ty, known);
        return Some(Mistake::at(spec.name, message).code(Code::WrongType).label(label));
    }
    let (code, message) = spec.allows(known?).err()?;
    Some(Mistake::at(spec.name, message).code(code).label("not allowed"))
}

/// What came where something else is expected.
pub(crate) fn turns_out(ty: &Type, value: Option<&Value>) -> String {
    match value {
        Some(value @ (Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_))) => {
            format!("this turns out to be {ty}: {value:?}")
        }
        _ => format!("this turns out to be {ty}"),
    }
}

/// May a value of which only `given` is known be what a socket takes? An `Any` in it may be anything.
fn may_fit(ty: &Type, given: &Type) -> bool {
    match (ty, given) {
        (_, Type::Any) => true,
        (ty, Type::OneOf(given)) => given.iter().any(|given| may_fit(ty, given)),
        (Type::OneOf(types), given) => types.iter().any(|ty| may_fit(ty, given)),
        (Type::List(ty), Type::List(given)) => may_fit(ty, given),
        _ => ty.accepts(given),
    }
}
