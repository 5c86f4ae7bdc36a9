//! The command line: one definition per flag, from which help and completions are made. One file per group of commands.

mod cache;
mod doctor;
mod evaluate;
mod graph;
mod inspect;
mod lock;
mod nodes;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use cache::{CacheArguments, CacheCommand, ExplainArguments};
pub(crate) use doctor::DoctorArguments;
pub(crate) use evaluate::{CheckArguments, DeviceArguments, GraphArguments, PlanArguments, RunArguments};
pub(crate) use graph::GraphCommand;
pub(crate) use inspect::InspectArguments;
pub(crate) use lock::{LockArguments, VerifyArguments};
pub(crate) use nodes::NodesCommand;

/// Run graphs of flow-based diffusion transformers
///
/// A graph is a RON file of named nodes. `lumina-graph run graphs/t2i.ron` evaluates one; `lumina-graph check`
/// finds its mistakes without loading anything.
#[derive(Debug, Parser)]
#[command(
    name = "lumina-graph",
    version,
    after_help = r#"Examples:
  lumina-graph run graphs/t2i.ron --set prompt="a red apple"
  lumina-graph help run

Exit codes: 0 ok, 1 run failed, 2 usage, 3 invalid graph, 4 missing or bad file, 5 out of memory, 6 partial success, 130 interrupted"#
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,

    // Shown below the flags that a command has of its own.
    /// When to use colours
    #[arg(long, global = true, display_order = 900, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub(crate) color: ColorChoice,

    /// Say only what went wrong
    #[arg(short, long, global = true, display_order = 901, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Say more: every node, with its time
    #[arg(short, long, global = true, display_order = 902, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

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
    #[command(after_help = r#"Examples:
  lumina-graph run graphs/t2i.ron
  lumina-graph run graphs/t2i.ron --seed 3 --set prompt="a red apple" --set guided.scale=4
  lumina-graph run graphs/t2i.ron --only latent --json
  lumina-graph run graphs/t2i.ron --sweep prompt="a red apple,a blue owl" --sweep seed=0..4
  lumina-graph run graphs/t2i.ron --lock"#)]
    Run {
        #[command(flatten)]
        run: RunArguments,

        #[command(flatten)]
        lock: LockArguments,
    },
    /// Evaluate a graph again whenever it changes
    ///
    /// An edit to the graph file, to one it includes, to a picture it reads or to a weight file runs only what depends on
    /// it; weights stay in memory. An edit that makes the graph invalid prints why and keeps the last valid one. Ctrl-C ends it.
    #[command(after_help = r#"Examples:
  lumina-graph watch graphs/t2i.ron --set steps=8
  lumina-graph watch graphs/t2i.ron --sweep prompt=@prompts.txt"#)]
    Watch(RunArguments),
    /// Find all mistakes of a graph without loading weights
    #[command(after_help = r#"Examples:
  lumina-graph check graphs/t2i.ron
  lumina-graph check graphs/t2i.ron --set model=models/Lumina-Next-SFT-diffusers
  lumina-graph check graphs/t2i.ron --sweep steps=10,20 --sweep guidance=3,4 --zip"#)]
    Check(CheckArguments),
    /// Show what a run would do, in which order and with how much memory
    #[command(after_help = r#"Examples:
  lumina-graph plan graphs/t2i.ron --set width=128 --set height=128
  lumina-graph plan graphs/t2i.ron --only times --json
  lumina-graph plan graphs/t2i.ron --sweep seed=0..8"#)]
    Plan(PlanArguments),
    /// Show the node kinds
    #[command(after_help = r#"Example:
  lumina-graph nodes ls"#)]
    Nodes {
        #[command(subcommand)]
        command: NodesCommand,
    },
    /// Show what a file is and where it comes from: a picture made here, a model folder, weights
    ///
    /// Of weights it says which network they are, of which published size, and which node loads them; `--verbose` lists
    /// the tensors. Ends with 0 when this could be said, also of weights that no network here has, and with 4 when a file
    /// is missing or damaged, or lacks tensors of its network.
    #[command(after_help = r#"Examples:
  lumina-graph inspect out/t2i_0.png
  lumina-graph inspect out/t2i_0.png --graph > again.ron
  lumina-graph inspect weights/lumina-next-tiny --json
  lumina-graph inspect weights/lumina-next-tiny/transformer"#)]
    Inspect(InspectArguments),
    /// Make files again, and say whether they come out the same
    ///
    /// A picture made here is made from the graph and the parameters inside it, a `.lock.ron` file from the graph beside
    /// it. Nothing is written over: what is made goes to a temporary folder. Ends with 0 when all pixels are the same, 1
    /// when some differ, 3 when a file has no graph in it or one that is invalid, 4 when a file is missing.
    #[command(after_help = r#"Examples:
  lumina-graph verify out/t2i_0.png
  lumina-graph verify graphs/t2i.lock.ron --json"#)]
    Verify(VerifyArguments),
    /// Lay out graph files, show one as a picture, or show what two differ in
    #[command(after_help = r#"Example:
  lumina-graph graph fmt graphs/t2i.ron"#)]
    Graph {
        #[command(subcommand)]
        command: GraphCommand,
    },
    /// Look after results that are kept on disk
    #[command(after_help = r#"Example:
  lumina-graph cache ls --cache-dir cache"#)]
    Cache {
        #[command(subcommand)]
        command: CacheCommand,
    },
    /// Show whether everything that a run needs is there: for a new installation, and for reports of mistakes
    ///
    /// One line for each thing that was looked at: `ok`, `warning` or `error`. Ends with 1 when there is an error.
    #[command(after_help = r#"Examples:
  lumina-graph doctor
  lumina-graph doctor --device cuda:0 --json"#)]
    Doctor(DoctorArguments),
    /// Print a completion script for a shell
    #[command(after_help = r#"Example:
  lumina-graph completions bash > lumina-graph.bash"#)]
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Command {
    /// Where and with how much memory a command computes.
    fn device(&self) -> Option<&DeviceArguments> {
        match self {
            Command::Run { run: arguments, .. } | Command::Watch(arguments) => Some(&arguments.graph.device),
            Command::Plan(arguments) => Some(&arguments.graph.device),
            Command::Cache { command: CacheCommand::Explain(arguments) } => Some(&arguments.graph.device),
            _ => None,
        }
    }

    /// Bytes that runs of a command may use, where that was said.
    pub(crate) fn memory_limit(&self) -> Option<u64> {
        self.device()?.memory_limit?.checked_mul(1 << 20)
    }

    /// The cache that a command works with.
    pub(crate) fn cache(&self) -> Option<&CacheArguments> {
        match self {
            Command::Run { run: arguments, .. } | Command::Watch(arguments) => Some(&arguments.graph.cache),
            Command::Plan(arguments) => Some(&arguments.graph.cache),
            Command::Cache { command: CacheCommand::Explain(arguments) } => Some(&arguments.graph.cache),
            _ => None,
        }
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

    /// The words of an example, as a shell would give them; `|`, `>` and `<` end them.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut is_quoted = false;
        for character in line.chars() {
            match character {
                '"' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(String::new()),
                other => words.last_mut().unwrap().push(other),
            }
        }
        assert!(!is_quoted, "{line}");
        words.into_iter().take_while(|word| !matches!(word.as_str(), "|" | ">" | "<")).collect()
    }

    #[test]
    fn every_command_shows_examples_of_itself_that_can_be_typed() {
        let mut commands = vec![("lumina-graph".to_owned(), Arguments::command())];
        while let Some((name, command)) = commands.pop() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Example"), "`{name} --help` ends without an example");
            let examples: Vec<&str> = help.lines().skip(1).take_while(|line| !line.is_empty()).collect();
            assert!(!examples.is_empty(), "{name}");
            for example in examples {
                let typed = example.strip_prefix(&format!("  {name}"));
                assert!(typed.is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')), "{example}");
                assert!(example.len() <= 100, "wrapped on a terminal: {example}");
                if let Err(refused) = Arguments::try_parse_from(words(example.trim())) {
                    assert_eq!(refused.kind(), clap::error::ErrorKind::DisplayHelp, "{refused}");
                }
            }
            let below = command.get_subcommands();
            commands.extend(below.map(|below| (format!("{name} {}", below.get_name()), below.clone())));
        }
    }
}
