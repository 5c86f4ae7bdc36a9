//! A bench to run graphs on, and what is expected of a run.

use std::collections::BTreeSet;
use std::sync::Arc;

use lumina_engine::{
    Cancel, Code, DiskCache, Engine, Events, Graph, Key, Overrides, Registry, Report, RunOptions, Silent,
    Sweep, Value, render,
};

use crate::probes::{self, Probes};
use crate::support::store::MemoryStore;
use crate::support::{self, FakeWorld};
use crate::{images, validators};

/// What is kept between runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Policy {
    /// Nothing.
    Off,
    /// Outputs, in the memory of one engine.
    Memory,
    /// Outputs, in a store; every run is a process of its own.
    Disk,
}

/// A world, and engines for one cache policy.
pub(crate) struct Bench {
    pub(crate) policy: Policy,
    pub(crate) world: FakeWorld,
    pub(crate) store: MemoryStore,
    pub(crate) probes: Arc<Probes>,
    engine: Arc<Engine>,
}

impl Bench {
    /// A bench for every policy.
    pub(crate) fn each() -> [Self; 3] {
        [Policy::Off, Policy::Memory, Policy::Disk].map(|policy| {
            let (store, probes) = (MemoryStore::default(), Arc::new(Probes::default()));
            let engine = Arc::new(new_engine(policy, &store, &probes));
            Self { policy, world: FakeWorld::default(), store, probes, engine }
        })
    }

    /// The engine for the next run.
    pub(crate) fn engine(&self) -> Arc<Engine> {
        match self.policy {
            Policy::Off | Policy::Memory => Arc::clone(&self.engine),
            Policy::Disk => Arc::new(new_engine(self.policy, &self.store, &self.probes)),
        }
    }

    /// Goes on in another process, whatever the policy.
    pub(crate) fn restart(&mut self) {
        self.engine = Arc::new(new_engine(self.policy, &self.store, &self.probes));
    }

    /// Puts a file into the world, in place of one that may be there.
    pub(crate) fn write(&self, path: &str, content: &str) {
        self.world.files.lock().unwrap().insert(path.into(), content.into());
    }

    /// Checks nodes that have to be right.
    #[track_caller]
    pub(crate) fn checked(&self, nodes: &str) -> Graph {
        self.swept(nodes, &[])
    }

    /// The same with parameters that take several values.
    #[track_caller]
    pub(crate) fn swept(&self, nodes: &str, sweeps: &[Sweep]) -> Graph {
        let overrides = sweeps.iter().cloned().fold(Overrides::default(), Overrides::sweep);
        let checked = support::check(&self.engine(), &self.world, &support::graph(nodes), &overrides);
        checked.graph.unwrap_or_else(|| panic!("{}", render(&checked.sources, &checked.diagnostics, false)))
    }

    /// Checks nodes that have to be wrong; gives the codes and the rendered messages.
    #[track_caller]
    pub(crate) fn refused(&self, nodes: &str) -> (Vec<Code>, String) {
        let text = support::graph(nodes);
        let checked = support::check(&self.engine(), &self.world, &text, &Overrides::default());
        assert!(checked.graph.is_none(), "this is accepted:\n{text}");
        let errors: Vec<_> = checked.diagnostics.into_iter().filter(|found| found.is_error()).collect();
        let codes = errors.iter().map(|diagnostic| diagnostic.code).collect();
        (codes, render(&checked.sources, &errors, false))
    }

    /// The key of a node.
    #[track_caller]
    pub(crate) fn key(&self, nodes: &str, name: &str) -> Option<Key> {
        let graph = self.checked(nodes);
        self.engine().keys(&graph, &self.world, &[name.to_owned()])[0]
    }

    /// Checks and runs nodes and holds the report against what is expected; [`run!`](crate::run) writes the call.
    #[track_caller]
    pub(crate) fn expect(&self, nodes: &str, expected: Expected<'_>) -> Report {
        self.expect_graph(&self.checked(nodes), expected)
    }

    /// The same for a graph that is checked already.
    #[track_caller]
    pub(crate) fn expect_graph(&self, graph: &Graph, expected: Expected<'_>) -> Report {
        let targets = expected.targets.clone().unwrap_or_else(|| graph.targets());
        let options = RunOptions {
            targets: Some(targets.clone()),
            cancel: expected.cancel.clone(),
            events: expected.events,
            ..RunOptions::default()
        };
        let report = self.engine().run(graph, &self.world, options);
        // What a computed decision leads to is not in the graph yet.
        let is_open = graph.nodes.iter().any(|node| node.pending);
        let needed = graph.behind(&targets).iter().map(|node| node.name.clone()).collect();
        assert_eq!(
            outcomes(&report),
            expected.outcomes(self.policy, (!is_open).then_some(needed)),
            "with the cache {:?}",
            self.policy
        );
        report
    }
}

fn new_engine(policy: Policy, store: &MemoryStore, probes: &Arc<Probes>) -> Engine {
    let engine = Engine::new(registry(probes));
    match policy {
        Policy::Off => engine.with_memory_budget(0),
        Policy::Memory => engine,
        // Nothing is kept in memory, so that what is found came from the store.
        Policy::Disk => engine.with_memory_budget(0).with_disk_cache(DiskCache::new(store.clone(), u64::MAX)),
    }
}

fn registry(probes: &Arc<Probes>) -> Registry {
    let mut registry = support::registry();
    let probes = Arc::clone(probes);
    registry.plugin((images::plugin, validators::plugin, move |registry: &mut Registry| {
        probes::plugin(registry, &probes)
    }));
    registry
}

/// What became of every node, by name; a node that is reported twice is here twice.
fn outcomes(report: &Report) -> Vec<(String, String)> {
    let word =
        |outcome: String| outcome.split(|letter: char| !letter.is_alphabetic()).next().unwrap().to_owned();
    let mut outcomes: Vec<_> =
        report.nodes.iter().map(|(name, outcome)| (name.clone(), word(format!("{outcome:?}")))).collect();
    outcomes.sort();
    outcomes
}

/// What a run is told, and which nodes have which outcome. All others must not be in the report.
pub(crate) struct Expected<'a> {
    targets: Option<Vec<String>>,
    cancel: Cancel,
    events: &'a dyn Events,
    outcomes: Vec<(String, String)>,
    always: Option<BTreeSet<String>>,
}

impl Default for Expected<'_> {
    fn default() -> Self {
        Self { targets: None, cancel: Cancel::new(), events: &Silent, outcomes: Vec::new(), always: None }
    }
}

impl<'a> Expected<'a> {
    /// The nodes to run for; without it those of the graph.
    pub(crate) fn targets(mut self, names: &[&str]) -> Self {
        self.targets = Some(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    pub(crate) fn cancel(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }

    pub(crate) fn events(mut self, events: &'a dyn Events) -> Self {
        self.events = events;
        self
    }

    /// The nodes that compute where something is kept. Where nothing is, everything that is needed does.
    pub(crate) fn ran(self, names: &[&str]) -> Self {
        self.with("Ran", names)
    }

    /// The nodes that compute where nothing is kept, for a graph in which decisions are computed. Without it, those that
    /// compute or are cached elsewhere.
    pub(crate) fn always(mut self, names: &[&str]) -> Self {
        self.always = Some(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    /// The nodes that are answered from a cache, which are those at the edge: what is behind them is not looked at.
    pub(crate) fn cached(self, names: &[&str]) -> Self {
        self.with("Cached", names)
    }

    pub(crate) fn failed(self, names: &[&str]) -> Self {
        self.with("Failed", names)
    }

    pub(crate) fn blocked(self, names: &[&str]) -> Self {
        self.with("Blocked", names)
    }

    pub(crate) fn interrupted(self, names: &[&str]) -> Self {
        self.with("Interrupted", names)
    }

    fn with(mut self, outcome: &str, names: &[&str]) -> Self {
        self.outcomes.extend(names.iter().map(|name| ((*name).to_owned(), outcome.to_owned())));
        self
    }

    fn outcomes(self, policy: Policy, needed: Option<BTreeSet<String>>) -> Vec<(String, String)> {
        let mut outcomes = self.outcomes;
        if policy == Policy::Off {
            let is_fine = |outcome: &str| matches!(outcome, "Ran" | "Cached");
            let fine = outcomes.iter().filter(|(_, outcome)| is_fine(outcome)).map(|(name, _)| name.clone());
            let needed = self.always.or(needed).unwrap_or_else(|| fine.collect());
            outcomes.retain(|(_, outcome)| !is_fine(outcome));
            let other: BTreeSet<String> = outcomes.iter().map(|(name, _)| name.clone()).collect();
            let ran = needed.difference(&other).cloned();
            outcomes.extend(ran.map(|name| (name, "Ran".to_owned())));
        }
        outcomes.sort();
        outcomes
    }
}

/// Checks and runs nodes: `run!(bench, nodes, ran: ["a"], cached: ["b"])`. Gives the report.
macro_rules! run {
    ($bench:expr, $nodes:expr $(, $part:ident: $value:expr)* $(,)?) => {
        $bench.expect($nodes, crate::harness::Expected::default()$(.$part(&$value))*)
    };
}

/// The number that a node gave.
#[track_caller]
pub(crate) fn number(report: &Report, node: &str) -> f64 {
    match report.outputs.get(node).map(|values| &**values) {
        Some([number]) => as_number(number),
        other => panic!("`{node}` gave {other:?}"),
    }
}

/// The numbers in the list that a node gave.
#[track_caller]
pub(crate) fn numbers(report: &Report, node: &str) -> Vec<f64> {
    match report.outputs.get(node).map(|values| &**values) {
        Some([Value::List(items)]) => items.iter().map(as_number).collect(),
        other => panic!("`{node}` gave {other:?}"),
    }
}

/// The lists of numbers in the list that a node gave.
#[track_caller]
pub(crate) fn lists(report: &Report, node: &str) -> Vec<Vec<f64>> {
    let list = |value: &Value| match value {
        Value::List(items) => items.iter().map(as_number).collect(),
        other => panic!("`{node}` has {other:?}"),
    };
    match report.outputs.get(node).map(|values| &**values) {
        Some([Value::List(items)]) => items.iter().map(list).collect(),
        other => panic!("`{node}` gave {other:?}"),
    }
}

#[track_caller]
fn as_number(value: &Value) -> f64 {
    match value {
        Value::Float(number) => *number,
        Value::Int(number) => *number as f64,
        other => panic!("{other:?} is no number"),
    }
}
