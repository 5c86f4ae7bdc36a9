//! What a run has done so far, by the names of nodes: positions change when a graph is expanded again.

use std::collections::HashMap;
use std::sync::Arc;

use crate::cache::Outputs;
use crate::expand::Known;

/// Outputs and failures of earlier rounds of a run.
#[derive(Default)]
pub(crate) struct Done {
    /// What nodes gave.
    pub(crate) outputs: HashMap<String, Outputs>,
    /// Nodes without outputs, and the node that is to blame.
    pub(crate) failed: HashMap<String, String>,
}

impl Done {
    /// Is there nothing left to do for this node?
    pub(crate) fn has(&self, node: &str) -> bool {
        self.outputs.contains_key(node) || self.failed.contains_key(node)
    }

    /// The values that decide how a graph is expanded.
    pub(crate) fn known(&self) -> Known {
        self.outputs.iter().map(|(node, outputs)| (node.clone(), Arc::clone(&outputs.values))).collect()
    }
}
