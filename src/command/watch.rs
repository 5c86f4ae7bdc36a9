//! `lumina-graph watch`: a graph runs again whenever something it depends on changes.

use std::path::PathBuf;
use std::thread::{Scope, ScopedJoinHandle, scope};

use lumina_engine::{Cancel, Graph, Key, parse};
use serde_json::json;

use super::graph::parts;
use super::{Context, report, summary, world};
use crate::arguments::RunArguments;
use crate::exit::Exit;
use crate::interrupt::stop_on_ctrl_c;
use crate::messages::{answer, error, say};
use crate::sweeps;
use crate::watcher::Watcher;
use crate::world::LocalWorld;

pub(super) fn watch(context: &Context, arguments: &RunArguments) -> Exit {
    let world = match world(&arguments.graph, true) {
        Ok(world) => world,
        Err(failure) => return failure.end(arguments.json),
    };
    // What can never become right by an edit ends the program.
    if let Err(failure) = sweeps::read(&arguments.graph.sweep, arguments.graph.zip) {
        return failure.end(arguments.json);
    }
    let mut watcher = match Watcher::new() {
        Ok(watcher) => watcher,
        Err(cause) => {
            error(&format!("{cause:#}"), None);
            return Exit::Failed;
        }
    };
    let stop = Cancel::new();
    stop_on_ctrl_c(&stop, context.quiet);
    let session = Session { context, arguments, world: &world };
    scope(|scope| {
        let mut run: Option<Run<'_>> = None;
        let own: Vec<PathBuf> = [Some(&arguments.graph.graph), arguments.graph.params.as_ref()]
            .into_iter()
            .flatten()
            .cloned()
            .chain(sweeps::files(&arguments.graph.sweep))
            .collect();
        // Files of the last valid graph.
        let mut good: Option<Vec<PathBuf>> = None;
        // Watching begins before reading: what changes in between is seen.
        if let Err(cause) = watcher.watch(own.iter().cloned()) {
            error(&format!("{cause:#}"), None);
            return Exit::Failed;
        }
        loop {
            let read = session.read(good.is_some());
            if let Some(graph) = read.graph {
                let files = graph.nodes.iter().flat_map(|node| &node.files).chain(&graph.included);
                good = Some(files.cloned().collect());
                session.start(graph, &mut run, scope);
            }
            let mut files = own.clone();
            files.extend(good.iter().flatten().chain(&read.included).cloned());
            files.sort();
            files.dedup();
            if let Err(cause) = watcher.watch(files.iter().cloned()) {
                error(&format!("{cause:#}"), None);
                if let Some(run) = run.take() {
                    run.stop();
                }
                return Exit::Failed;
            }
            // What was missing may have come just before its folder was watched.
            if read.missing.iter().any(|path| path.exists()) {
                continue;
            }
            session.waiting(&files);
            if !watcher.wait(&stop) {
                if let Some(run) = run.take() {
                    run.stop();
                }
                return Exit::Interrupted;
            }
        }
    })
}

/// What stays the same from edit to edit.
#[derive(Clone, Copy)]
struct Session<'a> {
    context: &'a Context,
    arguments: &'a RunArguments,
    world: &'a LocalWorld,
}

/// What a check has found.
#[derive(Default)]
struct Read {
    graph: Option<Graph>,
    /// Graph files that are included, valid or not.
    included: Vec<PathBuf>,
    /// Those among them that were not where they are first looked for.
    missing: Vec<PathBuf>,
}

/// A run in flight.
struct Run<'scope> {
    keys: Vec<Option<Key>>,
    cancel: Cancel,
    thread: ScopedJoinHandle<'scope, ()>,
}

impl Run<'_> {
    fn stop(self) {
        self.cancel.cancel();
        // A panic of a node is caught inside the run; one of the run itself has printed its message.
        let _ = self.thread.join();
    }
}

impl<'a> Session<'a> {
    /// The graph as it is now; what is wrong with it is printed, and the last good one stays.
    fn read(&self, has_graph: bool) -> Read {
        let checked = self.context.check(&self.arguments.graph, self.world, self.arguments.no_metadata);
        let (document, checked) = match checked {
            Ok(checked) => checked,
            Err(failure) => {
                self.invalid(failure.tell(), failure.message(), has_graph);
                return Read::default();
            }
        };
        self.context.print_diagnostics(&checked, self.arguments.json);
        if checked.graph.is_none() {
            let exit = Exit::of_diagnostics(&checked.diagnostics);
            self.invalid(exit, &summary(&document, &checked), has_graph);
        }
        let mut included = Vec::new();
        for source in checked.sources {
            let document = parse(source).0;
            included.extend(parts(&document).map(|(_, path)| path));
        }
        let missing = included.iter().filter(|path| !path.exists()).cloned().collect();
        Read { graph: checked.graph, included, missing }
    }

    fn invalid(&self, exit: Exit, message: &str, has_graph: bool) {
        if self.arguments.json {
            answer(&json!({"event": "invalid", "exit_code": exit as u8, "message": message}).to_string());
        } else if has_graph {
            say("the last valid graph stays");
        }
    }

    /// Runs a graph beside the watching, in place of a run that it makes stale.
    fn start<'scope>(self, graph: Graph, run: &mut Option<Run<'scope>>, scope: &'scope Scope<'scope, '_>)
    where
        'a: 'scope,
    {
        let targets = match self.context.targets(&graph, &self.arguments.only) {
            Ok(targets) => targets.unwrap_or_else(|| graph.targets()),
            Err(failure) => {
                self.invalid(failure.tell(), failure.message(), false);
                return;
            }
        };
        let keys = self.context.engine.keys(&graph, self.world, &targets);
        match run.take() {
            // The edit changes nothing that the run in flight computes.
            Some(current) if current.keys == keys && !current.thread.is_finished() => {
                *run = Some(current);
                return;
            }
            Some(stale) => stale.stop(),
            None => {}
        }
        let cancel = Cancel::new();
        let flag = cancel.clone();
        let thread = scope.spawn(move || {
            let as_json = self.arguments.json;
            let (report, exit) = self.context.run(&graph, self.world, targets, flag, self.arguments);
            if as_json {
                report::print_json(&graph, &report, exit);
            } else if !report.interrupted {
                report::print_text(&report, exit);
                if !self.context.quiet {
                    say(&format!("ran {} nodes: {}", report.ran().len(), report.ran().join(", ")));
                }
            }
        });
        *run = Some(Run { keys, cancel, thread });
    }

    fn waiting(&self, files: &[PathBuf]) {
        if self.arguments.json {
            answer(&json!({"event": "watching", "files": files.len()}).to_string());
        }
    }
}
