//! `lumina-graph verify`.

mod compare;
mod elsewhere;
mod partners;
mod record;
mod verdict;

use std::collections::{HashMap, hash_map::Entry};
use std::path::Path;

use lumina_engine::{Cancel, Events, Graph, Outcome, Overrides, Report, RunOptions, Silent};
use lumina_nodes::{Compute, Network};
use serde_json::json;

use super::{Context, summary, world_of};
use crate::arguments::VerifyArguments;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::stop_on_ctrl_c;
use crate::lock::{device_and_dtype, written};
use crate::messages::answer;
use crate::progress::Progress;
use elsewhere::Elsewhere;
use record::{Record, Subject};

pub(super) fn verify(context: &Context, arguments: &VerifyArguments) -> Exit {
    let cancel = Cancel::new();
    stop_on_ctrl_c(&cancel, context.quiet);
    let mut session = Session { context, arguments, cancel, computes: HashMap::new() };
    let mut exits = Vec::new();
    for file in &arguments.files {
        let exit =
            session.file(file).unwrap_or_else(|failure| verdict::failed(file, &failure, arguments.json));
        exits.push(exit);
        if exit == Exit::Interrupted {
            break;
        }
    }
    let exit = gravest(&exits);
    if arguments.json {
        answer(&json!({"event": "done", "ok": exit == Exit::Ok, "exit_code": exit as u8}).to_string());
    }
    exit
}

/// Of several files the one that could least be verified decides.
fn gravest(exits: &[Exit]) -> Exit {
    let order = [Exit::Interrupted, Exit::OutOfMemory, Exit::InvalidGraph, Exit::File, Exit::Failed];
    let any = |exit: &&Exit| exits.contains(exit);
    order.iter().find(any).copied().unwrap_or(Exit::Ok)
}

/// What stays the same from file to file. Networks stay in memory; everything that is written is made again.
struct Session<'a> {
    context: &'a Context,
    arguments: &'a VerifyArguments,
    cancel: Cancel,
    /// Devices by what was recorded: values in memory belong to the one they were made on.
    computes: HashMap<String, Compute>,
}

impl Session<'_> {
    fn file(&mut self, path: &Path) -> Result<Exit, Failure> {
        let record = Record::read(path)?;
        if let Subject::Lock(lock, _) = &record.subject
            && lock.outputs.is_empty()
        {
            let message = format!("`{}` names no outputs that could be compared", path.display());
            return Err(Failure::new(Exit::InvalidGraph, message));
        }
        let compute = self.compute(&record.environment)?;
        let network = Network { offline: self.arguments.offline, download: true };
        let world = Elsewhere::new(world_of(&record.beside, compute, network), record.graphs())
            .map_err(|cause| Failure::new(Exit::File, format!("cannot make a temporary folder: {cause}")))?;
        let everywhere = (!record.metadata).then(|| ("metadata".to_owned(), "false".to_owned()));
        let overrides = Overrides {
            values: record.values.clone(),
            everywhere: everywhere.into_iter().collect(),
            ..Overrides::default()
        };
        let (document, mut checked) = self.context.engine.check(record.source.clone(), &world, &overrides);
        let Some(graph) = checked.graph.take() else {
            self.context.print_diagnostics(&checked, self.arguments.json);
            // A recorded value that does not fit is a mistake of the record, not of the command line.
            let exit = match Exit::of_diagnostics(&checked.diagnostics) {
                Exit::Usage => Exit::InvalidGraph,
                exit => exit,
            };
            return Err(Failure::told(exit, summary(&document, &checked)));
        };
        world.reads_only(graph.nodes.iter().flat_map(|node| node.files.iter().cloned()));
        let targets = match record.targets(&graph) {
            none if none.is_empty() => graph.targets(),
            some => some,
        };
        let differences = record
            .differences(&document, &graph, &targets, world.inner())
            .map_err(|cause| Failure::new(Exit::File, cause.to_string()))?;
        let (report, exit) = self.run(&graph, &world, targets);
        if !matches!(exit, Exit::Ok | Exit::Partial) {
            return Err(stopped(&report, exit));
        }
        let verdicts = match &record.subject {
            Subject::Picture(picture, _) => {
                vec![compare::picture(picture, &written(&graph, &report), &world)?]
            }
            Subject::Lock(lock, place) => compare::outputs(lock, place, &written(&graph, &report), &world)?,
        };
        Ok(verdict::show(path, &verdicts, &differences, self.arguments.json, self.context.quiet))
    }

    fn run(&self, graph: &Graph, world: &Elsewhere, targets: Vec<String>) -> (Report, Exit) {
        let progress = Progress::new(self.context.quiet, self.context.verbose);
        // Events would name the files of the user as written, which they are not.
        let events: &dyn Events = if self.arguments.json { &Silent } else { &progress };
        let cancel = self.cancel.clone();
        let options = RunOptions { targets: Some(targets), cancel, events, ..RunOptions::default() };
        let report = self.context.engine.run(graph, world, options);
        let exit = Exit::of_report(&report);
        (report, exit)
    }

    /// The device and format that are asked for, or else those recorded, or else what this machine has.
    fn compute(&mut self, recorded: &str) -> Result<Compute, Failure> {
        let (device, dtype) = device_and_dtype(recorded);
        let asked = (self.arguments.device.as_deref(), self.arguments.dtype.as_deref());
        let open =
            |device: &str, dtype: &str| Compute::open(asked.0.unwrap_or(device), asked.1.unwrap_or(dtype));
        match self.computes.entry(recorded.to_owned()) {
            Entry::Occupied(known) => Ok(known.get().clone()),
            Entry::Vacant(place) => {
                let opened =
                    open(device, dtype).or_else(|_| open("auto", dtype)).or_else(|_| open("auto", "f32"));
                let opened = opened.map_err(|cause| Failure::new(Exit::Usage, cause.to_string()))?;
                Ok(place.insert(opened).clone())
            }
        }
    }
}

/// Why a run did not come to its end.
fn stopped(report: &Report, exit: Exit) -> Failure {
    let failed = report.nodes.iter().find_map(|(name, outcome)| match outcome {
        Outcome::Failed(cause) => Some((name, cause)),
        _ => None,
    });
    match failed {
        Some((name, cause)) => Failure::new(exit, format!("node `{name}`: {cause}")).help(cause.help()),
        None => Failure::new(exit, "interrupted"),
    }
}
