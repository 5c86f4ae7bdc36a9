//! Where an output comes from: embedded into files, so that they can be made again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The graph, the parameters and the weights behind a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The text of the graph file.
    pub graph: String,
    /// The name the graph was read under.
    pub graph_name: String,
    /// The texts of the graph files that it includes, by path.
    pub includes: BTreeMap<String, String>,
    /// Every parameter with the value it had, as plain text: what `--set` takes.
    pub params: BTreeMap<String, String>,
    /// Inputs that were set from outside, `node.input` to value.
    pub overrides: BTreeMap<String, String>,
    /// BLAKE3 digests of the files behind the run, by path.
    pub digests: BTreeMap<String, String>,
    /// The engine's version.
    pub engine: String,
    /// Device and number format of the run, as the world names them.
    pub environment: String,
}
