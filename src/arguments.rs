//! The command line: one definition per flag, from which help and completions are made.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Run graphs of flow-based diffusion transformers
///
/// A graph is a RON file of named nodes. `lumina-graph run graphs/t2i.ron` evaluates one; `lumina-graph check`
/// finds its mistakes without loading anything.
#[derive(Debug, Parser)]
#[command(name = "lumina-graph", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub(crate) color: ColorChoice,

    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Say more: every node, with its time
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 run failed, 2 usage, 3 invalid graph, 4 missing or bad file, \
5 out of memory, 6 partial success, 130 interrupted";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Evaluate a graph
    ///
    /// Paths of written files go to the standard output, everything else to the standard error.
    Run(RunArguments),
    /// Evaluate a graph again whenever it changes
    ///
    /// An edit to the graph file, to a picture it reads or to a weight file runs only what depends on it; weights stay
    /// in memory. An edit that makes the graph invalid prints why and keeps the last valid one. Ctrl-C ends it.
    Watch(RunArguments),
    /// Find all mistakes of a graph without loading weights
    Check(CheckArguments),
    /// Show what a run would do, in which order and with how much memory
    Plan(PlanArguments),
    /// Show the node kinds
    Nodes {
        #[command(subcommand)]
        command: NodesCommand,
    },
    /// Show what a file is and where it comes from: a picture made here, a model folder, weights
    Inspect(InspectArguments),
    /// Show a graph as a picture, or what two graphs differ in
    Graph {
        #[command(subcommand)]
        command: GraphCommand,
    },
    /// Look after results that are kept on disk
    Cache {
        #[command(subcommand)]
        command: CacheCommand,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Command {
    /// The cache that a command works with.
    pub(crate) fn cache(&self) -> Option<&CacheArguments> {
        match self {
            Command::Run(arguments) | Command::Watch(arguments) => Some(&arguments.graph.cache),
            Command::Plan(arguments) => Some(&arguments.graph.cache),
            _ => None,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodesCommand {
    /// List all node kinds
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one node kind: inputs, outputs, an example
    Show {
        /// The kind, for example `sampler.ode`
        kind: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum GraphCommand {
    /// Print the graph for Graphviz: `lumina-graph graph dot g.ron | dot -Tsvg > g.svg`
    Dot {
        /// The graph file
        graph: PathBuf,
    },
    /// Print what two graphs differ in, by node and input; order and comments do not count
    ///
    /// Ends with 0 when they say the same, with 1 when they do not.
    Diff {
        /// The graph before
        before: PathBuf,
        /// The graph after
        after: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Show how much is kept
    Ls {
        #[command(flatten)]
        cache: CacheArguments,

        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove what was unused for longest until the limit is kept
    Gc {
        #[command(flatten)]
        cache: CacheArguments,
    },
    /// Remove everything
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
pub(crate) struct GraphArguments {
    /// The graph file
    pub(crate) graph: PathBuf,

    /// Set a parameter (`name=value`) or an input of a node (`node.input=value`); may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_value, help_heading = "Values")]
    pub(crate) set: Vec<(String, String)>,

    /// Set parameters from a RON or JSON file: `{"name": value, ...}`; `--set` wins over it
    #[arg(long, value_name = "FILE", help_heading = "Values")]
    pub(crate) params: Option<PathBuf>,

    /// Short for `--set seed=N`
    #[arg(long, value_name = "N", help_heading = "Values", allow_negative_numbers = true,
        value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) seed: Option<i64>,

    #[command(flatten)]
    pub(crate) device: DeviceArguments,

    #[command(flatten)]
    pub(crate) cache: CacheArguments,
}

#[derive(Debug, Args)]
pub(crate) struct DeviceArguments {
    /// Where to compute: `auto`, `cpu`, `cuda:0`
    #[arg(long, default_value = "auto", help_heading = "Computing")]
    pub(crate) device: String,

    /// Number format of weights and activations: `f32`, `bf16`, `f16`
    #[arg(long, default_value = "f32", help_heading = "Computing")]
    pub(crate) dtype: String,

    /// Never use the network
    #[arg(long, help_heading = "Computing")]
    pub(crate) offline: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) graph: GraphArguments,

    /// Run only for this node; may be repeated
    #[arg(long, value_name = "NODE")]
    pub(crate) only: Vec<String>,

    /// Write the run into this file in Chrome's trace format, for `chrome://tracing` or Perfetto
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,

    /// Start no other node once one has failed
    #[arg(long)]
    pub(crate) fail_fast: bool,

    /// Leave the graph and parameters out of written files
    #[arg(long)]
    pub(crate) no_metadata: bool,

    /// Print events as JSON, one a line, then one final object
    #[arg(long)]
    pub(crate) json: bool,

    /// Write a rough picture of the work so far every N steps: `every=N`
    #[arg(long, value_name = "every=N", value_parser = every, help_heading = "Previews")]
    pub(crate) preview: Option<u64>,

    /// Where previews go, as `{graph}_{node}_{step}.png`
    #[arg(
        long,
        value_name = "DIR",
        default_value = "preview",
        requires = "preview",
        help_heading = "Previews"
    )]
    pub(crate) preview_dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    pub(crate) graph: GraphArguments,

    /// Print diagnostics as JSON, one a line, then one final object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    pub(crate) graph: GraphArguments,

    /// Plan only for this node; may be repeated
    #[arg(long, value_name = "NODE")]
    pub(crate) only: Vec<String>,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// A file or a model folder
    pub(crate) file: PathBuf,

    /// Print only the graph, with the parameters it was run with: a file that runs again
    #[arg(long)]
    pub(crate) graph: bool,

    /// Print JSON
    #[arg(long, conflicts_with = "graph")]
    pub(crate) json: bool,
}

fn name_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err(format!("expected `name=value`, found `{text}`")),
    }
}

/// `every=N`: a word before the number leaves room for other ways to choose steps.
fn every(text: &str) -> Result<u64, String> {
    match text.strip_prefix("every=").map(str::parse) {
        Some(Ok(steps)) if steps > 0 => Ok(steps),
        _ => Err(format!("expected `every=N` with a number of steps from 1, found `{text}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn previews_need_a_number_of_steps() {
        assert_eq!(every("every=5"), Ok(5));
        for wrong in ["5", "every=0", "every=-1", "every=x", "each=5"] {
            assert!(every(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_value_may_contain_equal_signs() {
        assert_eq!(name_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(name_value("=c").is_err());
    }
}
