//! `lumina-graph doctor`.

use clap::Args;

use super::CacheArguments;

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// The device that must work: `auto`, `cpu`, `cuda:0`; others that do not are only mentioned
    #[arg(long, default_value = "auto", help_heading = "Computing")]
    pub(crate) device: String,

    #[command(flatten)]
    pub(crate) cache: CacheArguments,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
