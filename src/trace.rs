//! `--trace FILE`: a run in Chrome's trace format, for `chrome://tracing` or Perfetto.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use lumina_engine::{Event, Events, World};
use serde_json::{Value, json};

/// Writes down events and passes them on.
pub(crate) struct Trace<'a> {
    next: &'a dyn Events,
    started: Instant,
    entries: Mutex<Vec<Value>>,
}

impl<'a> Trace<'a> {
    /// A trace that begins now.
    pub(crate) fn new(next: &'a dyn Events) -> Self {
        Self { next, started: Instant::now(), entries: Mutex::default() }
    }

    /// Writes what was noted into a file.
    pub(crate) fn write(self, path: &Path, world: &dyn World) -> std::io::Result<()> {
        let entries = self.entries.into_inner().unwrap_or_else(PoisonError::into_inner);
        world.write(path, json!({"traceEvents": entries, "displayTimeUnit": "ms"}).to_string().as_bytes())
    }

    fn entry(&self, event: &Event) -> Option<Value> {
        let now = self.started.elapsed().as_secs_f64() * 1e6;
        let mark =
            |phase: &str, name: &str| json!({"ph": phase, "name": name, "ts": now, "pid": 1, "tid": 1});
        Some(match event {
            Event::NodeStarted { node, kind } => {
                let mut entry = mark("B", node);
                entry["cat"] = json!(kind);
                entry
            }
            Event::NodeFinished { node, .. }
            | Event::NodeFailed { node, .. }
            | Event::NodeInterrupted { node } => mark("E", node),
            Event::NodeCached { node } => {
                let mut entry = mark("i", &format!("{node} cached"));
                entry["s"] = json!("t");
                entry
            }
            Event::NodeProgress { node, done, total, unit } => {
                let mut entry = mark("i", &format!("{node} {unit} {done}/{total}"));
                entry["s"] = json!("t");
                entry
            }
            _ => return None,
        })
    }
}

impl Events for Trace<'_> {
    fn event(&self, event: &Event) {
        if let Some(entry) = self.entry(event) {
            self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        }
        self.next.event(event);
    }
}
