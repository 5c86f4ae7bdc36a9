//! A checked graph: every name looked up, every literal converted, nodes in an order in which they can run.

use std::path::PathBuf;
use std::sync::Arc;

use crate::fact::Fact;
use crate::provenance::Provenance;
use crate::registry::Kind;
use crate::value::Value;

/// A graph that can run. Made by [`check`](crate::check()).
pub struct Graph {
    /// The nodes; every link points to an earlier one.
    pub nodes: Vec<GraphNode>,
    /// Where the outputs of a run come from. Digests are added by the run.
    pub provenance: Provenance,
}

/// A node of a checked graph.
pub struct GraphNode {
    /// Its name in the file.
    pub name: String,
    /// What it is.
    pub kind: Arc<Kind>,
    /// One for each input of the kind, in its order.
    pub inputs: Vec<Input>,
    /// What is known of the outputs.
    pub outputs: Vec<Fact>,
    /// Files whose content decides the outputs.
    pub files: Vec<PathBuf>,
    /// Bytes of memory it needs while it runs.
    pub working_bytes: u64,
    /// Bytes of memory that its outputs hold on to afterwards.
    pub output_bytes: u64,
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
    /// Several of them.
    List(Vec<Input>),
}

impl Input {
    /// Calls `visit` with every link in it, as (node, output). Lists nest no deeper than the file format lets them.
    pub fn links(&self, visit: &mut dyn FnMut(usize, usize)) {
        match self {
            Input::Absent | Input::Value(_) => {}
            Input::Link { node, output } => visit(*node, *output),
            Input::List(items) => items.iter().for_each(|item| item.links(visit)),
        }
    }
}

impl Graph {
    /// The position of a node.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == name)
    }

    /// What a run is for: the nodes that act on the outside, or, if there are none, those nobody links to.
    pub fn targets(&self) -> Vec<usize> {
        let effects: Vec<usize> =
            (0..self.nodes.len()).filter(|index| self.nodes[*index].kind.spec.effect).collect();
        if !effects.is_empty() {
            return effects;
        }
        let mut linked = vec![false; self.nodes.len()];
        for node in &self.nodes {
            node.links(&mut |source, _| linked[source] = true);
        }
        (0..self.nodes.len()).filter(|index| !linked[*index]).collect()
    }
}

impl GraphNode {
    /// Calls `visit` with every link of the node, as (node, output).
    pub fn links(&self, visit: &mut dyn FnMut(usize, usize)) {
        self.inputs.iter().for_each(|input| input.links(visit));
    }
}
