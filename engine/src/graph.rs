//! A checked graph: every name looked up, every literal converted, nodes in an order in which they can run.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::document::CacheMode;
use crate::expand::Declared;
use crate::fact::Fact;
use crate::memory_need::{Memory, Thrifty};
use crate::node_error::NodeError;
use crate::plan::{ancestors, target_nodes};
use crate::provenance::Provenance;
use crate::registry::Kind;
use crate::template::Piece;
use crate::value::Value;

/// A graph that can run. Made by [`check`](crate::check()).
///
/// What decides which nodes there are (a condition, a list to go through) may itself have to be computed. Until it is,
/// the nodes behind it are pending: a run computes what decides, expands the graph, and goes on.
#[derive(Clone)]
pub struct Graph {
    /// The nodes; every link points to an earlier one.
    pub nodes: Vec<GraphNode>,
    /// What every declared node has become: nothing where a branch or an empty list removes it, several in an
    /// iteration.
    pub instances: Vec<Instance>,
    /// The graph's own outputs by name.
    pub outputs: Vec<Instance>,
    /// Graph files that this one includes.
    pub included: Vec<PathBuf>,
    /// Where the outputs of a run come from. Digests are added by the run.
    pub provenance: Provenance,
    pub(crate) declared: Arc<Declared>,
}

/// A declared node in one turn of the iterations around it.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The name of the declared node.
    pub declared: String,
    /// Its own name: with `[2]` for the third turn of an iteration.
    pub name: String,
    /// What it gives, one for each output.
    pub outputs: Vec<Input>,
    /// The node, as a position in [`Graph::nodes`]; `None` when it passes on what others give (`if`, `collect`).
    pub node: Option<usize>,
}

/// A node of a checked graph.
#[derive(Clone)]
pub struct GraphNode {
    /// Its name: that in the file, with `[2]` for the third turn of an iteration.
    pub name: String,
    /// What it is.
    pub kind: Arc<Kind>,
    /// One for each input of the kind, in its order.
    pub inputs: Vec<Input>,
    /// What is known of the outputs.
    pub outputs: Vec<Fact>,
    /// Files whose content decides the outputs.
    pub files: Vec<PathBuf>,
    /// The memory it needs.
    pub memory: Memory,
    /// Another way to compute the same with less memory, where there is one.
    pub thrifty: Option<Thrifty>,
    /// How its outputs are kept.
    pub cache: CacheMode,
    /// Parameters that have another value here than in the graph as a whole: those of a sweep.
    pub params: Vec<(String, String)>,
    /// It depends on a decision that has not been made: it cannot run yet, and may be replaced by several.
    pub pending: bool,
    /// Its declaration, as a position in [`Declared`].
    pub(crate) declared: usize,
    /// What was wrong with its inputs when it was expanded in the middle of a run.
    pub refused: Option<NodeError>,
}

/// What a socket gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Nothing; the node sees that.
    Absent,
    /// A literal, a parameter or a default.
    Value(Value),
    /// An output of an earlier node.
    Link {
        /// Its position in [`Graph::nodes`].
        node: usize,
        /// The position of the output.
        output: usize,
    },
    /// One of the values in a list that an earlier node gives.
    Item {
        /// Its position in [`Graph::nodes`].
        node: usize,
        /// The position of the output.
        output: usize,
        /// The position in the list, and in the list in it, and so on.
        index: Vec<usize>,
    },
    /// Several of them.
    List(Vec<Input>),
    /// An output path with places to fill in. Only in declared nodes.
    Template(Arc<[Piece]>),
}

impl Input {
    /// Calls `visit` with every link in it, as (node, output). Lists nest no deeper than the file format lets them, and
    /// one level for every iteration around them.
    pub fn links(&self, visit: &mut dyn FnMut(usize, usize)) {
        match self {
            Input::Absent | Input::Value(_) => {}
            Input::Link { node, output } | Input::Item { node, output, .. } => visit(*node, *output),
            Input::List(items) => items.iter().for_each(|item| item.links(visit)),
            Input::Template(pieces) => pieces.iter().for_each(|piece| {
                if let Piece::Hole(input) = piece {
                    input.links(visit);
                }
            }),
        }
    }
}

impl Graph {
    /// The position of a node.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == name)
    }

    /// What a name stands for: an output of the graph or a declared node in all its turns, or one of them.
    pub fn find(&self, name: &str) -> Vec<&Instance> {
        self.find_all(&[name])
    }

    /// What several names stand for. The turn `text[0]` stands for `text[0,1]` too: an iteration inside of it may have
    /// been unknown when it was named.
    pub(crate) fn find_all<N: AsRef<str>>(&self, names: &[N]) -> Vec<&Instance> {
        let mut known: HashMap<&str, Vec<&Instance>> = HashMap::new();
        for instance in self.outputs.iter().chain(&self.instances) {
            known.entry(&instance.declared).or_default().push(instance);
            if instance.name != instance.declared {
                known.entry(&instance.name).or_default().push(instance);
            }
        }
        let mut found = Vec::new();
        for name in names.iter().map(AsRef::as_ref) {
            match (known.get(name), name.strip_suffix(']')) {
                (Some(instances), _) => found.extend(instances),
                (None, Some(turn)) => {
                    let inside = format!("{turn},");
                    let all = self.outputs.iter().chain(&self.instances);
                    found.extend(all.filter(|instance| instance.name.starts_with(&inside)));
                }
                (None, None) => {}
            }
        }
        found
    }

    /// Names that [`Graph::find`] knows.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let declared = self.declared.nodes.iter().map(|node| node.name.as_str());
        self.outputs.iter().map(|output| output.name.as_str()).chain(declared)
    }

    /// The nodes that a run for some targets rests on, sources first.
    pub fn behind(&self, targets: &[String]) -> Vec<&GraphNode> {
        let wanted = ancestors(self, &target_nodes(self, targets));
        self.nodes.iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(node, _)| node).collect()
    }

    /// Does a declared node, or one of its turns, act on the world outside?
    pub fn acts(&self, name: &str) -> bool {
        let declared = name.split('[').next().unwrap_or(name);
        self.declared.nodes.iter().any(|node| node.name == declared && node.kind.spec.effect)
    }

    /// What a run is for: the nodes that act on the outside and the graph's outputs; if there are none, the nodes
    /// that nobody links to.
    pub fn targets(&self) -> Vec<String> {
        // By their declared names: which turns there are may show only later.
        let effects = self.declared.nodes.iter().filter(|node| node.kind.spec.effect);
        let outputs = self.declared.outputs.iter().map(|(name, _)| name);
        let targets: Vec<String> = effects.map(|node| &node.name).chain(outputs).cloned().collect();
        if !targets.is_empty() {
            return targets;
        }
        self.declared.leaves().map(|node| node.name.clone()).collect()
    }
}

impl GraphNode {
    /// Calls `visit` with every link of the node, as (node, output).
    pub fn links(&self, visit: &mut dyn FnMut(usize, usize)) {
        self.inputs.iter().for_each(|input| input.links(visit));
    }
}
