//! `lumina-graph cache explain`: why a node would run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lumina_engine::{Cause, Explanation, Reason};
use serde_json::{Value, json};

use super::{Context, Loaded, recipes};
use crate::arguments::ExplainArguments;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::messages::{answer, bytes};

/// Nodes on the way to a first cause that are shown before and behind what is left out.
const SHOWN: usize = 4;

pub(super) fn explain(context: &Context, arguments: &ExplainArguments) -> Exit {
    match show(context, arguments) {
        Ok(()) => Exit::Ok,
        Err(failure) => failure.end(arguments.json),
    }
}

fn show(context: &Context, arguments: &ExplainArguments) -> Result<(), Failure> {
    if context.engine.cache().disk.is_none() {
        return Err(Failure::new(Exit::Usage, "no cache folder is given")
            .help(["use `--cache-dir DIR`, or set `LUMINA_GRAPH_CACHE`"]));
    }
    let Loaded { world, document, mut checked } = context.load(&arguments.graph, false, false)?;
    let graph = context.graph(&document, &mut checked, arguments.json)?;
    let name = &arguments.node;
    if !graph.names().any(|known| known == name) && graph.find(name).is_empty() {
        let message = format!("the graph has no output or node `{name}`");
        return Err(Failure::new(Exit::Usage, message).help(lumina_engine::suggest(name, graph.names())));
    }
    let explanations = context.engine.explain(&graph, &world, &recipes(&arguments.graph.graph), name);
    if arguments.json {
        let nodes: Vec<Value> = explanations.iter().map(explanation).collect();
        answer(&json!({"nodes": nodes}).to_string());
    } else {
        explanations.iter().flat_map(lines).for_each(|line| answer(&line));
    }
    Ok(())
}

/// A line for each reason.
fn lines(explanation: &Explanation) -> Vec<String> {
    let Explanation { node, would_run, reasons, causes, needed_by, .. } = explanation;
    let verb = if *would_run { "would run" } else { "would not run" };
    let line = |reason: &Reason| match reason {
        Reason::Upstream { node: source, .. } => {
            let cause = causes.iter().find(|cause| cause.first().is_some_and(|first| first.node == *source));
            format!("`{node}` {verb} {}", because(cause.map_or(&[], Vec::as_slice), reason))
        }
        Reason::Cached { since, bytes: size, cost } => {
            let since = since.and_then(age).map_or(String::new(), |age| format!(" for {age}"));
            let (size, cost) = (bytes(*size), cost.as_secs_f64());
            format!("`{node}` {verb} because {reason}{since}: {size}, made in {cost:.2} s")
        }
        _ => format!("`{node}` {verb} because {reason}"),
    };
    let mut lines: Vec<String> = Vec::new();
    for reason in reasons {
        // A source that feeds several inputs is told once.
        let line = line(reason);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    if let (Some(last), Some(consumer)) = (lines.last_mut(), needed_by)
        && reasons.iter().any(|reason| matches!(reason, Reason::NotStorable { .. }))
    {
        last.push_str(&format!("; `{consumer}` needs it"));
    }
    lines
}

/// "because `noise` would run because its `seed` changed: 0 -> 7", with the middle left out where it is long.
fn because(causes: &[Cause], otherwise: &Reason) -> String {
    let Some(last) = causes.last() else { return format!("because {otherwise}") };
    let mut words: Vec<String> = Vec::new();
    for (index, cause) in causes.iter().enumerate() {
        if index >= SHOWN && index + SHOWN < causes.len() {
            if index == SHOWN {
                words.push(format!("because of {} nodes more,", causes.len() - 2 * SHOWN));
            }
            continue;
        }
        let verb = if cause.would_run { "would run" } else { "changed" };
        words.push(format!("because `{}` {verb}", cause.node));
    }
    let reasons: Vec<String> = last.reasons.iter().map(ToString::to_string).collect();
    if !reasons.is_empty() {
        words.push(format!("because {}", reasons.join(", and ")));
    }
    words.join(" ")
}

/// The time since then, as people say it.
fn age(since: u64) -> Option<String> {
    let age = SystemTime::now().duration_since(UNIX_EPOCH + Duration::from_secs(since)).ok()?.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let unit = units.iter().find(|(seconds, _)| age >= *seconds);
    Some(unit.map_or(format!("{age} s"), |(seconds, unit)| format!("{} {unit}", age / seconds)))
}

fn explanation(explanation: &Explanation) -> Value {
    let Explanation { node, kind, would_run, reasons, causes, needed_by } = explanation;
    let causes: Vec<Vec<Value>> = causes
        .iter()
        .map(|chain| {
            let cause = |cause: &Cause| {
                json!({
                    "node": cause.node, "would_run": cause.would_run,
                    "reasons": cause.reasons.iter().map(reason).collect::<Vec<_>>(),
                })
            };
            chain.iter().map(cause).collect()
        })
        .collect();
    json!({
        "node": node, "kind": kind, "would_run": would_run,
        "reasons": reasons.iter().map(reason).collect::<Vec<_>>(),
        "causes": causes, "needed_by": needed_by,
    })
}

/// A reason with its code, its parts and its text.
fn reason(reason: &Reason) -> Value {
    let mut parts = match reason {
        Reason::Cached { since, bytes, cost } => {
            json!({"since": since, "bytes": bytes, "seconds": cost.as_secs_f64()})
        }
        Reason::Undecided { node } => json!({"node": node}),
        Reason::Fails { message } => json!({"message": message}),
        Reason::Kind { old, new } | Reason::Environment { old, new } => json!({"old": old, "new": new}),
        Reason::Version { old, new } | Reason::KeyVersion { old, new } => json!({"old": old, "new": new}),
        Reason::Thrifty { now } => json!({"now": now}),
        Reason::Literal { input, old, new } | Reason::Source { input, old, new } => {
            json!({"input": input, "old": old, "new": new})
        }
        Reason::Upstream { input, node } => json!({"input": input, "node": node}),
        Reason::File { path, old, new } => json!({"path": path, "old": old, "new": new}),
        Reason::NotStorable { types } => json!({"types": types}),
        Reason::FileGone { paths } => json!({"paths": paths}),
        Reason::NotNeeded
        | Reason::LeftOut
        | Reason::Control
        | Reason::CacheOff
        | Reason::CacheRefresh
        | Reason::NeverRan
        | Reason::NotKept
        | Reason::Removed => json!({}),
    };
    parts["code"] = reason.code().into();
    parts["text"] = reason.to_string().into();
    parts
}
