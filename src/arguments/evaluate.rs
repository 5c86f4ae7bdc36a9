//! The commands that evaluate a graph, or stop before: `run`, `watch`, `check`, `plan`.

use std::path::PathBuf;

use clap::Args;

use super::CacheArguments;

#[derive(Debug, Args)]
pub(crate) struct GraphArguments {
    /// The graph file
    pub(crate) graph: PathBuf,

    /// Set a parameter (`name=value`) or an input of a node (`node.input=value`); may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_value, help_heading = "Values")]
    pub(crate) set: Vec<(String, String)>,

    /// Let a parameter take several values in one run: `seed=1,2,3`; several sweeps make every combination
    ///
    /// What the values do not change is computed once. `seed=0..8` stands for the numbers from 0 to 7, `prompt=@FILE`
    /// for the lines of a file. A value with a comma in it is written in quotes, or all of them as a list:
    /// `'prompt="a, b",c'`, `'prompt=["a, b", "c"]'`. Output paths that do not name the parameter get numbers. A sweep
    /// wins over `--set` and `--params`.
    #[arg(long, value_name = "NAME=VALUES", value_parser = name_value, help_heading = "Values")]
    pub(crate) sweep: Vec<(String, String)>,

    /// Take the values of all sweeps together, the first of each, then the second, instead of every combination
    #[arg(long, requires = "sweep", help_heading = "Values")]
    pub(crate) zip: bool,

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

    /// The most memory that a run may use by its plan, in MiB; what is free unless given
    ///
    /// A run that would need more computes in smaller pieces where it can. One that does not fit even so ends with 5
    /// before anything is loaded.
    #[arg(long, value_name = "MIB", help_heading = "Computing")]
    pub(crate) memory_limit: Option<u64>,

    /// Never use the network
    #[arg(long, help_heading = "Computing")]
    pub(crate) offline: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) graph: GraphArguments,

    /// Run only for this output or node; may be repeated
    #[arg(long, value_name = "NODE")]
    pub(crate) only: Vec<String>,

    /// Write the run into this file in Chrome's trace format, for `chrome://tracing` or Perfetto
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,

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

    /// Start no other node once one has failed
    #[arg(long)]
    pub(crate) fail_fast: bool,

    /// Leave the graph and parameters out of written files
    #[arg(long)]
    pub(crate) no_metadata: bool,

    /// Print events as JSON, one a line, then one final object
    #[arg(long)]
    pub(crate) json: bool,
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

    /// Plan only for this output or node; may be repeated
    #[arg(long, value_name = "NODE")]
    pub(crate) only: Vec<String>,

    /// Print JSON
    #[arg(long)]
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
