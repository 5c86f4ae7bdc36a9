//! `lumina-graph verify`.

mod elsewhere;
mod partners;
mod record;
mod verdict;

use std::collections::{HashMap, hash_map::Entry};
use std::path::{Path, PathBuf};

use lumina_engine::{Cancel, Events, Graph, Outcome, Overrides, Report, RunOptions, Silent};
use lumina_nodes::{Compute, Network};
use serde_json::json;

use super::{Context, summary, world_of};
use crate::arguments::VerifyArguments;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::stop_on_ctrl_c;
use crate::lock::{Lock, Place, device_and_dtype, written};
use crate::messages::answer;
use crate::pixels::{Comparison, Pixels, compare};
use crate::progress::Progress;
use elsewhere::Elsewhere;
use partners::partners;
use record::{Record, Subject};
use verdict::Verdict;

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
    /// Devices by name and format: values in memory belong to the one they were made on.
    computes: HashMap<String, Compute>,
}

impl Session<'_> {
    fn file(&mut self, path: &Path) -> Result<Exit, Failure> {
        let record = Record::read(path)?;
        let compute = self.compute(&record.environment)?;
        let network = Network { offline: self.arguments.offline, download: true };
        let world = Elsewhere::new(world_of(&record.beside, compute, network))
            .map_err(|cause| Failure::new(Exit::File, format!("cannot make a temporary folder: {cause}")))?;
        let everywhere = (!record.metadata).then(|| ("metadata".to_owned(), "false".to_owned()));
        let overrides =
            Overrides { values: record.values.clone(), everywhere: everywhere.into_iter().collect() };
        let (document, mut checked) = self.context.engine.check(record.source.clone(), &world, &overrides);
        let Some(graph) = checked.graph.take() else {
            self.context.print_diagnostics(&document, &checked, self.arguments.json);
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
            Subject::Picture(picture, _) => vec![picture_again(picture, &written(&graph, &report), &world)?],
            Subject::Lock(lock, place) => outputs_again(lock, place, &written(&graph, &report), &world)?,
        };
        Ok(verdict::show(path, &verdicts, &differences, self.arguments.json, self.context.quiet))
    }

    fn run(&self, graph: &Graph, world: &Elsewhere, targets: Vec<usize>) -> (Report, Exit) {
        let names: Vec<String> = targets.iter().map(|target| graph.nodes[*target].name.clone()).collect();
        let progress = Progress::new(self.context.quiet, self.context.verbose);
        // Events would name the files of the user as written, which they are not.
        let events: &dyn Events = if self.arguments.json { &Silent } else { &progress };
        let cancel = self.cancel.clone();
        let options = RunOptions { targets: Some(targets), cancel, events, ..RunOptions::default() };
        let report = self.context.engine.run(graph, world, options);
        let exit = Exit::of_report(&report, &names);
        (report, exit)
    }

    /// The device and format that are asked for, or else those recorded, or else what this machine has.
    fn compute(&mut self, recorded: &str) -> Result<Compute, Failure> {
        let (device, dtype) = device_and_dtype(recorded);
        let device_asked = self.arguments.device.as_deref();
        let dtype_asked = self.arguments.dtype.as_deref();
        let key = format!("{} {}", device_asked.unwrap_or(device), dtype_asked.unwrap_or(dtype));
        match self.computes.entry(key) {
            Entry::Occupied(known) => Ok(known.get().clone()),
            Entry::Vacant(place) => {
                let opened = Compute::open(device_asked.unwrap_or(device), dtype_asked.unwrap_or(dtype));
                let opened = match opened {
                    Err(_) if device_asked.is_none() => Compute::open("auto", dtype_asked.unwrap_or(dtype)),
                    opened => opened,
                };
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

/// Compares a picture with the one made now: by name, or else with the one that is most like it.
fn picture_again(picture: &Path, written: &[PathBuf], world: &Elsewhere) -> Result<Verdict, Failure> {
    let all: Vec<(&PathBuf, PathBuf)> =
        written.iter().filter_map(|path| Some((path, world.made(path)?))).collect();
    let named: Vec<_> = all.iter().filter(|(path, _)| path.file_name() == picture.file_name()).collect();
    let candidates = if named.is_empty() { all.iter().collect() } else { named };
    let mut best: Option<Comparison> = None;
    for (_, made) in candidates {
        let comparison = compare(picture, made).map_err(|cause| unreadable(picture, &cause))?;
        best = Some(best.map_or(comparison, |best| best.closer(comparison)));
    }
    let comparison = best.ok_or_else(|| Failure::new(Exit::Failed, "the graph has written no picture"))?;
    Ok(Verdict { output: None, comparison: Some(comparison) })
}

/// Compares what is locked with what is made now.
fn outputs_again(
    lock: &Lock,
    place: &Place,
    written: &[PathBuf],
    world: &Elsewhere,
) -> Result<Vec<Verdict>, Failure> {
    let now: HashMap<String, PathBuf> =
        written.iter().filter_map(|path| Some((place.name(path), world.made(path)?))).collect();
    let pairs = partners(lock.outputs.keys(), now.keys());
    let mut verdicts = Vec::new();
    for (name, expected) in &lock.outputs {
        let made = pairs.get(name.as_str()).and_then(|partner| now.get(*partner));
        let comparison = match made {
            None => None,
            Some(made) => {
                let original = place.file(name);
                Some(against(expected, made, &original, world).map_err(|cause| unreadable(made, &cause))?)
            }
        };
        verdicts.push(Verdict { output: Some(name.clone()), comparison });
    }
    Ok(verdicts)
}

/// Compares with the locked digests, and where they differ with the file itself, if it is still the locked one.
fn against(
    expected: &crate::lock::Output,
    made: &Path,
    original: &Path,
    world: &Elsewhere,
) -> std::io::Result<Comparison> {
    use lumina_engine::World;
    let digest = |path: &Path| world.inner().digest(path).map(|digest| digest.to_string());
    if digest(made)? == expected.bytes {
        return Ok(Comparison::SameBytes);
    }
    let pixels = Pixels::read(made)?.map(|pixels| pixels.digest().to_string());
    if pixels.is_some_and(|pixels| pixels == expected.pixels) {
        return Ok(Comparison::SamePixels);
    }
    match digest(original) {
        Ok(found) if found == expected.bytes => compare(original, made),
        _ => Ok(Comparison::Unknown),
    }
}

fn unreadable(path: &Path, cause: &std::io::Error) -> Failure {
    Failure::new(Exit::File, format!("cannot read `{}`: {cause}", path.display()))
}
