//! One file per command.

mod check;
mod completions;
mod inspect;
mod nodes;
mod plan;
mod run;

use lumina_engine::{Checked, Document, Engine, Overrides, Registry, Resources, Source};
use lumina_nodes::Compute;

use crate::arguments::{Arguments, Command, GraphArguments};
use crate::exit::Exit;
use crate::messages::error;
use crate::params_file;
use crate::world::LocalWorld;

/// What every command may need to know beside its own arguments.
struct Context {
    engine: Engine,
    color: crate::arguments::ColorChoice,
    quiet: bool,
    verbose: bool,
}

pub(crate) fn run(arguments: Arguments, registry: Registry) -> Exit {
    let context = Context {
        engine: Engine::new(registry),
        color: arguments.color,
        quiet: arguments.quiet,
        verbose: arguments.verbose > 0,
    };
    match arguments.command {
        Command::Run(arguments) => run::run(&context, &arguments),
        Command::Check(arguments) => check::check(&context, &arguments),
        Command::Plan(arguments) => plan::plan(&context, &arguments),
        Command::Nodes { command } => nodes::nodes(&context, &command),
        Command::Inspect(arguments) => inspect::inspect(&context, &arguments),
        Command::Completions { shell } => completions::completions(shell),
    }
}

/// A graph that was read and checked, with the world it is in.
struct Loaded {
    world: LocalWorld,
    document: Document,
    checked: Checked,
}

impl Context {
    /// Reads and checks a graph; prints why it cannot even be read. `download` lets models be fetched.
    fn load(&self, arguments: &GraphArguments, download: bool) -> Result<Loaded, Exit> {
        let text = std::fs::read_to_string(&arguments.graph).map_err(|cause| {
            let help = match cause.kind() {
                std::io::ErrorKind::InvalidData => Some("a graph is a UTF-8 text"),
                _ => None,
            };
            error(&format!("cannot read the graph `{}`: {cause}", arguments.graph.display()), help);
            Exit::File
        })?;
        let compute = Compute::open(&arguments.device.device, &arguments.device.dtype).map_err(|cause| {
            error(&cause.to_string(), None);
            Exit::Usage
        })?;
        let environment = compute.to_string();
        let mut resources = Resources::default();
        resources.insert(compute);
        resources.insert(lumina_nodes::Network { offline: arguments.device.offline, download });
        let world = LocalWorld::new(&arguments.graph, environment, resources);
        let overrides = Overrides { values: values(arguments)? };
        let source = Source::new(arguments.graph.clone(), text);
        let (document, checked) = self.engine.check(source, &world, &overrides);
        Ok(Loaded { world, document, checked })
    }

    /// The positions of nodes named with `--only`.
    fn targets(&self, graph: &lumina_engine::Graph, only: &[String]) -> Result<Option<Vec<usize>>, Exit> {
        if only.is_empty() {
            return Ok(None);
        }
        let position = |name: &String| {
            graph.position(name).ok_or_else(|| {
                let names = graph.nodes.iter().map(|node| node.name.as_str());
                let help = lumina_engine::suggest(name, names);
                error(&format!("`--only {name}`: no node of the graph has this name"), help.as_deref());
                Exit::Usage
            })
        };
        only.iter().map(position).collect::<Result<Vec<_>, _>>().map(Some)
    }
}

/// Values from `--params`, `--seed` and `--set`; later ones win.
fn values(arguments: &GraphArguments) -> Result<Vec<(String, String)>, Exit> {
    let mut values = match &arguments.params {
        None => Vec::new(),
        Some(path) => params_file::read(path).map_err(|cause| {
            error(&format!("`--params`: {cause:#}"), None);
            Exit::Usage
        })?,
    };
    values.extend(arguments.seed.map(|seed| ("seed".to_owned(), seed.to_string())));
    values.extend(arguments.set.iter().cloned());
    Ok(values)
}
