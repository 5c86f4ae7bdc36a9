//! `lumina-graph graph dot` and `lumina-graph graph diff`; `graph fmt` has its own file.

use std::path::Path;

use lumina_engine::{Document, Source, any_error, diff, dot, parse};

use super::{Context, graph_fmt};
use crate::arguments::GraphCommand;
use crate::exit::Exit;
use crate::messages::{answer, diagnostics, error};

pub(super) fn graph(context: &Context, command: &GraphCommand) -> Exit {
    match command {
        GraphCommand::Fmt { files, check } => graph_fmt::format_all(context, files, *check),
        GraphCommand::Dot { graph } => match read(context, graph) {
            Ok(document) => {
                answer(dot(&document).trim_end());
                Exit::Ok
            }
            Err(exit) => exit,
        },
        GraphCommand::Diff { before, after } => match (read(context, before), read(context, after)) {
            (Ok(before), Ok(after)) => show(&before, &after),
            (Err(exit), _) | (_, Err(exit)) => exit,
        },
    }
}

/// As `diff` does: 0 for no difference, 1 for some.
fn show(before: &Document, after: &Document) -> Exit {
    let differences = diff(before, after);
    for difference in &differences {
        match (&difference.before, &difference.after) {
            (Some(before), Some(after)) => answer(&format!("{}: {before} -> {after}", difference.place)),
            (Some(before), None) => answer(&format!("- {}: {before}", difference.place)),
            (None, Some(after)) => answer(&format!("+ {}: {after}", difference.place)),
            (None, None) => {}
        }
    }
    if differences.is_empty() { Exit::Ok } else { Exit::Failed }
}

/// A graph that is well-formed; whether it makes sense is not asked.
fn read(context: &Context, path: &Path) -> Result<Document, Exit> {
    let text = std::fs::read_to_string(path).map_err(|cause| {
        error(&format!("cannot read the graph `{}`: {cause}", path.display()), None);
        Exit::File
    })?;
    let (document, wrong) = parse(Source::new(path, text));
    diagnostics(std::slice::from_ref(&document.source), &wrong, context.color, context.quiet);
    if any_error(&wrong) { Err(Exit::InvalidGraph) } else { Ok(document) }
}
