//! From declared nodes to the nodes that run: iterations unrolled, branches chosen, everything asked what it will give.
//!
//! Control nodes leave no trace: a link to an `if` becomes a link to what it chose, a link to a `collect` a list of
//! links. What decides is often written in the graph and the whole expansion happens while it is checked. Where it has
//! to be computed, the nodes behind it stay pending, and the graph is expanded again once it is known.

mod build;
mod decide;
mod fits;
mod infer;
mod resolve;
mod scope;
mod turns;

use std::collections::HashMap;
use std::sync::Arc;

pub(crate) use scope::ScopeMistake;

use crate::control::Control;
use crate::document::CacheMode;
use crate::graph::{Graph, GraphNode, Input, Instance};
use crate::mistake::Mistake;
use crate::registry::Kind;
use crate::value::Value;
use crate::world::World;

/// The nodes of a graph as they are declared, sources first; links are positions in the list.
pub(crate) struct Declared {
    pub(crate) nodes: Vec<DeclaredNode>,
    /// The graph's own outputs.
    pub(crate) outputs: Vec<(String, Input)>,
    /// For each node, the iterations it takes part in.
    scopes: scope::Scopes,
}

/// A node as it is declared.
pub(crate) struct DeclaredNode {
    pub(crate) name: String,
    pub(crate) kind: Arc<Kind>,
    pub(crate) inputs: Vec<Input>,
    /// Inputs that are wrong, which is reported: only their types are known.
    pub(crate) unresolved: Vec<bool>,
    pub(crate) cache: CacheMode,
    pub(crate) sweep: Option<Arc<SweepValues>>,
}

/// The values that parameters take one after the other.
pub(crate) struct SweepValues {
    pub(crate) names: Vec<String>,
    /// For each turn, a value for each name, and how it was given.
    pub(crate) rows: Vec<Vec<(Value, String)>>,
}

impl DeclaredNode {
    fn control(&self) -> Option<Control> {
        self.kind.spec.control
    }
}

/// Hears what is wrong with expanded nodes.
pub(crate) trait Judge {
    /// A node of [`Declared`] has mistakes in one of its turns.
    fn mistakes(&mut self, declared: usize, mistakes: &[Mistake]);
    /// A node of [`Declared`] looks odd in one of its turns.
    fn warnings(&mut self, declared: usize, warnings: &[Mistake]);
}

/// Hears nothing: mistakes are kept in the nodes.
pub(crate) struct Deaf;

impl Judge for Deaf {
    fn mistakes(&mut self, _: usize, _: &[Mistake]) {}
    fn warnings(&mut self, _: usize, _: &[Mistake]) {}
}

/// Values that a run has computed, by the name of the node.
pub(crate) type Known = HashMap<String, Arc<[Value]>>;

/// What the declared nodes have become.
pub(crate) struct Expansion {
    pub(crate) nodes: Vec<GraphNode>,
    pub(crate) instances: Vec<Instance>,
    pub(crate) outputs: Vec<Instance>,
}

impl Declared {
    /// Finds the iterations that every node takes part in, and what is wrong with them.
    pub(crate) fn new(
        nodes: Vec<DeclaredNode>,
        outputs: Vec<(String, Input)>,
    ) -> (Self, Vec<(usize, ScopeMistake)>) {
        let (scopes, mistakes) = scope::Scopes::find(&nodes);
        (Self { nodes, outputs, scopes }, mistakes)
    }

    /// The nodes that nobody links to.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = &DeclaredNode> {
        let mut linked = vec![false; self.nodes.len()];
        for node in &self.nodes {
            node.inputs.iter().for_each(|input| input.links(&mut |source, _| linked[source] = true));
        }
        let opens = |node: &DeclaredNode| node.control().is_some_and(Control::opens);
        self.nodes
            .iter()
            .zip(linked)
            .filter(move |(node, linked)| !linked && !opens(node))
            .map(|(node, _)| node)
    }

    /// Expands the nodes with what is written in the graph and what a run has computed so far.
    pub(crate) fn expand(&self, world: &dyn World, known: &Known, judge: &mut dyn Judge) -> Expansion {
        build::Builder::new(self, world, known, judge).expand()
    }
}

impl Graph {
    /// The graph with what is known by now: what was pending is decided as far as it can be.
    pub(crate) fn expanded(&self, world: &dyn World, known: &Known) -> Graph {
        let Expansion { nodes, instances, outputs } = self.declared.expand(world, known, &mut Deaf);
        Graph {
            nodes,
            instances,
            outputs,
            included: self.included.clone(),
            provenance: self.provenance.clone(),
            declared: Arc::clone(&self.declared),
        }
    }
}
