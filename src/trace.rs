//! `--trace FILE`: a run in Chrome's trace format, for `chrome://tracing` or Perfetto.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Instant;

use lumina_engine::{Event, Events, World};
use serde_json::{Value, json};

use crate::memory;

/// Writes down events and passes them on.
pub(crate) struct Trace<'a> {
    next: &'a dyn Events,
    started: Instant,
    notes: Mutex<Notes>,
}

/// What was written down.
#[derive(Default)]
struct Notes {
    entries: Vec<Value>,
    /// Small numbers for threads, in the order in which they appear.
    threads: HashMap<ThreadId, usize>,
    /// The thread on which each running node has begun.
    running: HashMap<String, usize>,
}

impl<'a> Trace<'a> {
    /// A trace that begins now.
    pub(crate) fn new(next: &'a dyn Events) -> Self {
        Self { next, started: Instant::now(), notes: Mutex::default() }
    }

    /// Writes what was noted into a file.
    pub(crate) fn write(self, path: &Path, world: &dyn World) -> std::io::Result<()> {
        let now = self.now();
        let notes = self.notes.into_inner().unwrap_or_else(PoisonError::into_inner);
        world.write(path, notes.finish(now).to_string().as_bytes())
    }

    /// Microseconds since the beginning.
    fn now(&self) -> f64 {
        self.started.elapsed().as_secs_f64() * 1e6
    }
}

impl Events for Trace<'_> {
    fn event(&self, event: &Event) {
        let resident = if is_sampled(event) { memory::resident() } else { None };
        {
            let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
            // Read under the lock: the entries stay in the order of time.
            let now = self.now();
            notes.event(event, now, &thread::current());
            notes.entries.extend(resident.map(|bytes| counter(bytes, now)));
        }
        self.next.event(event);
    }
}

impl Notes {
    fn event(&mut self, event: &Event, now: f64, thread: &thread::Thread) {
        let number = self.thread(thread);
        let entry = match event {
            Event::NodeStarted { node, kind } => {
                self.running.insert(node.clone(), number);
                let mut entry = mark("B", node, now, number);
                entry["cat"] = json!(kind);
                entry
            }
            Event::NodeFinished { node, .. }
            | Event::NodeFailed { node, .. }
            | Event::NodeInterrupted { node } => match self.running.remove(node) {
                Some(number) => mark("E", node, now, number),
                // It has failed before it began: a file that it needs cannot be read.
                None => instant(&format!("{node} failed"), now, number),
            },
            Event::NodeCached { node } => instant(&format!("{node} cached"), now, number),
            Event::NodeProgress { node, done, total, unit } => {
                let number = self.running.get(node).copied().unwrap_or(number);
                instant(&format!("{node} {unit} {done}/{total}"), now, number)
            }
            _ => return,
        };
        self.entries.push(entry);
    }

    /// The number of a thread. One that was not seen before is given its name.
    fn thread(&mut self, thread: &thread::Thread) -> usize {
        let next = self.threads.len() + 1;
        let number = *self.threads.entry(thread.id()).or_insert(next);
        if number == next {
            let name = thread.name().map_or_else(|| format!("thread {number}"), str::to_owned);
            self.entries.push(json!({
                "ph": "M", "name": "thread_name", "pid": 1, "tid": number, "args": {"name": name},
            }));
        }
        number
    }

    /// The whole file. What still runs ends now.
    fn finish(mut self, now: f64) -> Value {
        let mut running: Vec<_> = self.running.drain().collect();
        running.sort();
        self.entries.extend(running.iter().map(|(node, number)| mark("E", node, now, *number)));
        json!({"traceEvents": self.entries, "displayTimeUnit": "ms"})
    }
}

/// Memory is looked at when a node begins, ends and finishes a piece of its work.
fn is_sampled(event: &Event) -> bool {
    matches!(
        event,
        Event::NodeStarted { .. }
            | Event::NodeFinished { .. }
            | Event::NodeFailed { .. }
            | Event::NodeInterrupted { .. }
            | Event::NodeProgress { .. }
    )
}

fn mark(phase: &str, name: &str, now: f64, thread: usize) -> Value {
    json!({"ph": phase, "name": name, "ts": now, "pid": 1, "tid": thread})
}

/// A moment on a thread.
fn instant(name: &str, now: f64, thread: usize) -> Value {
    let mut entry = mark("i", name, now, thread);
    entry["s"] = json!("t");
    entry
}

fn counter(bytes: u64, now: f64) -> Value {
    json!({"ph": "C", "name": "memory", "ts": now, "pid": 1, "args": {"resident bytes": bytes}})
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lumina_engine::Silent;

    use super::*;

    fn entries(trace: Trace<'_>) -> Vec<Value> {
        let notes = trace.notes.into_inner().unwrap();
        notes.finish(1e9)["traceEvents"].as_array().unwrap().clone()
    }

    fn started(trace: &Trace<'_>, node: &str) {
        trace.event(&Event::NodeStarted { node: node.into(), kind: "k" });
    }

    fn finished(trace: &Trace<'_>, node: &str) {
        trace.event(&Event::NodeFinished { node: node.into(), elapsed: Duration::ZERO });
    }

    #[test]
    fn every_thread_has_a_number_a_name_and_its_own_pairs() {
        let trace = Trace::new(&Silent);
        started(&trace, "a");
        thread::scope(|scope| {
            let run = || {
                started(&trace, "b");
                finished(&trace, "b");
            };
            thread::Builder::new().name("worker".into()).spawn_scoped(scope, run).unwrap();
        });
        finished(&trace, "a");
        let entries = entries(trace);
        let of = |phase: &str| -> Vec<(String, u64)> {
            entries
                .iter()
                .filter(|entry| entry["ph"] == phase)
                .map(|entry| (entry["name"].as_str().unwrap().to_owned(), entry["tid"].as_u64().unwrap()))
                .collect()
        };
        assert_eq!(of("B"), [("a".into(), 1), ("b".into(), 2)]);
        assert_eq!(of("E"), [("b".into(), 2), ("a".into(), 1)]);
        let names: Vec<_> = entries.iter().filter(|entry| entry["ph"] == "M").collect();
        assert_eq!((names.len(), &names[1]["args"]["name"]), (2, &"worker".into()));
    }

    #[test]
    fn an_end_belongs_to_the_thread_of_its_beginning() {
        let trace = Trace::new(&Silent);
        started(&trace, "a");
        thread::scope(|scope| {
            scope.spawn(|| finished(&trace, "a"));
        });
        started(&trace, "never ends");
        trace.event(&Event::NodeFailed { node: "never began".into(), message: "no".into() });
        let entries = entries(trace);
        let ends: Vec<_> = entries.iter().filter(|entry| entry["ph"] == "E").collect();
        assert_eq!(ends.iter().map(|end| &end["tid"]).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(ends[1]["name"], "never ends");
    }
}
