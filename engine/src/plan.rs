//! What a run will do, before it does it.

use crate::cache::{Cache, Outputs};
use crate::control::Control;
use crate::done::Done;
use crate::graph::{Graph, GraphNode, Input};
use crate::key::{Digest, Identity, Key, KeyBuilder, item, made};
use crate::node_error::NodeError;
use crate::registry::Registry;
use crate::world::World;

/// The steps of a run in order.
pub struct Plan {
    /// One for every node that is needed.
    pub steps: Vec<Step>,
    /// Needed nodes that depend on a decision which the steps make; what becomes of them is planned after that.
    pub pending: Vec<usize>,
    /// The nodes that give what the run is for.
    pub targets: Vec<usize>,
    /// An estimate of the most memory in use at any moment, in bytes.
    pub peak_bytes: u64,
    /// Why the run must not begin: it would not fit into memory.
    pub refusal: Option<Refusal>,
    /// For each node of the graph, whether its key is that of thrifty computing.
    pub(crate) thrifty: Vec<bool>,
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
    /// It computes in the way that its inference calls [`thrifty`](crate::Inference::thrifty): otherwise the run would
    /// not fit into memory.
    pub thrifty: bool,
}

/// Why a run was not begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Bytes it would need at most.
    pub needed: u64,
    /// Bytes it may use.
    pub limit: u64,
    /// The node that needs the most.
    pub node: String,
}

/// What happens to a node in a run.
pub enum Action {
    /// Its outputs are in the cache.
    Cached(Outputs),
    /// It computes.
    Run(Key),
    /// It cannot even be tried: a file it depends on cannot be read, or an iteration gave it wrong inputs.
    Fail(NodeError),
}

/// What a plan is made with.
pub(crate) struct Planner<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) cache: &'a Cache,
    pub(crate) registry: &'a Registry,
    pub(crate) world: &'a dyn World,
    /// What has been done in this run already.
    pub(crate) done: &'a Done,
    /// Bytes of memory that the run may use.
    pub(crate) limit: Option<u64>,
}

impl Planner<'_> {
    /// Plans a run for some targets. Where it would not fit into memory, the node at the peak computes thriftily, then
    /// the one at the new peak, until the run fits or there is no such way.
    pub(crate) fn plan(&self, targets: &[String]) -> Plan {
        let targets = target_nodes(self.graph, targets);
        let mut thrifty = vec![false; self.graph.nodes.len()];
        loop {
            let mut plan = self.plan_with(&targets, &thrifty);
            let peak = self.peak(&plan);
            plan.peak_bytes = peak.bytes;
            let (Some(limit), Some(node)) = (self.limit, peak.node) else { return plan };
            if peak.bytes <= limit {
                return plan;
            }
            if !peak.runs || thrifty[node] || self.graph.nodes[node].thrifty.is_none() {
                let name = self.graph.nodes[node].name.clone();
                plan.refusal = Some(Refusal { needed: peak.bytes, limit, node: name });
                return plan;
            }
            thrifty[node] = true;
        }
    }

    fn plan_with(&self, targets: &[usize], thrifty: &[bool]) -> Plan {
        let graph = self.graph;
        let wanted = ancestors(graph, targets);
        let (keys, digests) = keys(graph, &wanted, thrifty, self.world);
        let mut needed = vec![false; graph.nodes.len()];
        for target in targets {
            needed[*target] = true;
        }
        // A node that takes nothing from the cache runs whenever something rests on it; what it will give is not known
        // before, so that its dependents are not looked for by their planned keys either.
        let mut settled = vec![true; graph.nodes.len()];
        for (index, node) in graph.nodes.iter().enumerate().filter(|(index, _)| wanted[*index]) {
            needed[index] |= !node.cache.reads() && !node.pending;
            settled[index] = node.cache.reads();
            node.links(&mut |source, _| settled[index] &= settled[source]);
        }
        let mut actions: Vec<Option<Action>> = (0..graph.nodes.len()).map(|_| None).collect();
        let mut pending = Vec::new();
        for index in (0..graph.nodes.len()).rev() {
            let node = &graph.nodes[index];
            if !needed[index] || self.done.has(&node.name) {
                continue;
            }
            if node.pending {
                pending.push(index);
                deciding(graph, node, &mut |source| needed[source] = true);
                continue;
            }
            let action = match (&node.refused, &keys[index]) {
                (Some(error), _) | (None, Some(Err(error))) => Action::Fail(error.clone()),
                (None, Some(Ok(key))) if settled[index] => self.action(node, key),
                (None, Some(Ok(key))) => Action::Run(*key),
                (None, None) => continue,
            };
            if matches!(action, Action::Run(_)) {
                node.links(&mut |source, _| needed[source] = true);
            }
            actions[index] = Some(action);
        }
        pending.reverse();
        let mut steps: Vec<Step> = actions
            .into_iter()
            .enumerate()
            .filter_map(|(node, action)| {
                let action = action?;
                let thrifty = thrifty[node] && matches!(action, Action::Run(_));
                Some(Step { node, action, release: Vec::new(), thrifty })
            })
            .collect();
        release(graph, &mut steps, targets, &pending);
        Plan {
            steps,
            pending,
            targets: targets.to_vec(),
            peak_bytes: 0,
            refusal: None,
            thrifty: thrifty.to_vec(),
            digests,
        }
    }

    fn action(&self, node: &GraphNode, key: &Key) -> Action {
        match self.cache.get(key, self.registry, self.world) {
            Some(outputs) if node.kind.node.is_fresh(&outputs.values, self.world) => Action::Cached(outputs),
            _ => Action::Run(*key),
        }
    }
}

/// The nodes that give what a run is for.
pub(crate) fn target_nodes(graph: &Graph, names: &[String]) -> Vec<usize> {
    let mut targets = Vec::new();
    for instance in graph.find_all(names) {
        targets.extend(instance.node);
        instance.outputs.iter().for_each(|output| output.links(&mut |node, _| targets.push(node)));
    }
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// What a pending node needs for the decision that it waits for. Anything else may turn out not to be needed at all.
pub(crate) fn deciding(graph: &Graph, node: &GraphNode, visit: &mut dyn FnMut(usize)) {
    let control = node.kind.spec.control;
    // A branch, or what an iteration goes through, is needed only once it is decided.
    let chooses = control.is_some_and(|control| !control.closes());
    for (index, input) in node.inputs.iter().enumerate() {
        let decides = control.is_some_and(|control| control.deciders().contains(&index))
            // The cases of a `switch` decide only where the list as a whole has to be computed.
            || (control == Some(Control::Switch) && index == 1 && matches!(input, Input::Link { .. }));
        // How long a list is, its items decide only where they may vanish.
        let whole = decides && !matches!(input, Input::List(_));
        // Behind the inputs stands what the node waits for.
        let may_decide = decides || !chooses || index >= node.kind.spec.inputs.len();
        input.links(&mut |source, _| {
            if whole || (may_decide && graph.nodes[source].pending) {
                visit(source);
            }
        });
    }
}

/// The content keys of targets. Those of pending nodes follow from everything they may turn out to need.
pub(crate) fn content_keys(graph: &Graph, world: &dyn World, targets: &[String]) -> Vec<Option<Key>> {
    let nodes = target_nodes(graph, targets);
    let thrifty = vec![false; graph.nodes.len()];
    let (keys, _) = keys(graph, &ancestors(graph, &nodes), &thrifty, world);
    nodes.iter().map(|node| keys[*node].clone().and_then(Result::ok)).collect()
}

/// Which nodes some nodes depend on, themselves included.
pub(crate) fn ancestors(graph: &Graph, targets: &[usize]) -> Vec<bool> {
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

pub(crate) type Keys = Vec<Option<Result<Key, NodeError>>>;

/// The keys of the wanted nodes. A node behind one without a key has no key: it will be blocked.
pub(crate) fn keys(
    graph: &Graph,
    wanted: &[bool],
    thrifty: &[bool],
    world: &dyn World,
) -> (Keys, Vec<(String, Digest)>) {
    let environment = world.environment();
    let mut keys: Keys = vec![None; graph.nodes.len()];
    let mut digests = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate().filter(|(index, _)| wanted[*index]) {
        let output_of = |node: usize, output| match &keys[node] {
            Some(Ok(key)) => Some(made(key, output)),
            _ => None,
        };
        let identity = |input: &Input| match input {
            Input::Link { node, output } => output_of(*node, *output),
            Input::Item { node, output, index } => Some(item(&output_of(*node, *output)?, index)),
            _ => None,
        };
        let key = node_key(node, thrifty[index], &environment, world, &mut digests, &identity);
        keys[index] = Some(key.map(|(key, whole)| match whole {
            true => key,
            // A key that nothing else has: the node is planned, and blocked when its source fails.
            false => item(&key, &[index]),
        }));
    }
    (keys, digests)
}

/// The key of a node, given the identities of what it links to; false when one of them has none.
pub(crate) fn node_key(
    node: &GraphNode,
    thrifty: bool,
    environment: &str,
    world: &dyn World,
    digests: &mut Vec<(String, Digest)>,
    identity: &dyn Fn(&Input) -> Option<Identity>,
) -> Result<(Key, bool), NodeError> {
    let spec = &node.kind.spec;
    let mut builder = KeyBuilder::new(spec.kind, spec.version, environment);
    if thrifty {
        // It may come out a little different.
        builder.part(b"thrifty");
    }
    let mut whole = true;
    for (input, spec) in node.inputs.iter().zip(&spec.inputs) {
        builder.part(spec.name.as_bytes());
        whole &= write_input(&mut builder, input, identity);
    }
    for file in &node.files {
        let digest = world
            .digest(file)
            .map_err(|error| NodeError::file(format!("cannot read `{}`: {error}", file.display())))?;
        builder.part(b"file").part(digest.bytes());
        digests.push((file.display().to_string(), digest));
    }
    Ok((builder.finish(), whole))
}

/// Writes an input into a key; false when it links to a node without one.
fn write_input(
    builder: &mut KeyBuilder,
    input: &Input,
    identity: &dyn Fn(&Input) -> Option<Identity>,
) -> bool {
    match input {
        Input::Absent | Input::Template(_) => {
            builder.part(b"absent");
            true
        }
        Input::Value(value) => {
            builder.value(value);
            true
        }
        Input::Link { .. } | Input::Item { .. } => identity(input).is_some_and(|identity| {
            builder.link(&identity);
            true
        }),
        Input::List(items) => {
            builder.part(b"items").part(&(items.len() as u64).to_le_bytes());
            // Every item is written, also behind one without a key.
            let whole: Vec<bool> = items.iter().map(|item| write_input(builder, item, identity)).collect();
            whole.into_iter().all(|whole| whole)
        }
    }
}

/// Notes at each step which outputs are used for the last time.
fn release(graph: &Graph, steps: &mut [Step], targets: &[usize], pending: &[usize]) {
    let mut later = vec![false; graph.nodes.len()];
    for target in targets {
        later[*target] = true;
    }
    // What pending nodes rest on may be needed in a later round.
    for (node, wanted) in ancestors(graph, pending).into_iter().enumerate() {
        later[node] |= wanted;
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

/// The most memory in use at any moment, and the node that is at work then.
struct Peak {
    bytes: u64,
    node: Option<usize>,
    /// It computes; its outputs are not from the cache.
    runs: bool,
}

impl Planner<'_> {
    fn peak(&self, plan: &Plan) -> Peak {
        let nodes = &self.graph.nodes;
        // What earlier rounds left.
        let left = nodes.iter().filter(|node| self.done.outputs.contains_key(&node.name));
        let mut live = left.fold(0u64, |live, node| live.saturating_add(node.memory.kept));
        let mut peak = Peak { bytes: 0, node: None, runs: false };
        for step in &plan.steps {
            let node = &nodes[step.node];
            let working = match (&step.action, &node.thrifty) {
                (Action::Cached(_), _) => node.memory.kept,
                (_, Some(thrifty)) if step.thrifty => thrifty.working.max(node.memory.kept),
                _ => node.memory.working,
            };
            if live.saturating_add(working) > peak.bytes {
                let runs = matches!(step.action, Action::Run(_));
                peak = Peak { bytes: live.saturating_add(working), node: Some(step.node), runs };
            }
            live = live.saturating_add(node.memory.kept);
            for released in &step.release {
                live = live.saturating_sub(nodes[*released].memory.kept);
            }
        }
        peak
    }
}
