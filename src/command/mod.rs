//! One file per command.

mod cache;
mod cache_explain;
mod check;
mod completions;
mod doctor;
mod graph;
mod graph_fmt;
mod inspect;
mod locked;
mod nodes;
mod plan;
mod report;
mod run;
mod verify;
mod watch;

use std::path::{Path, PathBuf};

use lumina_engine::{
    Cancel, Checked, DiskCache, Document, Engine, Events, Graph, Overrides, Registry, Report, Resources,
    RunOptions, Source, World,
};
use lumina_nodes::{Compute, Network};

use crate::arguments::{
    Arguments, CacheArguments, ColorChoice, Command, DeviceArguments, GraphArguments, RunArguments,
};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::folder_store::FolderStore;
use crate::json::{self, JsonEvents};
use crate::memory;
use crate::messages::{answer, diagnostics, is_unprinted, say};
use crate::params_file;
use crate::previews::{Previews, Told};
use crate::progress::Progress;
use crate::sweeps;
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
    if let Some(limit) = arguments.command.memory_limit().or_else(memory::limit) {
        engine = engine.with_memory_limit(limit);
    }
    if let Some(disk) = arguments.command.cache().and_then(disk_cache) {
        engine = engine.with_disk_cache(disk);
    }
    let context =
        Context { engine, color: arguments.color, quiet: arguments.quiet, verbose: arguments.verbose > 0 };
    let exit = match arguments.command {
        Command::Run { run: arguments, lock } => run::run(&context, &arguments, &lock),
        Command::Watch(arguments) => watch::watch(&context, &arguments),
        Command::Check(arguments) => check::check(&context, &arguments),
        Command::Plan(arguments) => plan::plan(&context, &arguments),
        Command::Nodes { command } => nodes::nodes(&context, &command),
        Command::Inspect(arguments) => inspect::inspect(&context, &arguments),
        Command::Verify(arguments) => verify::verify(&context, &arguments),
        Command::Graph { command } => graph::graph(&context, &command),
        Command::Cache { command } => cache::cache(&context, &command),
        Command::Doctor(arguments) => doctor::doctor(&context, &arguments),
        Command::Completions { shell } => completions::completions(shell),
    };
    if exit == Exit::Ok && is_unprinted() { Exit::File } else { exit }
}

/// The environment variable that names a cache folder.
const CACHE_VARIABLE: &str = "LUMINA_GRAPH_CACHE";

/// The cache folder that was asked for.
fn cache_folder(arguments: &CacheArguments) -> Option<PathBuf> {
    let variable = || std::env::var_os(CACHE_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    arguments.cache_dir.clone().or_else(variable)
}

/// The disk cache that was asked for.
fn disk_cache(arguments: &CacheArguments) -> Option<DiskCache> {
    let folder = cache_folder(arguments)?;
    Some(DiskCache::new(FolderStore::new(folder), arguments.cache_limit.saturating_mul(1 << 20)))
}

/// A graph that was read and checked, with the world it is in.
struct Loaded {
    world: LocalWorld,
    document: Document,
    checked: Checked,
}

impl Context {
    /// Reads and checks a graph. `download` lets models be fetched.
    fn load(&self, arguments: &GraphArguments, download: bool, no_metadata: bool) -> Result<Loaded, Failure> {
        let world = world(arguments, download)?;
        let (document, checked) = self.check(arguments, &world, no_metadata)?;
        Ok(Loaded { world, document, checked })
    }

    fn check(
        &self,
        arguments: &GraphArguments,
        world: &LocalWorld,
        no_metadata: bool,
    ) -> Result<(Document, Checked), Failure> {
        let text = read_graph(&arguments.graph)?;
        let everywhere =
            no_metadata.then(|| ("metadata".to_owned(), "false".to_owned())).into_iter().collect();
        let overrides = Overrides {
            values: values(arguments, self.color)?,
            everywhere,
            sweeps: sweeps::read(&arguments.sweep, arguments.zip)?,
        };
        Ok(self.engine.check(Source::new(arguments.graph.clone(), text), world, &overrides))
    }

    /// Prints what a check found, and takes the graph; without one, why there is none.
    fn graph(&self, document: &Document, checked: &mut Checked, as_json: bool) -> Result<Graph, Failure> {
        self.print_diagnostics(checked, as_json);
        let summary = summary(document, checked);
        if !checked.diagnostics.is_empty() && !as_json && !self.quiet {
            say(&summary);
        }
        let exit = Exit::of_diagnostics(&checked.diagnostics);
        checked.graph.take().ok_or_else(|| Failure::told(exit, summary))
    }

    fn print_diagnostics(&self, checked: &Checked, as_json: bool) {
        if as_json {
            for diagnostic in &checked.diagnostics {
                answer(&json::diagnostic(&checked.sources, diagnostic).to_string());
            }
        } else {
            diagnostics(&checked.sources, &checked.diagnostics, self.color, self.quiet);
        }
    }

    /// Runs a graph for some nodes, showing what happens.
    fn run(
        &self,
        graph: &Graph,
        world: &LocalWorld,
        targets: Vec<String>,
        cancel: Cancel,
        arguments: &RunArguments,
    ) -> (Report, Exit) {
        let progress = Progress::new(self.quiet, self.verbose);
        let events: &dyn Events = if arguments.json { &JsonEvents } else { &progress };
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
                recipes: Some(recipes(file)),
                ..RunOptions::default()
            },
        );
        let exit = Exit::of_report(&report);
        if let Some(path) = &arguments.trace
            && let Err(cause) = trace.write(path, world)
        {
            say(&format!("warning: cannot write the trace `{}`: {cause}", path.display()));
        }
        if let Some(cache) = cache_folder(&arguments.graph.cache)
            && let Err(cause) = world.can_write(&cache.join("probe"))
        {
            say(&format!("warning: nothing is kept in the cache folder `{}`: {cause}", cache.display()));
        }
        if let Some(disk) = &self.engine.cache().disk
            && let Err(cause) = disk.collect()
        {
            say(&format!("warning: cannot keep the cache within its limit: {cause}"));
        }
        (report, exit)
    }

    /// What `--only` names.
    fn targets(&self, graph: &Graph, only: &[String]) -> Result<Option<Vec<String>>, Failure> {
        for name in only {
            if !graph.names().any(|known| known == name) && graph.find(name).is_empty() {
                let message = format!("`--only {name}`: the graph has no output or node of this name");
                return Err(
                    Failure::new(Exit::Usage, message).help(lumina_engine::suggest(name, graph.names()))
                );
            }
        }
        Ok(Some(only.to_vec()).filter(|only| !only.is_empty()))
    }
}

/// The name that the recipes of a graph are kept under: one file, one name, wherever the program is called.
fn recipes(graph: &Path) -> String {
    std::fs::canonicalize(graph).unwrap_or_else(|_| graph.to_owned()).display().to_string()
}

/// This machine, with the device that was asked for.
fn world(arguments: &GraphArguments, download: bool) -> Result<LocalWorld, Failure> {
    let DeviceArguments { device, dtype, offline, .. } = &arguments.device;
    let compute =
        Compute::open(device, dtype).map_err(|cause| Failure::new(Exit::Usage, cause.to_string()))?;
    Ok(world_of(&arguments.graph, compute, Network { offline: *offline, download }))
}

/// This machine with a device, and the paths of a graph found beside this file.
fn world_of(graph: &Path, compute: Compute, network: Network) -> LocalWorld {
    let environment = compute.to_string();
    let mut resources = Resources::default();
    resources.insert(compute);
    resources.insert(network);
    LocalWorld::new(graph, environment, resources)
}

/// The text of a graph file.
fn read_graph(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|cause| {
        let help = (cause.kind() == std::io::ErrorKind::InvalidData).then_some("a graph is a UTF-8 text");
        Failure::new(Exit::File, format!("cannot read the graph `{}`: {cause}", path.display())).help(help)
    })
}

/// How a check went, in one sentence.
fn summary(document: &Document, checked: &Checked) -> String {
    let path = document.source.path().display();
    let errors = checked.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let warnings = checked.diagnostics.len() - errors;
    let nodes = count(document.nodes.len(), "node");
    match (errors, warnings) {
        (0, 0) => format!("`{path}` is valid: {nodes}"),
        (0, _) => format!("`{path}` is valid: {nodes}, {}", count(warnings, "warning")),
        _ => format!("`{path}` is invalid: {}", count(errors, "error")),
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Values from `--params`, `--seed` and `--set`; later ones win.
fn values(arguments: &GraphArguments, color: ColorChoice) -> Result<Vec<(String, String)>, Failure> {
    let mut values = match &arguments.params {
        None => Vec::new(),
        Some(path) => params_file::read(path, color)?,
    };
    values.extend(arguments.seed.map(|seed| ("seed".to_owned(), seed.to_string())));
    values.extend(arguments.set.iter().cloned());
    Ok(values)
}
