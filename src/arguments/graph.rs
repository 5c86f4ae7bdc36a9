//! `lumina-graph graph`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum GraphCommand {
    /// Lay out graph files, keeping comments and the order of everything
    ///
    /// Prints the names of the files that were rewritten. A file that is not well-formed is left as it is.
    #[command(after_help = r#"Examples:
  lumina-graph graph fmt graphs/t2i.ron graphs/t2i-diffusers.ron
  lumina-graph graph fmt --check graphs/t2i.ron
  lumina-graph graph fmt - < graphs/t2i.ron"#)]
    Fmt {
        /// The graph files; `-` alone reads the standard input and writes to the standard output
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,

        /// Write nothing: print the names of the files that would change, and end with 1 when there are any
        #[arg(long)]
        check: bool,
    },
    /// Print the graph for Graphviz
    #[command(after_help = r#"Example:
  lumina-graph graph dot graphs/t2i.ron | dot -Tsvg > t2i.svg"#)]
    Dot {
        /// The graph file
        graph: PathBuf,
    },
    /// Print what two graphs differ in, by node and input; order and comments do not count
    ///
    /// Ends with 0 when they say the same, with 1 when they do not.
    #[command(after_help = r#"Example:
  lumina-graph graph diff graphs/t2i.ron graphs/t2i-diffusers.ron"#)]
    Diff {
        /// The graph before
        before: PathBuf,
        /// The graph after
        after: PathBuf,
    },
}
