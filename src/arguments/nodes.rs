//! `lumina-graph nodes`.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum NodesCommand {
    /// List all node kinds
    #[command(after_help = r#"Example:
  lumina-graph nodes ls --json"#)]
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one node kind: inputs, outputs, an example
    #[command(after_help = r#"Example:
  lumina-graph nodes show sampler.ode"#)]
    Show {
        /// The kind, for example `sampler.ode`
        kind: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}
