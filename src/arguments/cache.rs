//! `lumina-graph cache`, and the flags of all commands that use a cache.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Show how much is kept
    #[command(after_help = r#"Example:
  lumina-graph cache ls --cache-dir cache --json"#)]
    Ls {
        #[command(flatten)]
        cache: CacheArguments,

        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove what was unused for longest until the limit is kept
    #[command(after_help = r#"Example:
  lumina-graph cache gc --cache-dir cache --cache-limit 1024"#)]
    Gc {
        #[command(flatten)]
        cache: CacheArguments,
    },
    /// Remove everything
    #[command(after_help = r#"Example:
  lumina-graph cache clear --cache-dir cache"#)]
    Clear {
        #[command(flatten)]
        cache: CacheArguments,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CacheArguments {
    /// Keep results in this folder, so that they survive the program; `LUMINA_GRAPH_CACHE` does the same
    #[arg(long, value_name = "DIR", help_heading = "Cache")]
    pub(crate) cache_dir: Option<PathBuf>,

    /// The most the folder may hold, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 10_240, help_heading = "Cache")]
    pub(crate) cache_limit: u64,
}
