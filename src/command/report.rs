//! What a run has come to, as text or JSON.

use std::collections::{BTreeMap, HashSet};

use lumina_engine::{Graph, Outcome, Refusal, Report, Value};
use serde_json::json;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::messages::{answer, bytes, error, say};

/// What the targets gave: `name` for a single output, `name.output` for several.
fn outputs(graph: &Graph, report: &Report) -> BTreeMap<String, serde_json::Value> {
    let mut outputs = BTreeMap::new();
    for (name, values) in &report.outputs {
        // A turn that a run has decided on is not in the graph as it was checked, but its node is.
        let declared = name.split('[').next().unwrap_or(name);
        let node = graph.position(name).or_else(|| graph.position(declared));
        let specs = node.map_or(&[][..], |node| &graph.nodes[node].kind.spec.outputs);
        for (index, value) in values.iter().enumerate() {
            let name = match specs.get(index) {
                Some(output) if values.len() > 1 => format!("{name}.{}", output.name),
                _ => name.clone(),
            };
            outputs.insert(name, as_json(value));
        }
    }
    outputs
}

/// A value as JSON: a scalar or a list as what it is, anything else as its type.
fn as_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Float(value) => json!(value),
        Value::Text(text) => json!(&**text),
        Value::Path(path) => json!(path.display().to_string()),
        Value::List(items) => items.iter().map(as_json).collect(),
        Value::Domain(_) => json!(value.ty().to_string()),
    }
}

/// What a value is as text: paths one a line, texts without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        other => paths(other).map_or_else(|| format!("{other:?}"), |paths| paths.join("\n")),
    }
}

/// The paths in a path or a list of paths.
fn paths(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Path(path) => Some(vec![path.display().to_string()]),
        Value::List(items) => items.iter().map(paths).collect::<Option<Vec<_>>>().map(|lists| lists.concat()),
        _ => None,
    }
}

/// The outputs by name, turns in their order: `saved[10]` comes after `saved[9]`.
fn in_turn(report: &Report) -> Vec<(&String, &[Value])> {
    let mut outputs: Vec<_> = report.outputs.iter().map(|(name, values)| (name, &**values)).collect();
    outputs.sort_by_cached_key(|(name, _)| {
        let (declared, turn) = name.split_once('[').unwrap_or((name, ""));
        let turn = turn.trim_end_matches(']').split(',').map(|number| number.parse().unwrap_or(0_u64));
        (declared.to_owned(), turn.collect::<Vec<u64>>())
    });
    outputs
}

/// Prints the outputs to the standard output, and what failed to the standard error.
pub(super) fn print_text(report: &Report, exit: Exit) {
    // A file may come out twice: of the node that wrote it, and through an output of the graph.
    let mut named: HashSet<String> = HashSet::new();
    for (name, values) in in_turn(report) {
        let files: Vec<String> = values.iter().filter_map(paths).flatten().collect();
        // Of a node that wrote files, the files are what matters.
        if files.is_empty() {
            values.iter().for_each(|value| answer(&format!("{name}: {}", plain(value))));
        }
        files.iter().filter(|file| named.insert((*file).clone())).for_each(|file| answer(file));
    }
    if let Some(refusal) = &report.refused {
        does_not_fit(refusal).tell();
    }
    for (name, cause) in report.failures() {
        error(&format!("node `{name}`: {cause}"), cause.help());
    }
    let mut blocked: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, outcome) in &report.nodes {
        if let Outcome::Blocked { by } = outcome {
            blocked.entry(by).or_default().push(format!("`{name}`"));
        }
    }
    for (by, names) in blocked {
        say(&format!("note: did not run because `{by}` failed: {}", names.join(", ")));
    }
    match exit {
        Exit::Interrupted => say("interrupted"),
        Exit::Partial => say("note: some outputs were made, others failed"),
        _ => {}
    }
}

/// Why a run does not begin.
pub(super) fn does_not_fit(refusal: &Refusal) -> Failure {
    let (needed, limit) = (bytes(refusal.needed), bytes(refusal.limit));
    let message =
        format!("the run would need about {needed} of memory for `{}`, and may use {limit}", refusal.node);
    let help = "`lumina-graph plan` shows what every node needs; `--memory-limit MIB` sets another limit";
    Failure::new(Exit::OutOfMemory, message).help(Some(help.to_owned()))
}

/// Prints the final object.
pub(super) fn print_json(graph: &Graph, report: &Report, exit: Exit) {
    let outputs = outputs(graph, report);
    let failed: BTreeMap<&str, String> =
        report.failures().into_iter().map(|(name, cause)| (name, cause.to_string())).collect();
    let result = json!({
        "event": "done", "ok": exit == Exit::Ok, "exit_code": exit as u8, "outputs": outputs,
        "refused": report.refused.as_ref().map(|refusal| {
            json!({"needed_bytes": refusal.needed, "limit_bytes": refusal.limit, "node": refusal.node})
        }),
        "ran": report.ran(), "cached": report.cached(), "failed": failed, "interrupted": report.interrupted,
    });
    answer(&result.to_string());
}
