//! `lumina-graph run`.

use std::collections::BTreeMap;

use lumina_engine::{Cancel, Events, Graph, Outcome, Report, RunOptions, Value};
use serde_json::json;

use super::{Context, Loaded};
use crate::arguments::RunArguments;
use crate::exit::Exit;
use crate::json::{self, JsonEvents};
use crate::messages::{answer, diagnostics, error, say};
use crate::progress::Progress;

pub(super) fn run(context: &Context, arguments: &RunArguments) -> Exit {
    let Loaded { world, document, mut checked } = match context.load(&arguments.graph, true) {
        Ok(loaded) => loaded,
        Err(exit) if arguments.json => return json::failed(exit),
        Err(exit) => return exit,
    };
    if arguments.json {
        for diagnostic in &checked.diagnostics {
            answer(&json::diagnostic(&document.source, diagnostic).to_string());
        }
    } else {
        diagnostics(&document.source, &checked.diagnostics, context.color, context.quiet);
    }
    let Some(mut graph) = checked.graph.take() else {
        let exit = Exit::of_diagnostics(&checked.diagnostics);
        return if arguments.json { json::failed(exit) } else { exit };
    };
    if arguments.no_metadata {
        graph.provenance.graph.clear();
    }
    let targets = match context.targets(&graph, &arguments.only) {
        Ok(targets) => targets.unwrap_or_else(|| graph.targets()),
        Err(exit) if arguments.json => return json::failed(exit),
        Err(exit) => return exit,
    };
    let cancel = stop_on_ctrl_c(context.quiet);
    let progress = Progress::new(context.quiet, context.verbose);
    let events: &dyn Events = if arguments.json { &JsonEvents } else { &progress };
    let options = RunOptions { targets: Some(targets.clone()), cancel, events };
    let report = context.engine.run(&graph, &world, options);

    let names: Vec<String> = targets.iter().map(|target| graph.nodes[*target].name.clone()).collect();
    let exit = Exit::of_report(&report, &names);
    let outputs = outputs(&graph, &report);
    if arguments.json {
        finish_json(&report, &outputs, exit);
    } else {
        finish_text(&report, exit);
    }
    exit
}

/// The first Ctrl-C stops the run after its current step, the second the program.
fn stop_on_ctrl_c(quiet: bool) -> Cancel {
    let cancel = Cancel::new();
    let flag = cancel.clone();
    let handler = move || {
        if flag.is_cancelled() {
            std::process::exit(Exit::Interrupted as i32);
        }
        flag.cancel();
        if !quiet {
            say("stopping after this step; press Ctrl-C again to stop at once");
        }
    };
    if let Err(cause) = ctrlc::set_handler(handler) {
        say(&format!("warning: Ctrl-C will stop at once: {cause}"));
    }
    cancel
}

/// What the targets gave, as text: `name` for a single output, `name.output` for several.
fn outputs(graph: &Graph, report: &Report) -> BTreeMap<String, String> {
    let mut outputs = BTreeMap::new();
    for (name, values) in &report.outputs {
        let Some(node) = graph.nodes.iter().find(|node| node.name == *name) else { continue };
        for (value, output) in values.iter().zip(&node.kind.spec.outputs) {
            let name = if values.len() == 1 { name.clone() } else { format!("{name}.{}", output.name) };
            outputs.insert(name, plain(value));
        }
    }
    outputs
}

/// What a value is as text: paths one a line, texts without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        other => paths(other).map_or_else(|| format!("{other:?}"), |paths| paths.join("\n")),
    }
}

/// The paths in a path or a list of paths.
fn paths(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Path(path) => Some(vec![path.display().to_string()]),
        Value::List(items) => items.iter().map(paths).collect::<Option<Vec<_>>>().map(|lists| lists.concat()),
        _ => None,
    }
}

fn finish_text(report: &Report, exit: Exit) {
    for (name, values) in &report.outputs {
        for value in values.iter() {
            match paths(value) {
                Some(paths) => paths.iter().for_each(|path| answer(path)),
                None => answer(&format!("{name}: {}", plain(value))),
            }
        }
    }
    for (name, cause) in report.failures() {
        error(&format!("node `{name}`: {cause}"), cause.help());
    }
    let mut blocked: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, outcome) in &report.nodes {
        if let Outcome::Blocked { by } = outcome {
            blocked.entry(by).or_default().push(format!("`{name}`"));
        }
    }
    for (by, names) in blocked {
        say(&format!("note: did not run because `{by}` failed: {}", names.join(", ")));
    }
    match exit {
        Exit::Interrupted => say("interrupted"),
        Exit::Partial => say("note: some outputs were made, others failed"),
        _ => {}
    }
}

fn finish_json(report: &Report, outputs: &BTreeMap<String, String>, exit: Exit) {
    let failed: BTreeMap<&str, String> =
        report.failures().into_iter().map(|(name, cause)| (name, cause.to_string())).collect();
    let result = json!({
        "event": "done", "ok": exit == Exit::Ok, "exit_code": exit as u8, "outputs": outputs,
        "ran": report.ran(), "cached": report.cached(), "failed": failed, "interrupted": report.interrupted,
    });
    answer(&result.to_string());
}
