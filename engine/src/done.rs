//! What a run has done so far, by the names of nodes: positions change when a graph is expanded again.

use std::collections::HashMap;
use std::sync::Arc;

use crate::cache::Outputs;
use crate::expand::Known;

/// Outputs and failures of earlier rounds of a run.
#[derive(Default)]
pub(crate) struct Done {
    /// What nodes gave, while somebody may need it.
    pub(crate) outputs: HashMap<String, Outputs>,
    /// What has decided how the graph is expanded, and will again in every later round.
    pub(crate) known: Known,
    /// Nodes without outputs, and the node that is to blame.
    pub(crate) failed: HashMap<String, String>,
}

impl Done {
    /// Is there nothing left to do for this node?
    pub(crate) fn has(&self, node: &str) -> bool {
        self.outputs.contains_key(node) || self.failed.contains_key(node)
    }

    /// Remembers what a node gave because it decides how the graph is expanded.
    pub(crate) fn remember(&mut self, node: &str) {
        if let Some(outputs) = self.outputs.get(node) {
            self.known.insert(node.to_owned(), Arc::clone(&outputs.values));
        }
    }
}
