//! Notes the recipes of a run.

use std::collections::{HashMap, HashSet};

use super::recipe::Kitchen;
use crate::cache::DiskCache;
use crate::graph::{Graph, Input};
use crate::key::{Digest, Digester, Key};
use crate::plan::{Plan, ancestors, keys, target_nodes};
use crate::run::{Outcome, Report};
use crate::world::World;

/// What a run has planned so far.
pub(crate) struct Recorder<'a> {
    disk: &'a DiskCache,
    /// The name that the graph is known by.
    name: &'a str,
    digests: HashMap<String, String>,
    thrifty: HashSet<String>,
}

impl<'a> Recorder<'a> {
    /// A recorder, where there is a place for recipes and a name to keep them under.
    pub(crate) fn new(disk: Option<&'a DiskCache>, name: Option<&'a str>) -> Option<Self> {
        Some(Self { disk: disk?, name: name?, digests: HashMap::new(), thrifty: HashSet::new() })
    }

    /// Takes note of the plan of a round.
    pub(crate) fn plan(&mut self, graph: &Graph, plan: &Plan) {
        self.digests.extend(plan.digests.iter().map(|(path, digest)| (path.clone(), digest.to_string())));
        let thrifty = graph.nodes.iter().zip(&plan.thrifty).filter(|(_, thrifty)| **thrifty);
        self.thrifty.extend(thrifty.map(|(node, _)| node.name.clone()));
    }

    /// Keeps the recipes of the nodes that came to their end, and of those behind nodes that were kept. Nothing is written
    /// when all of them are there already. A failure is no matter: only explanations become poorer.
    pub(crate) fn write(self, graph: &Graph, targets: &[String], world: &dyn World, report: &Report) {
        if report.refused.is_some() {
            return;
        }
        let wanted = ancestors(graph, &target_nodes(graph, targets));
        let thrifty: Vec<bool> = graph.nodes.iter().map(|node| self.thrifty.contains(&node.name)).collect();
        let (keys, digests) = keys(graph, &wanted, &thrifty, world);
        if digests.iter().any(|(path, digest)| self.digests.get(path) != Some(&digest.to_string())) {
            // A file was written meanwhile: what ran is not what would be noted.
            return;
        }
        let keys: Vec<Option<Key>> = keys.into_iter().map(|key| key.and_then(Result::ok)).collect();
        let environment = world.environment();
        let kitchen = Kitchen {
            graph,
            keys: &keys,
            thrifty: &thrifty,
            environment: &environment,
            digests: &self.digests,
        };
        let mut book = self.disk.book(self.name);
        let declared: HashSet<&str> = graph.declared.nodes.iter().map(|node| node.name.as_str()).collect();
        let mut changed = book.retain(|name| declared.contains(name.split('[').next().unwrap_or(name)));
        for index in known(graph, &wanted, report) {
            let node = &graph.nodes[index];
            let Some(key) = &keys[index] else { continue };
            let print = print(graph, index, key, thrifty[index]);
            changed |= book.put(&node.name, &print, || kitchen.recipe(index));
        }
        match changed {
            true => self.disk.write_book(self.name, &book),
            false => self.disk.touch_book(self.name),
        }
    }
}

/// The nodes that came to their end in this run or, behind those that were kept, in an earlier one.
fn known(graph: &Graph, wanted: &[bool], report: &Report) -> Vec<usize> {
    let outcomes: HashMap<&str, &Outcome> =
        report.nodes.iter().map(|(name, outcome)| (name.as_str(), outcome)).collect();
    let mut known = Vec::new();
    let mut behind = vec![false; graph.nodes.len()];
    for (index, node) in graph.nodes.iter().enumerate().rev().filter(|(index, _)| wanted[*index]) {
        let kept = match outcomes.get(node.name.as_str()) {
            Some(Outcome::Ran) => false,
            Some(Outcome::Cached) => true,
            None if behind[index] && !node.pending => true,
            _ => continue,
        };
        known.push(index);
        if kept {
            node.links(&mut |source, _| behind[source] = true);
        }
    }
    known
}

/// A digest of everything in the recipe of a node: its key, and names and notes that are no part of that.
fn print(graph: &Graph, index: usize, key: &Key, thrifty: bool) -> Digest {
    let node = &graph.nodes[index];
    let mut digester = Digester::new("recipe");
    digester.part(key.bytes()).part(&[u8::from(thrifty), u8::from(node.cache.writes())]);
    node.inputs.iter().for_each(|input| add_sources(&mut digester, graph, input));
    digester.finish()
}

fn add_sources(digester: &mut Digester, graph: &Graph, input: &Input) {
    input.links(&mut |source, output| {
        digester.part(graph.nodes[source].name.as_bytes()).part(&(output as u64).to_le_bytes());
    });
}
