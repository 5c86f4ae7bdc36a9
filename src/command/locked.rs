//! Reading, comparing and writing the lock file of a graph.

use std::io;
use std::path::Path;

use lumina_engine::{Graph, Report, World};
use serde_json::json;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::lock::{Difference, Lock, Place};
use crate::messages::{answer, say};

const RELOCK: &str = "`lumina-graph run --lock` locks what is there now";

/// Reads a lock file.
///
/// # Errors
/// When there is none, or it is damaged.
pub(super) fn read(path: &Path) -> Result<Lock, Failure> {
    let text = std::fs::read_to_string(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => {
            Failure::new(Exit::File, format!("there is no lock file `{}`", path.display()))
                .help(["`lumina-graph run --lock` writes one"])
        }
        _ => Failure::new(Exit::File, format!("cannot read the lock file `{}`: {cause}", path.display())),
    })?;
    Lock::parse(&text).map_err(|reason| {
        Failure::new(Exit::File, format!("cannot read the lock file `{}`: {reason}", path.display()))
    })
}

/// Compares a lock file with what is there now, and names all that differs.
///
/// # Errors
/// When anything differs.
pub(super) fn compare(
    expected: &Lock,
    now: &Lock,
    place: &Place,
    world: &dyn World,
    as_json: bool,
) -> Result<(), Failure> {
    let differences = expected.differences(now, place, world);
    if differences.is_empty() {
        return Ok(());
    }
    let message = show(&differences, place.lock(), as_json);
    // As with an invalid graph, what is wrong with the graph weighs more than missing files.
    let is_about_files = differences.iter().all(|difference| difference.exit() == Exit::File);
    let exit = if is_about_files { Exit::File } else { Exit::InvalidGraph };
    Err(Failure::told(exit, message).help([RELOCK]))
}

/// Prints differences; gives what they come to in one sentence.
pub(super) fn show(differences: &[Difference], lock: &Path, as_json: bool) -> String {
    let message = format!("not everything is as it was locked in `{}`", lock.display());
    if differences.is_empty() {
        return message;
    }
    if as_json {
        for difference in differences {
            let mut line = json!({"event": "difference"});
            if let (Some(line), serde_json::Value::Object(fields)) = (line.as_object_mut(), difference.json())
            {
                line.extend(fields);
            }
            answer(&line.to_string());
        }
    }
    say(&format!("error: {message}"));
    differences.iter().for_each(|difference| say(&difference.text()));
    say(&format!("help: {RELOCK}"));
    message
}

/// Makes sure, before a long run, that the lock file can be written after it.
///
/// # Errors
/// When it cannot.
pub(super) fn prepare(lock: Lock, place: &Place, world: &dyn World) -> Result<Lock, Failure> {
    world.can_write(place.lock()).map_err(|cause| unwritable(place, &cause.to_string()))?;
    Ok(lock)
}

/// Writes the lock file of a run that has succeeded. `before` and `after` are what it was made from, as read before
/// and after it.
///
/// # Errors
/// When a file has changed in between, an output cannot be read back, or the lock file cannot be written.
pub(super) fn write(
    before: &Lock,
    after: Lock,
    place: &Place,
    graph: &Graph,
    report: &Report,
    world: &dyn World,
) -> Result<(), Failure> {
    if *before != after {
        let message = "a file behind the run has changed while it ran; no lock file is written";
        return Err(Failure::new(Exit::File, message));
    }
    let lock = after.with_outputs(place, graph, report, world).map_err(unreadable)?;
    let text = lock.text().map_err(|cause| unwritable(place, &cause.to_string()))?;
    world.write(place.lock(), text.as_bytes()).map_err(|cause| unwritable(place, &cause.to_string()))
}

/// A file that is locked or should be cannot be read; the error says which.
pub(super) fn unreadable(cause: io::Error) -> Failure {
    Failure::new(Exit::File, cause.to_string())
}

fn unwritable(place: &Place, cause: &str) -> Failure {
    Failure::new(Exit::File, format!("cannot write the lock file `{}`: {cause}", place.lock().display()))
}
