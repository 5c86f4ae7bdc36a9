//! `lumina-graph graph fmt`.

use std::io::{Read, stdin};
use std::path::{Path, PathBuf};

use lumina_engine::{Source, format};

use super::Context;
use crate::exit::Exit;
use crate::messages::{answer, diagnostics, error};
use crate::world::write_whole;

/// Stands for the standard input among the files.
const STANDARD_INPUT: &str = "-";

/// Lays out files one after the other; one that cannot be laid out does not keep the others from it.
pub(super) fn format_all(context: &Context, files: &[PathBuf], check: bool) -> Exit {
    if files.len() > 1 && files.iter().any(|file| is_standard_input(file)) {
        error("`-` cannot stand beside other files", ["give the standard input a call of its own"]);
        return Exit::Usage;
    }
    let exits: Vec<Exit> = files.iter().map(|file| format_one(context, file, check)).collect();
    // As in a check, mistakes of a graph weigh more than missing files.
    let order = [Exit::InvalidGraph, Exit::File, Exit::Failed];
    order.into_iter().find(|exit| exits.contains(exit)).unwrap_or(Exit::Ok)
}

fn format_one(context: &Context, file: &Path, check: bool) -> Exit {
    let (path, text) = match is_standard_input(file) {
        true => (Path::new("<stdin>"), read_standard_input()),
        false => (file, std::fs::read_to_string(file)),
    };
    let text = match text {
        Ok(text) => text,
        Err(cause) => {
            error(&format!("cannot read the graph `{}`: {cause}", path.display()), None);
            return Exit::File;
        }
    };
    let source = Source::new(path, text.as_str());
    let formatted = match format(&source) {
        Ok(formatted) => formatted,
        Err(wrong) => {
            diagnostics(std::slice::from_ref(&source), &wrong, context.color, context.quiet);
            return Exit::InvalidGraph;
        }
    };
    let is_same = formatted == text;
    if check {
        if !is_same {
            answer(&path.display().to_string());
        }
        return if is_same { Exit::Ok } else { Exit::Failed };
    }
    if is_standard_input(file) {
        answer(formatted.strip_suffix('\n').unwrap_or(&formatted));
    } else if !is_same {
        if let Err(cause) = write_whole(file, formatted.as_bytes()) {
            error(&format!("cannot write the graph `{}`: {cause}", path.display()), None);
            return Exit::File;
        }
        answer(&path.display().to_string());
    }
    Exit::Ok
}

fn is_standard_input(file: &Path) -> bool {
    file == Path::new(STANDARD_INPUT)
}

fn read_standard_input() -> std::io::Result<String> {
    let mut text = String::new();
    stdin().read_to_string(&mut text)?;
    Ok(text)
}
