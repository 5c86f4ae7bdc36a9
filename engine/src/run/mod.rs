//! Runs a graph, round by round: what is decided runs, then what that decides.

mod invoke;
mod queue;
mod report;
mod round;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

pub use report::{Outcome, Report};

use crate::cache::Cache;
use crate::done::Done;
use crate::engine::RunOptions;
use crate::event::Event;
use crate::explain::Recorder;
use crate::graph::{Graph, Input, Instance};
use crate::node_error::NodeError;
use crate::plan::{Plan, Planner, deciding};
use crate::registry::Registry;
use crate::value::Value;
use crate::world::World;

use round::Round;

/// What a run is made with.
#[derive(Clone, Copy)]
pub(crate) struct Runner<'a> {
    pub(crate) cache: &'a Cache,
    pub(crate) registry: &'a Registry,
    pub(crate) world: &'a dyn World,
    pub(crate) options: &'a RunOptions<'a>,
    /// Bytes of memory that the run may use.
    pub(crate) limit: Option<u64>,
}

impl Runner<'_> {
    /// Runs a graph for some targets.
    pub(crate) fn run(&self, graph: &Graph, targets: &[String]) -> Report {
        let started = Instant::now();
        let events = self.options.events;
        self.cache.memory.begin_run();
        let mut recorder = Recorder::new(self.cache.disk.as_ref(), self.options.recipes.as_deref());
        let mut done = Done::default();
        let mut report = Report::default();
        let mut graph = Cow::Borrowed(graph);
        let mut waiting = usize::MAX;
        loop {
            let plan = self.plan(&graph, targets, &done);
            if waiting == usize::MAX {
                events.event(&Event::RunStarted { nodes: plan.steps.len() + plan.pending.len() });
            }
            if let Some(refusal) = plan.refusal {
                events.event(&Event::RunRefused {
                    needed: refusal.needed,
                    limit: refusal.limit,
                    node: refusal.node.clone(),
                });
                report.refused = Some(refusal);
                break;
            }
            if let Some(recorder) = &mut recorder {
                recorder.plan(&graph, &plan);
            }
            self.make_room(&graph, &plan);
            let pending: Vec<String> =
                plan.pending.iter().map(|node| graph.nodes[*node].name.clone()).collect();
            Round::new(self, &graph, &plan, &mut done).run(plan, &mut done, &mut report);
            let stops = report.interrupted || (self.options.fail_fast && !done.failed.is_empty());
            if pending.is_empty() {
                break;
            }
            for node in graph.nodes.iter().filter(|node| node.pending) {
                deciding(&graph, node, &mut |source| done.remember(&graph.nodes[source].name));
            }
            let next = graph.expanded(self.world, &done.known);
            let undecided = next.nodes.iter().filter(|node| node.pending).count();
            // A decision that cannot be made, because what makes it failed, leaves everything as it was.
            if stops || (undecided == waiting && !progress(&graph, &next)) {
                self.give_up(&graph, &pending, &done, &mut report);
                break;
            }
            waiting = undecided;
            graph = Cow::Owned(next);
        }
        for instance in graph.find_all(targets).into_iter().rev() {
            if let Some(values) = outputs(&graph, instance, &done) {
                report.outputs.insert(instance.name.clone(), values);
            }
        }
        if let Some(recorder) = recorder {
            recorder.write(&graph, targets, self.world, &report);
        }
        events.event(&Event::RunFinished {
            ran: report.ran().len(),
            cached: report.cached().len(),
            failed: report.failures().len(),
            blocked: report.with(|outcome| matches!(outcome, Outcome::Blocked { .. })).len(),
            elapsed: started.elapsed(),
        });
        report
    }

    fn plan(&self, graph: &Graph, targets: &[String], done: &Done) -> Plan {
        let Self { cache, registry, world, limit, .. } = *self;
        Planner { graph, cache, registry, world, done, limit }.plan(targets)
    }

    /// Says which nodes compute thriftily, and lets go of kept outputs where the run needs their memory.
    fn make_room(&self, graph: &Graph, plan: &Plan) {
        let events = self.options.events;
        for step in plan.steps.iter().filter(|step| step.thrifty) {
            let node = &graph.nodes[step.node];
            if let Some(thrifty) = &node.thrifty {
                events.event(&Event::NodeThrifty { node: node.name.clone(), how: thrifty.how.clone() });
            }
        }
        let Some(room) = self.limit.map(|limit| limit.saturating_sub(plan.peak_bytes)) else { return };
        if self.cache.memory.bytes() > room {
            let bytes = self.cache.memory.shrink(room);
            if bytes > 0 {
                events.event(&Event::CacheShrunk { bytes });
            }
        }
    }

    /// Reports nodes whose decision was never made.
    fn give_up(&self, graph: &Graph, pending: &[String], done: &Done, report: &mut Report) {
        for name in pending {
            let Some(node) = graph.nodes.iter().find(|node| node.name == *name) else { continue };
            // Control nodes do not run themselves.
            if node.kind.spec.control.is_some() {
                continue;
            }
            let outcome = match culprit(graph, name, done) {
                Some(by) => {
                    self.options.events.event(&Event::NodeBlocked { node: name.clone(), by: by.clone() });
                    Outcome::Blocked { by }
                }
                None if report.interrupted => Outcome::Interrupted,
                None if self.options.fail_fast => {
                    self.options.events.event(&Event::NodeSkipped { node: name.clone() });
                    Outcome::Skipped
                }
                None => {
                    let error = NodeError::failed("what decides whether it runs was never made");
                    self.options
                        .events
                        .event(&Event::NodeFailed { node: name.clone(), message: error.to_string() });
                    Outcome::Failed(error)
                }
            };
            report.nodes.push((name.clone(), outcome));
        }
    }
}

/// Is anything pending in one graph that is not in the next?
fn progress(before: &Graph, after: &Graph) -> bool {
    let pending = |graph: &Graph| -> Vec<String> {
        graph.nodes.iter().filter(|node| node.pending).map(|node| node.name.clone()).collect()
    };
    pending(before) != pending(after)
}

/// The failed node that a pending node waits for.
fn culprit(graph: &Graph, name: &str, done: &Done) -> Option<String> {
    let mut seen = vec![false; graph.nodes.len()];
    let mut open = vec![graph.position(name)?];
    while let Some(node) = open.pop() {
        if let Some(by) = done.failed.get(&graph.nodes[node].name) {
            return Some(by.clone());
        }
        if !std::mem::replace(&mut seen[node], true) {
            graph.nodes[node].links(&mut |source, _| open.push(source));
        }
    }
    None
}

/// What a target gave; `None` unless all of it is there.
fn outputs(graph: &Graph, instance: &Instance, done: &Done) -> Option<Arc<[Value]>> {
    if let Some(node) = instance.node {
        return Some(Arc::clone(&done.outputs.get(&graph.nodes[node].name)?.values));
    }
    instance.outputs.iter().map(|output| value(graph, output, done)).collect()
}

fn value(graph: &Graph, input: &Input, done: &Done) -> Option<Value> {
    match input {
        Input::Absent | Input::Template(_) => None,
        Input::Value(value) => Some(value.clone()),
        Input::Link { node, output } => {
            done.outputs.get(&graph.nodes[*node].name)?.values.get(*output).cloned()
        }
        Input::Item { node, output, index } => {
            done.outputs.get(&graph.nodes[*node].name)?.values.get(*output)?.item(index).cloned()
        }
        Input::List(items) => {
            let values: Option<Vec<Value>> = items.iter().map(|item| value(graph, item, done)).collect();
            Some(Value::List(values?.into()))
        }
    }
}
