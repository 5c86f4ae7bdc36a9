//! Runs a plan: one node after the other, each reported, a failure blocking only what depends on it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crate::cache::Cache;
use crate::call::Call;
use crate::cancel::Cancel;
use crate::engine::RunOptions;
use crate::event::{Event, Events};
use crate::graph::{Graph, GraphNode, Input};
use crate::key::Key;
use crate::node_error::NodeError;
use crate::plan::{Action, Plan};
use crate::provenance::Provenance;
use crate::registry::Registry;
use crate::types::Type;
use crate::value::Value;
use crate::world::World;

/// What became of the nodes of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Every planned node in the order of the plan.
    pub nodes: Vec<(String, Outcome)>,
    /// The outputs of the target nodes that have any, by node.
    pub outputs: BTreeMap<String, Arc<[Value]>>,
    /// The run was cancelled before its end.
    pub interrupted: bool,
}

/// What became of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It computed its outputs.
    Ran,
    /// Its outputs were in the cache.
    Cached,
    /// It gave an error.
    Failed(NodeError),
    /// A node it depends on failed.
    Blocked {
        /// Which one.
        by: String,
    },
    /// The run was cancelled before it was reached, or while it ran.
    Interrupted,
    /// Another node had failed, and the run was to stop at the first failure.
    Skipped,
}

impl Report {
    /// The names of the nodes with an outcome.
    pub fn with(&self, is: impl Fn(&Outcome) -> bool) -> Vec<&str> {
        self.nodes.iter().filter(|(_, outcome)| is(outcome)).map(|(name, _)| name.as_str()).collect()
    }

    /// The nodes that computed.
    pub fn ran(&self) -> Vec<&str> {
        self.with(|outcome| *outcome == Outcome::Ran)
    }

    /// The nodes answered from the cache.
    pub fn cached(&self) -> Vec<&str> {
        self.with(|outcome| *outcome == Outcome::Cached)
    }

    /// The nodes that gave an error, with it.
    pub fn failures(&self) -> Vec<(&str, &NodeError)> {
        self.nodes
            .iter()
            .filter_map(|(name, outcome)| match outcome {
                Outcome::Failed(error) => Some((name.as_str(), error)),
                _ => None,
            })
            .collect()
    }
}

/// Runs a plan.
pub(crate) fn run(
    graph: &Graph,
    plan: Plan,
    cache: &Cache,
    registry: &Registry,
    world: &dyn World,
    options: &RunOptions<'_>,
) -> Report {
    let started = Instant::now();
    let events = options.events;
    events.event(&Event::RunStarted { nodes: plan.steps.len() });
    let mut provenance = graph.provenance.clone();
    provenance.digests.extend(plan.digests.iter().map(|(path, digest)| (path.clone(), digest.to_string())));
    let mut runner = Runner {
        graph,
        cache,
        registry,
        world,
        cancel: &options.cancel,
        events,
        fail_fast: options.fail_fast,
        preview_every: options.preview_every,
        provenance,
        values: vec![None; graph.nodes.len()],
        failed_by: vec![None; graph.nodes.len()],
        report: Report::default(),
    };
    for step in plan.steps {
        let outcome = runner.step(step.node, step.action);
        runner.report.nodes.push((graph.nodes[step.node].name.clone(), outcome));
        for released in step.release {
            runner.values[released] = None;
        }
    }
    for target in plan.targets {
        if let Some(values) = &runner.values[target] {
            runner.report.outputs.insert(graph.nodes[target].name.clone(), Arc::clone(values));
        }
    }
    let report = runner.report;
    events.event(&Event::RunFinished {
        ran: report.ran().len(),
        cached: report.cached().len(),
        failed: report.failures().len(),
        blocked: report.with(|outcome| matches!(outcome, Outcome::Blocked { .. })).len(),
        elapsed: started.elapsed(),
    });
    report
}

struct Runner<'a> {
    graph: &'a Graph,
    cache: &'a Cache,
    registry: &'a Registry,
    world: &'a dyn World,
    cancel: &'a Cancel,
    events: &'a dyn Events,
    fail_fast: bool,
    preview_every: Option<u64>,
    provenance: Provenance,
    values: Vec<Option<Arc<[Value]>>>,
    /// For nodes that have no outputs, the node that is to blame.
    failed_by: Vec<Option<usize>>,
    report: Report,
}

impl Runner<'_> {
    fn step(&mut self, index: usize, action: Action) -> Outcome {
        let node = &self.graph.nodes[index];
        let name = &node.name;
        match action {
            Action::Cached(outputs) => {
                self.events.event(&Event::NodeCached { node: name.clone() });
                self.values[index] = Some(outputs);
                Outcome::Cached
            }
            Action::Fail(error) => self.fail(index, error),
            Action::Run(_) if self.cancel.is_cancelled() => {
                self.report.interrupted = true;
                Outcome::Interrupted
            }
            Action::Run(key) => {
                if let Some(culprit) = self.culprit(node) {
                    self.failed_by[index] = Some(culprit);
                    let by = self.graph.nodes[culprit].name.clone();
                    self.events.event(&Event::NodeBlocked { node: name.clone(), by: by.clone() });
                    return Outcome::Blocked { by };
                }
                if self.fail_fast && self.failed_by.iter().any(Option::is_some) {
                    self.events.event(&Event::NodeSkipped { node: name.clone() });
                    return Outcome::Skipped;
                }
                self.run(index, key)
            }
        }
    }

    fn run(&mut self, index: usize, key: Key) -> Outcome {
        let node = &self.graph.nodes[index];
        self.events.event(&Event::NodeStarted { node: node.name.clone(), kind: node.kind.spec.kind });
        let started = Instant::now();
        match self.call(node) {
            Ok(outputs) => {
                let elapsed = started.elapsed();
                let outputs: Arc<[Value]> = outputs.into();
                if self.files_are_as_planned(node) {
                    self.cache.insert(key, &outputs, elapsed, self.registry);
                }
                self.values[index] = Some(outputs);
                self.events.event(&Event::NodeFinished { node: node.name.clone(), elapsed });
                Outcome::Ran
            }
            Err(NodeError::Interrupted) => {
                self.events.event(&Event::NodeInterrupted { node: node.name.clone() });
                self.report.interrupted = true;
                self.failed_by[index] = Some(index);
                Outcome::Interrupted
            }
            Err(error) => self.fail(index, error),
        }
    }

    /// A file that was written between the plan and the node's reading of it must not be kept under the old digest.
    fn files_are_as_planned(&self, node: &GraphNode) -> bool {
        node.files.iter().all(|file| {
            let planned = self.provenance.digests.get(&file.display().to_string());
            self.world
                .digest(file)
                .is_ok_and(|found| planned.is_some_and(|planned| *planned == found.to_string()))
        })
    }

    /// Calls the node and holds it to its specification. A panic inside is an error of that node.
    fn call(&self, node: &GraphNode) -> Result<Vec<Value>, NodeError> {
        let spec = &node.kind.spec;
        let names: Vec<&'static str> = spec.inputs.iter().map(|input| input.name).collect();
        let values = node
            .inputs
            .iter()
            .zip(&spec.inputs)
            .map(|(input, spec)| Ok(self.value(input)?.map(|value| value.coerce(&spec.ty))))
            .collect::<Result<Vec<Option<Value>>, NodeError>>()?;
        for (value, input) in values.iter().zip(&spec.inputs) {
            // Only an output of type Any can surprise here; everything else was checked.
            if let Some(value) = value.as_ref().filter(|value| !fits(&input.ty, value)) {
                let message =
                    format!("the input `{}` must be {}, found {}", input.name, input.ty, value.ty());
                return Err(NodeError::failed(message));
            }
        }
        let call = Call {
            node: &node.name,
            names: &names,
            values: &values,
            events: self.events,
            preview_every: self.preview_every,
            thrifty: false,
            world: self.world,
            cancel: self.cancel,
            provenance: &self.provenance,
        };
        let outputs =
            catch_unwind(AssertUnwindSafe(|| node.kind.node.run(&call))).unwrap_or_else(|panic| {
                Err(NodeError::failed(format!("the node panicked: {}", panic_text(&*panic))))
            })?;
        let wrong = outputs.len() != spec.outputs.len()
            || outputs.iter().zip(&spec.outputs).any(|(value, output)| !fits(&output.ty, value));
        if wrong {
            let found: Vec<String> = outputs.iter().map(|value| value.ty().to_string()).collect();
            let message =
                format!("the node kind `{}` gave ({}), not what it promises", spec.kind, found.join(", "));
            return Err(NodeError::failed(message));
        }
        Ok(outputs)
    }

    fn value(&self, input: &Input) -> Result<Option<Value>, NodeError> {
        Ok(match input {
            Input::Absent => None,
            Input::Value(value) => Some(value.clone()),
            Input::Link { node, output } => {
                let source = self.values[*node].as_ref().and_then(|outputs| outputs.get(*output));
                let name = &self.graph.nodes[*node].name;
                Some(source.ok_or_else(|| NodeError::failed(format!("`{name}` has no outputs")))?.clone())
            }
            Input::List(items) => {
                let items = items.iter().map(|item| self.value(item)).collect::<Result<Vec<_>, _>>()?;
                Some(Value::List(items.into_iter().flatten().collect()))
            }
        })
    }

    /// The failed node that keeps this one from running.
    fn culprit(&self, node: &GraphNode) -> Option<usize> {
        let mut culprit = None;
        node.links(&mut |source, _| culprit = culprit.or(self.failed_by[source]));
        culprit
    }

    fn fail(&mut self, index: usize, error: NodeError) -> Outcome {
        let node = self.graph.nodes[index].name.clone();
        self.failed_by[index] = Some(index);
        self.events.event(&Event::NodeFailed { node, message: error.to_string() });
        Outcome::Failed(error)
    }
}

fn fits(ty: &Type, value: &Value) -> bool {
    match (ty, value) {
        (Type::List(_), Value::List(items)) if items.is_empty() => true,
        (Type::OneOf(types), _) => types.iter().any(|ty| fits(ty, value)),
        _ => ty.accepts(&value.ty()),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
