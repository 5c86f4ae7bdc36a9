//! Asks why a node would run.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::compare::{Kept, differences, explain};
use super::reason::Reason;
use super::recipe::{Kitchen, Recipe};
use crate::cache::Cache;
use crate::done::Done;
use crate::graph::{Graph, GraphNode};
use crate::key::Key;
use crate::plan::{Action, Planner, ancestors, keys, target_nodes};
use crate::registry::Registry;
use crate::types::Type;
use crate::value::Value;
use crate::world::World;

/// Why a node would run, or would not.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The node.
    pub node: String,
    /// Its kind.
    pub kind: String,
    /// Would it run?
    pub would_run: bool,
    /// Why.
    pub reasons: Vec<Reason>,
    /// For each node that [`Reason::Upstream`] names, what changed there, and so on to the first cause.
    pub causes: Vec<Vec<Cause>>,
    /// A node that would run and needs it.
    pub needed_by: Option<String>,
}

/// A node that changed, on the way to the first cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// The node.
    pub node: String,
    /// Would it run? Its outputs may be in the cache.
    pub would_run: bool,
    /// What changed.
    pub reasons: Vec<Reason>,
}

/// What a question is answered with.
pub(crate) struct Inquirer<'a> {
    pub(crate) cache: &'a Cache,
    pub(crate) registry: &'a Registry,
    pub(crate) world: &'a dyn World,
    pub(crate) limit: Option<u64>,
}

#[derive(Clone, PartialEq)]
enum Fate {
    Cached,
    Runs,
    Fails(String),
}

/// What a run would do, as far as it can be told.
struct Foreseen<'a> {
    graph: Cow<'a, Graph>,
    fates: HashMap<String, Fate>,
    thrifty: HashSet<String>,
}

impl Inquirer<'_> {
    /// Explains a declared node in all its turns, one of them, or what an output of the graph or a control node passes on.
    pub(crate) fn explain(&self, graph: &Graph, book: &str, name: &str) -> Vec<Explanation> {
        let foreseen = self.foresee(graph);
        let graph = &*foreseen.graph;
        let wanted = ancestors(graph, &target_nodes(graph, &[name.to_owned()]));
        let instances = graph.find(name);
        let nodes = target_nodes(graph, &[name.to_owned()]);
        if nodes.is_empty() {
            let reason = if instances.is_empty() { Reason::LeftOut } else { Reason::Control };
            return vec![bare(name, "", reason)];
        }
        let thrifty: Vec<bool> =
            graph.nodes.iter().map(|node| foreseen.thrifty.contains(&node.name)).collect();
        let (keys, digests) = keys(graph, &wanted, &thrifty, self.world);
        let keys: Vec<Option<Key>> = keys.into_iter().map(|key| key.and_then(Result::ok)).collect();
        let digests = digests.into_iter().map(|(path, digest)| (path, digest.to_string())).collect();
        let environment = self.world.environment();
        let kitchen =
            Kitchen { graph, keys: &keys, thrifty: &thrifty, environment: &environment, digests: &digests };
        let book = self.cache.disk.as_ref().map(|disk| disk.book(book)).unwrap_or_default();
        let mut changes = HashMap::new();
        for index in (0..graph.nodes.len()).filter(|index| wanted[*index]) {
            let Some(now) = kitchen.recipe(index) else { continue };
            let old = book.get(&graph.nodes[index].name);
            let mut reasons = old.as_ref().map_or(vec![Reason::NeverRan], |old| differences(old, &now));
            without_common(&mut reasons, &changes);
            changes.insert(graph.nodes[index].name.clone(), Change { old, now, reasons });
        }
        nodes.into_iter().map(|index| self.answer(&foreseen, index, &keys, &changes)).collect()
    }

    /// Plans a run, and goes on with decisions that kept values make.
    fn foresee<'g>(&self, graph: &'g Graph) -> Foreseen<'g> {
        let targets = graph.targets();
        let mut done = Done::default();
        let mut foreseen =
            Foreseen { graph: Cow::Borrowed(graph), fates: HashMap::new(), thrifty: HashSet::new() };
        loop {
            let graph = foreseen.graph.clone();
            let Self { cache, registry, world, limit } = *self;
            let plan = Planner { graph: &graph, cache, registry, world, done: &done, limit }.plan(&targets);
            let thrifty = graph.nodes.iter().zip(&plan.thrifty).filter(|(_, thrifty)| **thrifty);
            foreseen.thrifty.extend(thrifty.map(|(node, _)| node.name.clone()));
            for step in plan.steps {
                let name = graph.nodes[step.node].name.clone();
                let fate = match step.action {
                    Action::Cached(outputs) => {
                        done.outputs.insert(name.clone(), outputs);
                        done.remember(&name);
                        Fate::Cached
                    }
                    Action::Run(_) => Fate::Runs,
                    Action::Fail(error) => Fate::Fails(error.to_string()),
                };
                foreseen.fates.insert(name, fate);
            }
            if plan.pending.is_empty() {
                return foreseen;
            }
            let next = graph.expanded(self.world, &done.known);
            if pending(&next) == pending(&graph) {
                return foreseen;
            }
            foreseen.graph = Cow::Owned(next);
        }
    }

    fn answer(
        &self,
        foreseen: &Foreseen<'_>,
        index: usize,
        keys: &[Option<Key>],
        changes: &HashMap<String, Change>,
    ) -> Explanation {
        let graph = &*foreseen.graph;
        let node = &graph.nodes[index];
        let kind = node.kind.spec.kind;
        if node.pending {
            let node = deciding(foreseen, index).unwrap_or_else(|| node.name.clone());
            return bare(&graph.nodes[index].name, kind, Reason::Undecided { node });
        }
        let fate = foreseen.fates.get(&node.name);
        if let Some(Fate::Fails(message)) = fate {
            return bare(&node.name, kind, Reason::Fails { message: message.clone() });
        }
        let (Some(key), Some(change)) = (&keys[index], changes.get(&node.name)) else {
            return bare(
                &node.name,
                kind,
                Reason::Fails { message: "a file behind it cannot be read".into() },
            );
        };
        let would_run = fate == Some(&Fate::Runs);
        let kept = self.kept(node, key);
        let unstorable = self.unstorable(node);
        let mut reasons = explain(change.old.as_ref(), &change.now, node.cache, &kept, &unstorable);
        if !would_run && !matches!(*reasons, [Reason::Cached { .. }]) {
            return bare(&node.name, kind, Reason::NotNeeded);
        }
        if reasons.iter().any(|reason| matches!(reason, Reason::Upstream { .. })) {
            reasons.clone_from(&change.reasons);
        }
        let mut sources: Vec<&str> = reasons.iter().filter_map(upstream).collect();
        sources.dedup();
        let causes = sources.into_iter().map(|source| chain(source, foreseen, changes)).collect();
        let needed_by = would_run.then(|| consumer(foreseen, index)).flatten();
        Explanation { node: node.name.clone(), kind: kind.to_owned(), would_run, reasons, causes, needed_by }
    }

    fn kept(&self, node: &GraphNode, key: &Key) -> Kept {
        let Some(outputs) = self.cache.get(key, self.registry, self.world) else { return Kept::Nothing };
        if !node.kind.node.is_fresh(&outputs.values, self.world) {
            return Kept::Stale { paths: paths(&outputs.values) };
        }
        let facts = self.cache.disk.as_ref().and_then(|disk| disk.facts(key)).unwrap_or_default();
        Kept::Fresh { since: facts.since, bytes: facts.bytes, cost: facts.cost }
    }

    /// The types of outputs that no store can keep, as far as they are known.
    fn unstorable(&self, node: &GraphNode) -> Vec<String> {
        let mut types = Vec::new();
        for (fact, output) in node.outputs.iter().zip(&node.kind.spec.outputs) {
            let mut ty = if fact.ty == Type::Any { &output.ty } else { &fact.ty };
            while let Type::List(item) = ty {
                ty = item;
            }
            if let Type::Domain(name) = ty
                && self.registry.codec(name).is_none()
                && !types.iter().any(|known| known == name)
            {
                types.push((*name).to_owned());
            }
        }
        types
    }
}

/// The paths among some values.
fn paths(values: &[Value]) -> Vec<String> {
    let mut paths = Vec::new();
    for value in values {
        match value {
            Value::Path(path) => paths.push(path.display().to_string()),
            Value::List(items) => paths.extend(self::paths(items)),
            _ => {}
        }
    }
    paths
}

/// A node then and now.
struct Change {
    old: Option<Recipe>,
    now: Recipe,
    /// What is different; nothing when nothing is.
    reasons: Vec<Reason>,
}

fn upstream(reason: &Reason) -> Option<&str> {
    match reason {
        Reason::Upstream { node, .. } => Some(node),
        _ => None,
    }
}

/// Leaves out sources that differ only in what is the same for all nodes: that is said once.
fn without_common(reasons: &mut Vec<Reason>, changes: &HashMap<String, Change>) {
    if reasons.iter().any(Reason::is_common) {
        let is_common =
            |node: &str| changes.get(node).is_some_and(|change| change.reasons.iter().all(Reason::is_common));
        reasons.retain(|reason| !upstream(reason).is_some_and(is_common));
    }
}

/// From a node that changed to the first that has a cause of its own.
fn chain(from: &str, foreseen: &Foreseen<'_>, changes: &HashMap<String, Change>) -> Vec<Cause> {
    let mut causes: Vec<Cause> = Vec::new();
    let mut next = Some(from.to_owned());
    while let Some(node) = next.take() {
        let Some(change) = changes.get(&node) else { break };
        let own: Vec<Reason> =
            change.reasons.iter().filter(|reason| upstream(reason).is_none()).cloned().collect();
        let reasons = if own.is_empty() { change.reasons.clone() } else { own };
        next = reasons.iter().find_map(upstream).map(str::to_owned);
        let would_run = foreseen.fates.get(&node) == Some(&Fate::Runs);
        causes.push(Cause { node, would_run, reasons });
    }
    causes
}

/// A node that would run and needs this one.
fn consumer(foreseen: &Foreseen<'_>, index: usize) -> Option<String> {
    let nodes = foreseen.graph.nodes.iter().skip(index + 1);
    nodes.filter(|node| foreseen.fates.get(&node.name) == Some(&Fate::Runs)).find_map(|node| {
        let mut needs = false;
        node.links(&mut |source, _| needs |= source == index);
        needs.then(|| node.name.clone())
    })
}

/// The node that would run first of those that a pending node waits for.
fn deciding(foreseen: &Foreseen<'_>, index: usize) -> Option<String> {
    let graph = &*foreseen.graph;
    let behind = ancestors(graph, &[index]);
    let mut nodes = graph.nodes.iter().zip(behind).filter(|(_, behind)| *behind).rev();
    nodes
        .find(|(node, _)| !node.pending && foreseen.fates.get(&node.name) == Some(&Fate::Runs))
        .map(|(node, _)| node.name.clone())
}

fn pending(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().filter(|node| node.pending).map(|node| node.name.as_str()).collect()
}

fn bare(node: &str, kind: &str, reason: Reason) -> Explanation {
    Explanation {
        node: node.to_owned(),
        kind: kind.to_owned(),
        would_run: false,
        reasons: vec![reason],
        causes: Vec::new(),
        needed_by: None,
    }
}
