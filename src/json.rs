//! Events and diagnostics as JSON, one object a line. Field names and event names are only ever added.

use std::path::Path;

use lumina_engine::{Diagnostic, Event, Events, Source};
use serde_json::{Value, json};

use crate::messages::answer;

/// Prints events as JSON lines.
pub(crate) struct JsonEvents;

impl Events for JsonEvents {
    fn event(&self, event: &Event) {
        answer(&describe(event).to_string());
    }
}

fn describe(event: &Event) -> Value {
    match event {
        Event::RunStarted { nodes } => json!({"event": "run_started", "nodes": nodes}),
        Event::RunRefused { needed, limit, node } => {
            json!({"event": "run_refused", "needed_bytes": needed, "limit_bytes": limit, "node": node})
        }
        Event::NodeThrifty { node, how } => json!({"event": "node_thrifty", "node": node, "how": how}),
        Event::CacheShrunk { bytes } => json!({"event": "cache_shrunk", "bytes": bytes}),
        Event::NodeStarted { node, kind } => json!({"event": "node_started", "node": node, "kind": kind}),
        Event::NodeProgress { node, done, total, unit } => {
            json!({"event": "node_progress", "node": node, "done": done, "total": total, "unit": unit})
        }
        Event::NodeWarning { node, message } => {
            json!({"event": "node_warning", "node": node, "message": message})
        }
        Event::NodeCached { node } => json!({"event": "node_cached", "node": node}),
        Event::NodeFinished { node, elapsed } => {
            json!({"event": "node_finished", "node": node, "seconds": elapsed.as_secs_f64()})
        }
        Event::NodeFailed { node, message } => {
            json!({"event": "node_failed", "node": node, "message": message})
        }
        Event::NodeBlocked { node, by } => json!({"event": "node_blocked", "node": node, "by": by}),
        Event::NodeInterrupted { node } => json!({"event": "node_interrupted", "node": node}),
        Event::NodeSkipped { node } => json!({"event": "node_skipped", "node": node}),
        Event::Written { node, path } => json!({"event": "written", "node": node, "path": path}),
        Event::Preview { node, step, picture } => json!({
            "event": "preview", "node": node, "step": step, "width": picture.width, "height": picture.height
        }),
        Event::RunFinished { ran, cached, failed, blocked, elapsed } => json!({
            "event": "run_finished", "ran": ran, "cached": cached, "failed": failed, "blocked": blocked,
            "seconds": elapsed.as_secs_f64()
        }),
        other => json!({"event": "other", "text": format!("{other:?}")}),
    }
}

/// Prints a preview with the file that it was written to.
pub(crate) fn preview(event: &Event, path: &Path) {
    let mut described = describe(event);
    described["path"] = json!(path.display().to_string());
    answer(&described.to_string());
}

/// A diagnostic with its place as file, line and column.
pub(crate) fn diagnostic(sources: &[Source], diagnostic: &Diagnostic) -> Value {
    let source = diagnostic.span.map_or(sources.first(), |span| sources.get(span.file as usize));
    let place = diagnostic.span.zip(source).map(|(span, source)| source.position(span.start));
    json!({
        "event": "diagnostic",
        "code": diagnostic.code.text(),
        "severity": if diagnostic.is_error() { "error" } else { "warning" },
        "message": diagnostic.message,
        "file": source.map(|source| source.path().display().to_string()),
        "line": place.map(|(line, _)| line),
        "column": place.map(|(_, column)| column),
        "help": diagnostic.help,
    })
}
