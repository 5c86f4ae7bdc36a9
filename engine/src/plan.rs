//! What a run will do, before it does it.

use std::sync::Arc;

use crate::cache::Cache;
use crate::graph::{Graph, Input};
use crate::key::{Digest, Key, KeyBuilder};
use crate::node_error::NodeError;
use crate::registry::Registry;
use crate::value::Value;
use crate::world::World;

/// The steps of a run in order.
pub struct Plan {
    /// One for every node that is needed.
    pub steps: Vec<Step>,
    /// The nodes the run is for.
    pub targets: Vec<usize>,
    /// An estimate of the most memory in use at any moment, in bytes.
    pub peak_bytes: u64,
    /// Digests of the files behind the needed nodes, by path.
    pub digests: Vec<(String, Digest)>,
}

/// One node's part in a run.
pub struct Step {
    /// The node, as a position in the graph.
    pub node: usize,
    /// What happens.
    pub action: Action,
    /// Nodes whose outputs nobody needs after this step.
    pub release: Vec<usize>,
}

/// What happens to a node in a run.
pub enum Action {
    /// Its outputs are in the cache.
    Cached(Arc<[Value]>),
    /// It computes.
    Run(Key),
    /// It cannot even be tried: a file it depends on cannot be read.
    Fail(NodeError),
}

impl Plan {
    /// Plans a run for some nodes, given what is in the cache.
    pub fn new(
        graph: &Graph,
        targets: Vec<usize>,
        cache: &Cache,
        registry: &Registry,
        world: &dyn World,
    ) -> Self {
        let wanted = ancestors(graph, &targets);
        let (keys, digests) = keys(graph, &wanted, world);
        let mut needed = vec![false; graph.nodes.len()];
        for target in &targets {
            needed[*target] = true;
        }
        let mut actions: Vec<Option<Action>> = (0..graph.nodes.len()).map(|_| None).collect();
        for index in (0..graph.nodes.len()).rev().filter(|index| wanted[*index]) {
            if !needed[index] {
                continue;
            }
            let node = &graph.nodes[index];
            let action = match &keys[index] {
                None => continue,
                Some(Err(error)) => Action::Fail(error.clone()),
                Some(Ok(key)) => match cache.get(key, registry, world) {
                    Some(outputs) if node.kind.node.is_fresh(&outputs, world) => Action::Cached(outputs),
                    _ => Action::Run(*key),
                },
            };
            if matches!(action, Action::Run(_)) {
                node.links(&mut |source, _| needed[source] = true);
            }
            actions[index] = Some(action);
        }
        let mut steps: Vec<Step> = actions
            .into_iter()
            .enumerate()
            .filter_map(|(node, action)| Some(Step { node, action: action?, release: Vec::new() }))
            .collect();
        release(graph, &mut steps, &targets);
        let peak_bytes = peak(graph, &steps);
        Self { steps, targets, peak_bytes, digests }
    }
}

/// The content keys of some nodes.
pub(crate) fn content_keys(graph: &Graph, world: &dyn World, nodes: &[usize]) -> Vec<Option<Key>> {
    let (keys, _) = keys(graph, &ancestors(graph, nodes), world);
    nodes.iter().map(|node| keys[*node].clone().and_then(Result::ok)).collect()
}

/// Which nodes some nodes depend on, themselves included.
fn ancestors(graph: &Graph, targets: &[usize]) -> Vec<bool> {
    let mut wanted = vec![false; graph.nodes.len()];
    for target in targets {
        wanted[*target] = true;
    }
    for index in (0..graph.nodes.len()).rev() {
        if wanted[index] {
            graph.nodes[index].links(&mut |source, _| wanted[source] = true);
        }
    }
    wanted
}

type Keys = Vec<Option<Result<Key, NodeError>>>;

/// The keys of the wanted nodes. A node behind one without a key has no key: it will be blocked.
fn keys(graph: &Graph, wanted: &[bool], world: &dyn World) -> (Keys, Vec<(String, Digest)>) {
    let environment = world.environment();
    let mut keys: Keys = vec![None; graph.nodes.len()];
    let mut digests = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate().filter(|(index, _)| wanted[*index]) {
        let spec = &node.kind.spec;
        let mut builder = KeyBuilder::new(spec.kind, spec.version, &environment);
        let mut behind_failure = false;
        for (input, spec) in node.inputs.iter().zip(&spec.inputs) {
            builder.part(spec.name.as_bytes());
            behind_failure |= !write_input(&mut builder, input, &keys);
        }
        let mut result = Ok(());
        for file in &node.files {
            match world.digest(file) {
                Ok(digest) => {
                    builder.part(b"file").part(digest.bytes());
                    digests.push((file.display().to_string(), digest));
                }
                Err(error) => {
                    result = Err(NodeError::file(format!("cannot read `{}`: {error}", file.display())));
                    break;
                }
            }
        }
        keys[index] = match (result, behind_failure) {
            (Err(error), _) => Some(Err(error)),
            (Ok(()), false) => Some(Ok(builder.finish())),
            // A key that nothing else has: the node is planned, and blocked when its source fails.
            (Ok(()), true) => Some(Ok(builder.part(b"behind a failure").part(&index.to_le_bytes()).finish())),
        };
    }
    (keys, digests)
}

/// Writes an input into a key; false when it links to a node without one.
fn write_input(builder: &mut KeyBuilder, input: &Input, keys: &Keys) -> bool {
    match input {
        Input::Absent => {
            builder.part(b"absent");
            true
        }
        Input::Value(value) => {
            builder.value(value);
            true
        }
        Input::Link { node, output } => match &keys[*node] {
            Some(Ok(key)) => {
                builder.link(key, *output);
                true
            }
            _ => false,
        },
        Input::List(items) => {
            builder.part(b"items").part(&(items.len() as u64).to_le_bytes());
            // Every item is written, also behind one without a key.
            let whole: Vec<bool> = items.iter().map(|item| write_input(builder, item, keys)).collect();
            whole.into_iter().all(|whole| whole)
        }
    }
}

/// Notes at each step which outputs are used for the last time.
fn release(graph: &Graph, steps: &mut [Step], targets: &[usize]) {
    let mut later = vec![false; graph.nodes.len()];
    for target in targets {
        later[*target] = true;
    }
    for step in steps.iter_mut().rev() {
        if matches!(step.action, Action::Run(_)) {
            graph.nodes[step.node].links(&mut |source, _| {
                if !later[source] {
                    later[source] = true;
                    step.release.push(source);
                }
            });
        }
    }
}

fn peak(graph: &Graph, steps: &[Step]) -> u64 {
    let mut live = 0u64;
    let mut peak = 0u64;
    for step in steps {
        let node = &graph.nodes[step.node];
        peak = peak.max(live.saturating_add(node.working_bytes.max(node.output_bytes)));
        live = live.saturating_add(node.output_bytes);
        for released in &step.release {
            live = live.saturating_sub(graph.nodes[*released].output_bytes);
        }
    }
    peak
}
