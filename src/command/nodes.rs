//! `lumina-graph nodes ls` and `lumina-graph nodes show`.

use lumina_engine::{Control, InputSpec, NodeSpec, Presence, Value, suggest};
use serde_json::json;

use super::Context;
use crate::arguments::NodesCommand;
use crate::exit::Exit;
use crate::messages::{answer, error};

pub(super) fn nodes(context: &Context, command: &NodesCommand) -> Exit {
    let registry = context.engine.registry();
    match command {
        NodesCommand::Ls { json: true } => {
            let kinds: Vec<_> = registry.kinds().map(|kind| as_json(&kind.spec)).collect();
            answer(&json!(kinds).to_string());
        }
        NodesCommand::Ls { json: false } => {
            let line = |spec: &NodeSpec| answer(&format!("{:<20} {}", spec.kind, spec.summary()));
            let decides = |spec: &NodeSpec| spec.control.is_some();
            registry.kinds().map(|kind| &kind.spec).filter(|spec| !decides(spec)).for_each(line);
            answer("\nDecide which nodes run, and how often");
            registry.kinds().map(|kind| &kind.spec).filter(|spec| decides(spec)).for_each(line);
        }
        NodesCommand::Show { kind, json } => match registry.get(kind) {
            Some(kind) if *json => answer(&as_json(&kind.spec).to_string()),
            Some(kind) => show(&kind.spec),
            None => {
                error(
                    &format!("no node kind is called `{kind}`"),
                    suggest(kind, registry.names()).as_deref(),
                );
                return Exit::Usage;
            }
        },
    }
    Exit::Ok
}

fn show(spec: &NodeSpec) {
    answer(&format!("{} (version {})\n\n{}", spec.kind, spec.version, spec.doc));
    if !spec.inputs.is_empty() {
        answer("\nInputs");
        for input in &spec.inputs {
            answer(&format!("  {}: {}{}\n      {}", input.name, input.ty, limits(input), input.doc));
        }
    }
    if spec.control == Some(Control::Graph) {
        answer(
            "  every parameter of the file, by its name\n\nOutputs\n  every output of the file, by its name",
        );
    } else {
        answer("\nOutputs");
    }
    for output in &spec.outputs {
        answer(&format!("  {}: {}\n      {}", output.name, output.ty, output.doc));
    }
    if !spec.example.is_empty() {
        answer(&format!("\nExample\n  {}", spec.example));
    }
}

fn limits(input: &InputSpec) -> String {
    let mut text = match &input.presence {
        Presence::Required => String::new(),
        Presence::Optional => ", optional".to_owned(),
        Presence::Default(value) => format!(", default {}", literal(value)),
    };
    match (input.min, input.max) {
        (Some(min), Some(max)) => text += &format!(", {min} to {max}"),
        (Some(min), None) => text += &format!(", at least {min}"),
        (None, Some(max)) => text += &format!(", at most {max}"),
        (None, None) => {}
    }
    if !input.choices.is_empty() {
        let choices: Vec<String> = input.choices.iter().map(|choice| format!("\"{choice}\"")).collect();
        text += &format!(", one of {}", choices.join(" "));
    }
    text
}

fn literal(value: &Value) -> String {
    format!("{value:?}")
}

fn as_json(spec: &NodeSpec) -> serde_json::Value {
    let input = |input: &InputSpec| {
        json!({
            "name": input.name, "type": input.ty.to_string(), "doc": input.doc,
            "required": input.presence == Presence::Required,
            "default": match &input.presence { Presence::Default(value) => Some(literal(value)), _ => None },
            "min": input.min, "max": input.max, "choices": input.choices,
        })
    };
    let inputs: Vec<_> = spec.inputs.iter().map(input).collect();
    let outputs: Vec<_> = spec
        .outputs
        .iter()
        .map(|output| json!({"name": output.name, "type": output.ty.to_string(), "doc": output.doc}))
        .collect();
    json!({
        "kind": spec.kind, "version": spec.version, "doc": spec.doc, "effect": spec.effect,
        "control": spec.control.is_some(),
        "inputs": inputs, "outputs": outputs, "example": spec.example,
    })
}
