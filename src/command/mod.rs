//! One file per command.

mod cache;
mod check;
mod completions;
mod graph;
mod inspect;
mod nodes;
mod plan;
mod report;
mod run;
mod watch;

use std::path::PathBuf;

use lumina_engine::{
    Cancel, Checked, DiskCache, Document, Engine, Events, Graph, Overrides, Registry, Report, Resources,
    RunOptions, Source,
};
use lumina_nodes::{Compute, Network};

use crate::arguments::{Arguments, CacheArguments, ColorChoice, Command, GraphArguments, RunArguments};
use crate::exit::Exit;
use crate::folder_store::FolderStore;
use crate::json::{self, JsonEvents};
use crate::memory;
use crate::messages::{answer, diagnostics, error, is_unprinted, say};
use crate::params_file;
use crate::previews::{Previews, Told};
use crate::progress::Progress;
use crate::trace::Trace;
use crate::world::LocalWorld;

/// What every command may need to know beside its own arguments.
struct Context {
    engine: Engine,
    color: ColorChoice,
    quiet: bool,
    verbose: bool,
}

pub(crate) fn run(arguments: Arguments, registry: Registry) -> Exit {
    let mut engine = Engine::new(registry).with_memory_budget(memory::budget());
    if let Some(disk) = arguments.command.cache().and_then(disk_cache) {
        engine = engine.with_disk_cache(disk);
    }
    let context =
        Context { engine, color: arguments.color, quiet: arguments.quiet, verbose: arguments.verbose > 0 };
    let exit = match arguments.command {
        Command::Run(arguments) => run::run(&context, &arguments),
        Command::Watch(arguments) => watch::watch(&context, &arguments),
        Command::Check(arguments) => check::check(&context, &arguments),
        Command::Plan(arguments) => plan::plan(&context, &arguments),
        Command::Nodes { command } => nodes::nodes(&context, &command),
        Command::Inspect(arguments) => inspect::inspect(&context, &arguments),
        Command::Graph { command } => graph::graph(&context, &command),
        Command::Cache { command } => cache::cache(&command),
        Command::Completions { shell } => completions::completions(shell),
    };
    if exit == Exit::Ok && is_unprinted() { Exit::File } else { exit }
}

/// The environment variable that names a cache folder.
const CACHE_VARIABLE: &str = "LUMINA_GRAPH_CACHE";

/// The disk cache that was asked for.
fn disk_cache(arguments: &CacheArguments) -> Option<DiskCache> {
    let variable = || std::env::var_os(CACHE_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = arguments.cache_dir.clone().or_else(variable)?;
    Some(DiskCache::new(FolderStore::new(folder), arguments.cache_limit.saturating_mul(1 << 20)))
}

/// A graph that was read and checked, with the world it is in.
struct Loaded {
    world: LocalWorld,
    document: Document,
    checked: Checked,
}

impl Context {
    /// Reads and checks a graph; prints why it cannot even be read. `download` lets models be fetched.
    fn load(&self, arguments: &GraphArguments, download: bool, no_metadata: bool) -> Result<Loaded, Exit> {
        let world = world(arguments, download)?;
        let (document, checked) = self.check(arguments, &world, no_metadata)?;
        Ok(Loaded { world, document, checked })
    }

    fn check(
        &self,
        arguments: &GraphArguments,
        world: &LocalWorld,
        no_metadata: bool,
    ) -> Result<(Document, Checked), Exit> {
        let text = std::fs::read_to_string(&arguments.graph).map_err(|cause| {
            let help = match cause.kind() {
                std::io::ErrorKind::InvalidData => Some("a graph is a UTF-8 text"),
                _ => None,
            };
            error(&format!("cannot read the graph `{}`: {cause}", arguments.graph.display()), help);
            Exit::File
        })?;
        let everywhere =
            no_metadata.then(|| ("metadata".to_owned(), "false".to_owned())).into_iter().collect();
        let overrides = Overrides { values: values(arguments, self.color)?, everywhere };
        Ok(self.engine.check(Source::new(arguments.graph.clone(), text), world, &overrides))
    }

    fn print_diagnostics(&self, document: &Document, checked: &Checked, as_json: bool) {
        if as_json {
            for diagnostic in &checked.diagnostics {
                answer(&json::diagnostic(&document.source, diagnostic).to_string());
            }
        } else {
            diagnostics(&document.source, &checked.diagnostics, self.color, self.quiet);
        }
    }

    /// Runs a graph for some nodes, showing what happens.
    fn run(
        &self,
        graph: &Graph,
        world: &LocalWorld,
        targets: Vec<usize>,
        cancel: Cancel,
        arguments: &RunArguments,
    ) -> (Report, Exit) {
        let progress = Progress::new(self.quiet, self.verbose);
        let events: &dyn Events = if arguments.json { &JsonEvents } else { &progress };
        let names: Vec<String> = targets.iter().map(|target| graph.nodes[*target].name.clone()).collect();
        let told = match (arguments.json, self.verbose) {
            (true, _) => Told::Json,
            (false, true) => Told::Reader,
            (false, false) => Told::Nobody,
        };
        let file = &arguments.graph.graph;
        let previews = Previews::new(events, world, &arguments.preview_dir, file, told);
        let trace = Trace::new(&previews);
        let events: &dyn Events = if arguments.trace.is_some() { &trace } else { &previews };
        let report = self.engine.run(
            graph,
            world,
            RunOptions {
                targets: Some(targets),
                cancel,
                events,
                fail_fast: arguments.fail_fast,
                preview_every: arguments.preview,
            },
        );
        let exit = Exit::of_report(&report, &names);
        if let Some(path) = &arguments.trace
            && let Err(cause) = trace.write(path, world)
        {
            say(&format!("warning: cannot write the trace `{}`: {cause}", path.display()));
        }
        if let Some(disk) = &self.engine.cache().disk
            && let Err(cause) = disk.collect()
        {
            say(&format!("warning: cannot keep the cache within its limit: {cause}"));
        }
        (report, exit)
    }

    /// The positions of nodes named with `--only`.
    fn targets(&self, graph: &Graph, only: &[String]) -> Result<Option<Vec<usize>>, Exit> {
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

/// This machine, with the device that was asked for.
fn world(arguments: &GraphArguments, download: bool) -> Result<LocalWorld, Exit> {
    let compute = Compute::open(&arguments.device.device, &arguments.device.dtype).map_err(|cause| {
        error(&cause.to_string(), None);
        Exit::Usage
    })?;
    let environment = compute.to_string();
    let mut resources = Resources::default();
    resources.insert(compute);
    resources.insert(Network { offline: arguments.device.offline, download });
    Ok(LocalWorld::new(&arguments.graph, environment, resources))
}

/// Values from `--params`, `--seed` and `--set`; later ones win.
fn values(arguments: &GraphArguments, color: ColorChoice) -> Result<Vec<(String, String)>, Exit> {
    let mut values = match &arguments.params {
        None => Vec::new(),
        Some(path) => params_file::read(path, color)?,
    };
    values.extend(arguments.seed.map(|seed| ("seed".to_owned(), seed.to_string())));
    values.extend(arguments.set.iter().cloned());
    Ok(values)
}
