//! `lumina-graph inspect`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// A picture, a weight file, a folder with weights, or a model folder
    pub(crate) file: PathBuf,

    /// Print only the graph, with the parameters it was run with: a file that runs again
    #[arg(long)]
    pub(crate) graph: bool,

    /// Print JSON
    #[arg(long, conflicts_with = "graph")]
    pub(crate) json: bool,
}
