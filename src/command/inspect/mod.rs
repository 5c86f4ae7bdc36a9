//! `lumina-graph inspect`.

mod network;
mod picture;
mod pipeline;
mod sizes;
mod weights;

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::Value;

use super::Context;
use crate::arguments::InspectArguments;
use crate::exit::Exit;
use crate::messages::{answer, error, visible};

pub(super) fn inspect(context: &Context, arguments: &InspectArguments) -> Exit {
    match describe(context, arguments) {
        Ok(exit) => exit,
        Err(cause) => {
            error(&format!("{cause:#}"), None);
            Exit::File
        }
    }
}

fn describe(context: &Context, arguments: &InspectArguments) -> Result<Exit> {
    let path = &arguments.file;
    if !path.exists() {
        bail!("no file or folder at `{}`", path.display());
    }
    let is_picture = has_extension(path, "png");
    if arguments.graph {
        if !is_picture {
            bail!("`{}` carries no graph: only pictures in `.png` files do", path.display());
        }
        answer(picture::graph(context, path)?.trim_end());
        return Ok(Exit::Ok);
    }
    let mut report = if is_picture {
        picture::describe(context, path)?
    } else if path.join(pipeline::INDEX).exists() {
        pipeline::describe(path)?
    } else {
        weights::describe(path)?
    };
    let is_broken = report.get(weights::PROBLEMS).is_some();
    if arguments.json {
        answer(&report.to_string());
    } else {
        if let Value::Object(report) = &mut report
            && !context.verbose
        {
            report.remove(weights::CONTENTS);
        }
        print(&report, 0);
    }
    Ok(if is_broken { Exit::File } else { Exit::Ok })
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}

/// An object as indented lines.
fn print(value: &Value, depth: usize) {
    let Value::Object(map) = value else { return };
    for (name, value) in map {
        let indent = "  ".repeat(depth);
        match value {
            Value::Object(inner) if inner.is_empty() => {}
            Value::Array(items) if items.is_empty() => {}
            Value::Object(_) => {
                answer(&format!("{indent}{name}"));
                print(value, depth + 1);
            }
            Value::Array(items) => {
                for item in items {
                    answer(&format!("{indent}{name}: {}", plain(item)));
                }
            }
            other => answer(&format!("{indent}{name}: {}", plain(other))),
        }
    }
}

/// A value on one line.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), visible)
}
