//! `lumina-graph run`.

use lumina_engine::Cancel;
use serde_json::json;

use super::{Context, Loaded, locked, report};
use crate::arguments::{LockArguments, RunArguments};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::stop_on_ctrl_c;
use crate::lock::{Asked, Lock, Place};
use crate::messages::{answer, say};

pub(super) fn run(context: &Context, arguments: &RunArguments, lock: &LockArguments) -> Exit {
    evaluate(context, arguments, lock).unwrap_or_else(|failure| failure.end(arguments.json))
}

fn evaluate(context: &Context, arguments: &RunArguments, lock: &LockArguments) -> Result<Exit, Failure> {
    let place = Place::beside(&arguments.graph.graph);
    let expected = if lock.locked { Some(locked::read(place.lock())?) } else { None };
    let Loaded { world, document, mut checked } =
        context.load(&arguments.graph, true, arguments.no_metadata)?;
    let graph = context.graph(&document, &mut checked, arguments.json).inspect_err(|_| {
        // Changed files may be why the graph is invalid now.
        if let Some(expected) = &expected {
            locked::show(&expected.file_differences(&place, &world), place.lock(), arguments.json);
        }
    })?;
    let targets = context.targets(&graph, &arguments.only)?.unwrap_or_else(|| graph.targets());
    let asked = Asked { targets: &targets, only: &arguments.only, metadata: !arguments.no_metadata };
    let now = || Lock::new(&place, &document, &graph, &world, asked).map_err(locked::unreadable);
    if let Some(expected) = expected {
        locked::compare(&expected, &now()?, &place, &world, arguments.json)?;
    }
    let before = if lock.lock { Some(locked::prepare(now()?, &place, &world)?) } else { None };
    let cancel = Cancel::new();
    stop_on_ctrl_c(&cancel, context.quiet);
    let (report, exit) = context.run(&graph, &world, targets.clone(), cancel, arguments);
    if !arguments.json {
        report::print_text(&report, exit);
    }
    if let Some(before) = before
        && exit == Exit::Ok
    {
        locked::write(&before, now()?, &place, &graph, &report, &world)?;
        if arguments.json {
            answer(&json!({"event": "locked", "path": place.lock().display().to_string()}).to_string());
        } else if !context.quiet {
            say(&format!("locked in `{}`", place.lock().display()));
        }
    }
    if arguments.json {
        report::print_json(&graph, &report, exit);
    }
    Ok(exit)
}
