//! `lumina-graph graph dot` and `lumina-graph graph diff`; `graph fmt` has its own file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use lumina_engine::{Document, Expression, Source, any_error, diff, dot, parse};

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
            (Ok(before), Ok(after)) => show(context, before, after),
            (Err(exit), _) | (_, Err(exit)) => exit,
        },
    }
}

/// Included graphs are compared at most this deep: graphs that include each other are a mistake that others report.
const DEEPEST: usize = 32;

/// As `diff` does: 0 for no difference, 1 for some. Files that nodes of the same name include are compared too.
fn show(context: &Context, before: Document, after: Document) -> Exit {
    let mut exit = Exit::Ok;
    let mut open = vec![(Vec::new(), before, after)];
    while let Some((path, before, after)) = open.pop() {
        let place =
            |place: &str| path.iter().rev().fold(place.to_owned(), |place, node| format!("{node}: {place}"));
        for difference in diff(&before, &after) {
            exit = Exit::Failed;
            let at = place(&difference.place);
            match (&difference.before, &difference.after) {
                (Some(before), Some(after)) => answer(&format!("{at}: {before} -> {after}")),
                (Some(before), None) => answer(&format!("- {at}: {before}")),
                (None, Some(after)) => answer(&format!("+ {at}: {after}")),
                (None, None) => {}
            }
        }
        for (node, before, after) in other_parts(&before, &after).into_iter().rev() {
            if path.len() >= DEEPEST {
                continue;
            }
            match (read(context, &before), read(context, &after)) {
                (Ok(before), Ok(after)) => open.push(([&path[..], &[node]].concat(), before, after)),
                (Err(failed), _) | (_, Err(failed)) => return failed,
            }
        }
    }
    exit
}

/// Nodes of both graphs that stand for files, where those are not the same file.
fn other_parts(before: &Document, after: &Document) -> Vec<(String, PathBuf, PathBuf)> {
    let earlier: HashMap<String, PathBuf> = parts(before).collect();
    let pairs = parts(after).filter_map(|(name, after)| {
        let before = earlier.get(&name)?.clone();
        // Where one of them is missing, `check` says so.
        let same = before.canonicalize().ok()? == after.canonicalize().ok()?;
        (!same).then_some((name, before, after))
    });
    pairs.collect()
}

/// The graph files that nodes stand for, by node, as they would lie beside the one they stand in.
pub(super) fn parts(document: &Document) -> impl Iterator<Item = (String, PathBuf)> + '_ {
    let beside = document.source.path().parent().unwrap_or(Path::new(""));
    document.nodes.iter().filter(|node| node.kind.value == "graph").filter_map(move |node| {
        let (_, path) = node.inputs.iter().find(|(name, _)| name.value == "path")?;
        let Expression::Text(path) = &path.value else { return None };
        Some((node.name.value.clone(), beside.join(path)))
    })
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
