//! One round of a run: the steps of a plan, those of the device one after the other, others beside them.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Scope, scope};

use super::Runner;
use super::queue::Queue;
use super::report::{Outcome, Report};
use crate::cache::Outputs;
use crate::done::Done;
use crate::event::Event;
use crate::graph::{Graph, Input};
use crate::key::{Identity, Key, content, item};
use crate::node_error::NodeError;
use crate::plan::{Action, Plan, ancestors, node_key};
use crate::provenance::Provenance;
use crate::value::Value;

/// Helpers wait for files as often as they compute: a few more than there are processors do no harm.
const FEWEST_HELPERS: usize = 4;

pub(super) struct Round<'a> {
    pub(super) runner: &'a Runner<'a>,
    pub(super) graph: &'a Graph,
    pub(super) provenance: Provenance,
    environment: String,
    /// For each step, its node.
    nodes: Vec<usize>,
    /// For each step that runs, the key it was planned with.
    keys: Vec<Option<Key>>,
    /// For each step, whether it computes with less memory.
    thrifty: Vec<bool>,
    helpers: usize,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    queue: Queue,
    /// For each node of the graph, what it gave, while somebody needs it.
    outputs: Vec<Option<Outputs>>,
    /// For each node of the graph, how many others still need what it gave.
    users: Vec<u32>,
    /// For each node of the graph without outputs, the node that is to blame.
    failed: Vec<Option<String>>,
    /// For each step, what became of it.
    outcomes: Vec<Option<Outcome>>,
    /// Keys that are being computed, with the steps that wait for the result: equal nodes run once.
    in_flight: HashMap<Key, Vec<usize>>,
    any_failed: bool,
    interrupted: bool,
    /// Outputs of an equal node, for steps that waited for it.
    handed: HashMap<usize, Outputs>,
    spawned: usize,
    /// Helpers that wait for work.
    idle: usize,
    /// Threads that wait for work.
    waiting: usize,
}

/// What is needed to run a node, taken while the state is locked.
pub(super) struct Job {
    pub(super) values: Vec<Option<Value>>,
    /// The key of the node by the content of its inputs.
    pub(super) key: Key,
    pub(super) planned: Key,
    pub(super) thrifty: bool,
}

impl<'a> Round<'a> {
    pub(super) fn new(runner: &'a Runner<'a>, graph: &'a Graph, plan: &Plan, done: &mut Done) -> Self {
        let mut provenance = graph.provenance.clone();
        let digests = plan.digests.iter().map(|(path, digest)| (path.clone(), digest.to_string()));
        provenance.digests.extend(digests);
        let key = |action: &Action| if let Action::Run(key) = action { Some(*key) } else { None };
        let nodes: Vec<usize> = plan.steps.iter().map(|step| step.node).collect();
        let keys: Vec<Option<Key>> = plan.steps.iter().map(|step| key(&step.action)).collect();
        let helpers = match runner.options.threads {
            Some(threads) => threads.get() - 1,
            None => std::thread::available_parallelism().map_or(1, usize::from).max(FEWEST_HELPERS),
        };
        let on_device = nodes.iter().map(|node| graph.nodes[*node].kind.spec.device).collect();
        let mut state = State {
            queue: Queue::new(on_device, helpers == 0),
            // What is left after the round comes back.
            outputs: graph.nodes.iter().map(|node| done.outputs.remove(&node.name)).collect(),
            users: vec![0; graph.nodes.len()],
            failed: graph.nodes.iter().map(|node| done.failed.get(&node.name).cloned()).collect(),
            outcomes: vec![None; nodes.len()],
            in_flight: HashMap::new(),
            any_failed: !done.failed.is_empty(),
            interrupted: false,
            handed: HashMap::new(),
            spawned: 0,
            idle: 0,
            waiting: 0,
        };
        // What pending nodes rest on is kept: one of the next rounds may need it.
        let mut later = ancestors(graph, &plan.pending);
        nodes.iter().for_each(|node| later[*node] = false);
        let later = (0..graph.nodes.len()).filter(|node| later[*node]);
        let running = nodes.iter().zip(&keys).filter(|(_, key)| key.is_some()).map(|(node, _)| *node);
        for node in running.chain(later) {
            graph.nodes[node].links(&mut |source, _| state.users[source] += 1);
        }
        for target in &plan.targets {
            state.users[*target] += 1;
        }
        Self {
            runner,
            graph,
            provenance,
            environment: runner.world.environment(),
            nodes,
            keys,
            thrifty: plan.steps.iter().map(|step| step.thrifty).collect(),
            helpers,
            state: Mutex::new(state),
            wake: Condvar::new(),
        }
    }

    /// Runs the steps and adds what became of them to what is done.
    pub(super) fn run(self, plan: Plan, done: &mut Done, report: &mut Report) {
        self.begin(plan);
        scope(|scope| self.work(scope, false));
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (node, outcome) in self.nodes.iter().zip(state.outcomes) {
            let name = &self.graph.nodes[*node].name;
            report.nodes.extend(outcome.map(|outcome| (name.clone(), outcome)));
        }
        for (node, (outputs, failed)) in
            self.graph.nodes.iter().zip(state.outputs.into_iter().zip(state.failed))
        {
            done.outputs.extend(outputs.map(|outputs| (node.name.clone(), outputs)));
            done.failed.extend(failed.map(|by| (node.name.clone(), by)));
        }
        report.interrupted |= state.interrupted;
    }

    /// Takes what is cached, notes what cannot run, and queues the rest.
    fn begin(&self, plan: Plan) {
        let mut state = self.lock();
        let mut step_of = vec![None; self.graph.nodes.len()];
        for (step, planned) in plan.steps.into_iter().enumerate() {
            let node = &self.graph.nodes[planned.node];
            match planned.action {
                Action::Cached(outputs) => {
                    self.runner.options.events.event(&Event::NodeCached { node: node.name.clone() });
                    if state.users[planned.node] > 0 {
                        state.outputs[planned.node] = Some(outputs);
                    }
                    state.outcomes[step] = Some(Outcome::Cached);
                }
                Action::Fail(error) => self.fail(&mut state, step, error),
                Action::Run(_) => {
                    step_of[planned.node] = Some(step);
                    let mut sources = Vec::new();
                    node.links(&mut |source, _| sources.extend(step_of[source]));
                    sources.sort_unstable();
                    sources.dedup();
                    state.queue.add(step, sources);
                }
            }
        }
    }

    /// Takes steps until there are none left.
    fn work<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, helper: bool) {
        let mut state = self.lock();
        while !state.queue.is_over() {
            match state.queue.take(helper) {
                Some(step) => {
                    self.call_for_help(&mut state, scope);
                    state = self.step(state, step);
                    if state.outcomes[step].is_some() {
                        self.finish(&mut state, step);
                    }
                    if state.waiting > 0 {
                        self.wake.notify_all();
                    }
                }
                None => {
                    self.call_for_help(&mut state, scope);
                    state.waiting += 1;
                    state.idle += usize::from(helper);
                    state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.idle -= usize::from(helper);
                    state.waiting -= 1;
                }
            }
        }
        self.wake.notify_all();
    }

    /// Starts a helper when there is work for one and none is waiting.
    fn call_for_help<'scope>(&'scope self, state: &mut State, scope: &'scope Scope<'scope, '_>) {
        if state.queue.has_host_work() && state.idle == 0 && state.spawned < self.helpers {
            state.spawned += 1;
            scope.spawn(|| self.work(scope, true));
        }
    }

    /// Does a step; the state is free while the node computes. The step has no outcome when it has to wait for an equal
    /// one.
    fn step<'s>(&'s self, mut state: MutexGuard<'s, State>, step: usize) -> MutexGuard<'s, State> {
        let index = self.nodes[step];
        let node = &self.graph.nodes[index];
        let Some(planned) = self.keys[step] else { return state };
        let mut culprit = None;
        node.links(&mut |source, _| culprit = culprit.take().or_else(|| state.failed[source].clone()));
        let outcome = if self.runner.options.cancel.is_cancelled() {
            state.interrupted = true;
            state.failed[index] = Some(node.name.clone());
            Some(Outcome::Interrupted)
        } else if let Some(by) = culprit {
            state.failed[index] = Some(by.clone());
            self.runner.options.events.event(&Event::NodeBlocked { node: node.name.clone(), by: by.clone() });
            Some(Outcome::Blocked { by })
        } else if self.runner.options.fail_fast && state.any_failed {
            self.runner.options.events.event(&Event::NodeSkipped { node: node.name.clone() });
            Some(Outcome::Skipped)
        } else {
            None
        };
        if outcome.is_some() {
            state.outcomes[step] = outcome;
            return state;
        }
        let (mut state, result) = match self.job(&state, step, planned) {
            Err(error) => (state, Err(error)),
            Ok(job) => {
                let shares = node.cache.reads();
                if let Some(outputs) = state.handed.remove(&step).filter(|_| shares) {
                    self.runner.options.events.event(&Event::NodeCached { node: node.name.clone() });
                    (state, Ok((outputs, Outcome::Cached)))
                } else if let Some(waiting) = state.in_flight.get_mut(&job.key).filter(|_| shares) {
                    waiting.push(step);
                    return state;
                } else {
                    if shares {
                        state.in_flight.insert(job.key, Vec::new());
                    }
                    drop(state);
                    let result = self.run_or_recall(node, &job);
                    let mut state = self.lock();
                    for step in state.in_flight.remove(&job.key).filter(|_| shares).unwrap_or_default() {
                        if let Ok((outputs, _)) = &result {
                            state.handed.insert(step, outputs.clone());
                        }
                        state.queue.put_back(step);
                    }
                    (state, result)
                }
            }
        };
        match result {
            Ok((outputs, outcome)) => {
                if state.users[index] > 0 {
                    state.outputs[index] = Some(outputs);
                }
                state.outcomes[step] = Some(outcome);
            }
            Err(NodeError::Interrupted) => {
                self.runner.options.events.event(&Event::NodeInterrupted { node: node.name.clone() });
                state.interrupted = true;
                state.failed[index] = Some(node.name.clone());
                state.outcomes[step] = Some(Outcome::Interrupted);
            }
            Err(error) => self.fail(&mut state, step, error),
        }
        state
    }

    fn fail(&self, state: &mut State, step: usize, error: NodeError) {
        let index = self.nodes[step];
        let node = self.graph.nodes[index].name.clone();
        state.failed[index] = Some(node.clone());
        state.any_failed = true;
        self.runner.options.events.event(&Event::NodeFailed { node, message: error.to_string() });
        state.outcomes[step] = Some(Outcome::Failed(error));
    }

    /// Lets go of what nobody needs after a step, and lets those run that waited for it.
    fn finish(&self, state: &mut State, step: usize) {
        self.graph.nodes[self.nodes[step]].links(&mut |source, _| {
            state.users[source] -= 1;
            if state.users[source] == 0 {
                state.outputs[source] = None;
            }
        });
        state.queue.finish(step);
    }

    /// Takes the inputs of a node. With their content known, the node may have another key than it was planned with:
    /// one that stays the same when an edit made equal values in another way.
    fn job(&self, state: &State, step: usize, planned: Key) -> Result<Job, NodeError> {
        let (node, thrifty) = (&self.graph.nodes[self.nodes[step]], self.thrifty[step]);
        let spec = &node.kind.spec;
        let values = node
            .inputs
            .iter()
            .zip(&spec.inputs)
            .map(|(input, spec)| Ok(self.value(state, input)?.map(|value| value.coerce(&spec.ty))))
            .collect::<Result<Vec<Option<Value>>, NodeError>>()?;
        let identity = |input: &Input| self.identity(state, input);
        let (key, whole) =
            node_key(node, thrifty, &self.environment, self.runner.world, &mut Vec::new(), &identity)?;
        Ok(Job { values, key: if whole { key } else { planned }, planned, thrifty })
    }

    fn identity(&self, state: &State, input: &Input) -> Option<Identity> {
        match input {
            Input::Link { node, output } => state.outputs[*node].as_ref()?.identities.get(*output).copied(),
            Input::Item { node, output, index } => {
                let outputs = state.outputs[*node].as_ref()?;
                content(outputs.values.get(*output)?.item(index)?)
                    .or_else(|| Some(item(outputs.identities.get(*output)?, index)))
            }
            _ => None,
        }
    }

    fn value(&self, state: &State, input: &Input) -> Result<Option<Value>, NodeError> {
        let output = |node: usize, output: usize| {
            let source = state.outputs[node].as_ref().and_then(|outputs| outputs.values.get(output));
            source
                .ok_or_else(|| NodeError::failed(format!("`{}` has no outputs", self.graph.nodes[node].name)))
        };
        Ok(match input {
            Input::Absent | Input::Template(_) => None,
            Input::Value(value) => Some(value.clone()),
            Input::Link { node, output: index } => Some(output(*node, *index)?.clone()),
            Input::Item { node, output: list, index } => output(*node, *list)?.item(index).cloned(),
            Input::List(items) => {
                let items =
                    items.iter().map(|item| self.value(state, item)).collect::<Result<Vec<_>, _>>()?;
                Some(Value::List(items.into_iter().flatten().collect()))
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of a node is caught outside of the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
