//! `lumina-graph check`.

use serde_json::json;

use super::{Context, Loaded};
use crate::arguments::CheckArguments;
use crate::exit::Exit;
use crate::json;
use crate::messages::{answer, say};

pub(super) fn check(context: &Context, arguments: &CheckArguments) -> Exit {
    let Loaded { document, checked, .. } = match context.load(&arguments.graph, false, false) {
        Ok(loaded) => loaded,
        Err(exit) if arguments.json => return json::failed(exit),
        Err(exit) => return exit,
    };
    let exit = Exit::of_diagnostics(&checked.diagnostics);
    let errors = checked.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let warnings = checked.diagnostics.len() - errors;
    context.print_diagnostics(&checked, arguments.json);
    if arguments.json {
        let result = json!({
            "event": "done", "ok": exit == Exit::Ok, "exit_code": exit as u8, "errors": errors, "warnings": warnings
        });
        answer(&result.to_string());
        return exit;
    }
    if !context.quiet {
        let path = document.source.path().display();
        match (errors, warnings) {
            (0, 0) => say(&format!("`{path}` is valid: {}", count(document.nodes.len(), "node"))),
            (0, _) => say(&format!(
                "`{path}` is valid: {}, {}",
                count(document.nodes.len(), "node"),
                count(warnings, "warning")
            )),
            _ => say(&format!("`{path}` is invalid: {}", count(errors, "error"))),
        }
    }
    exit
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
