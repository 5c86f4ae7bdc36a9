//! `lumina-graph cache`, and the flags of all commands that use a cache.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::GraphArguments;

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
    /// Say why a node would run, or why not
    ///
    /// The node is compared with the last run of this graph file with this cache. `would run` is what is known before
    /// anything runs: where a node turns out to give what it gave before, those after it do not run. With `--json` each
    /// reason has one of these codes:
    ///
    /// It would not run: `cached` (in the cache), `not_needed` (nothing that would run needs it), `left_out` (a condition
    /// or an empty list leaves it out), `control` (it only decides which nodes run), `undecided` (another node has to
    /// decide first), `fails` (it would fail before it starts).
    ///
    /// It would run: `never_ran` (with this cache), `kind`, `version` (of the kind), `literal` (an input written in the
    /// graph), `source` (an input comes from another node or output), `upstream` (what an input comes from changed, down
    /// to the first cause), `file`, `environment` (device or number format), `thrifty` (it has to save memory, or no
    /// longer), `key_version` (of the program), `not_storable` (its outputs cannot be kept on disk), `not_kept` (it was
    /// told not to), `removed` (evicted or removed), `file_gone` (what it wrote), `cache_off`, `cache_refresh`.
    #[command(after_help = r#"Examples:
  lumina-graph cache explain latent graphs/t2i.ron --cache-dir cache
  lumina-graph cache explain latent graphs/t2i.ron --set seed=7 --cache-dir cache --json"#)]
    Explain(Box<ExplainArguments>),
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

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// A node, one of its turns (`text[2]`), a node of an included graph (`up/decode`) or an output of the graph
    pub(crate) node: String,

    #[command(flatten)]
    pub(crate) graph: GraphArguments,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
