//! What has become of the nodes of a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::node_error::NodeError;
use crate::plan::Refusal;
use crate::value::Value;

/// What became of the nodes of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Every planned node in the order of the plan.
    pub nodes: Vec<(String, Outcome)>,
    /// What the targets gave that gave anything, by name.
    pub outputs: BTreeMap<String, Arc<[Value]>>,
    /// The run was cancelled before its end.
    pub interrupted: bool,
    /// The run was not even begun: it would not have fitted into memory.
    pub refused: Option<Refusal>,
}

/// What became of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It computed its outputs.
    Ran,
    /// Its outputs were in the cache.
    Cached,
    /// It gave an error.
    Failed(NodeError),
    /// A node it depends on failed.
    Blocked {
        /// Which one.
        by: String,
    },
    /// The run was cancelled before it was reached, or while it ran.
    Interrupted,
    /// Another node had failed, and the run was to stop at the first failure.
    Skipped,
}

impl Report {
    /// The names of the nodes with an outcome.
    pub fn with(&self, is: impl Fn(&Outcome) -> bool) -> Vec<&str> {
        self.nodes.iter().filter(|(_, outcome)| is(outcome)).map(|(name, _)| name.as_str()).collect()
    }

    /// The nodes that computed.
    pub fn ran(&self) -> Vec<&str> {
        self.with(|outcome| *outcome == Outcome::Ran)
    }

    /// The nodes answered from the cache.
    pub fn cached(&self) -> Vec<&str> {
        self.with(|outcome| *outcome == Outcome::Cached)
    }

    /// The nodes that gave an error, with it.
    pub fn failures(&self) -> Vec<(&str, &NodeError)> {
        self.nodes
            .iter()
            .filter_map(|(name, outcome)| match outcome {
                Outcome::Failed(error) => Some((name.as_str(), error)),
                _ => None,
            })
            .collect()
    }
}
