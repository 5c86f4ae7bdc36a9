//! `lumina-graph run --lock` and `lumina-graph verify`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct LockArguments {
    /// After a run that succeeded, write what it was made from and what it gave into `GRAPH.lock.ron` beside the graph
    #[arg(long, conflicts_with_all = ["locked", "sweep"], help_heading = "Lock file")]
    pub(crate) lock: bool,

    /// Run only if files, node kinds, values and device are those of the lock file
    #[arg(long, conflicts_with = "sweep", help_heading = "Lock file")]
    pub(crate) locked: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// Pictures made here, or `.lock.ron` files
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// Where to compute; as recorded unless given
    #[arg(long, help_heading = "Computing")]
    pub(crate) device: Option<String>,

    /// Number format of weights and activations; as recorded unless given
    #[arg(long, help_heading = "Computing")]
    pub(crate) dtype: Option<String>,

    /// Never use the network
    #[arg(long, help_heading = "Computing")]
    pub(crate) offline: bool,

    /// Print one object for each file made again, then one final object
    #[arg(long)]
    pub(crate) json: bool,
}
