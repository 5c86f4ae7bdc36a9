//! `lumina-graph check`.

use serde_json::json;

use super::{Context, Loaded, summary};
use crate::arguments::CheckArguments;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::messages::{answer, say};

pub(super) fn check(context: &Context, arguments: &CheckArguments) -> Exit {
    find(context, arguments).unwrap_or_else(|failure| failure.end(arguments.json))
}

fn find(context: &Context, arguments: &CheckArguments) -> Result<Exit, Failure> {
    let Loaded { document, checked, .. } = context.load(&arguments.graph, false, false)?;
    let exit = Exit::of_diagnostics(&checked.diagnostics);
    context.print_diagnostics(&checked, arguments.json);
    if arguments.json {
        let errors = checked.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        let warnings = checked.diagnostics.len() - errors;
        let result = json!({
            "event": "done", "ok": exit == Exit::Ok, "exit_code": exit as u8, "errors": errors,
            "warnings": warnings, "message": summary(&document, &checked),
        });
        answer(&result.to_string());
    } else if !context.quiet {
        say(&summary(&document, &checked));
    }
    Ok(exit)
}
