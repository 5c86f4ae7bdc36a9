//! `lumina-graph run`.

use lumina_engine::Cancel;

use super::{Context, Loaded, report};
use crate::arguments::RunArguments;
use crate::exit::Exit;
use crate::interrupt::stop_on_ctrl_c;
use crate::json;

pub(super) fn run(context: &Context, arguments: &RunArguments) -> Exit {
    let Loaded { world, mut checked, .. } = match context.load(&arguments.graph, true, arguments.no_metadata)
    {
        Ok(loaded) => loaded,
        Err(exit) if arguments.json => return json::failed(exit),
        Err(exit) => return exit,
    };
    context.print_diagnostics(&checked, arguments.json);
    let Some(graph) = checked.graph.take() else {
        let exit = Exit::of_diagnostics(&checked.diagnostics);
        return if arguments.json { json::failed(exit) } else { exit };
    };
    let targets = match context.targets(&graph, &arguments.only) {
        Ok(targets) => targets.unwrap_or_else(|| graph.targets()),
        Err(exit) if arguments.json => return json::failed(exit),
        Err(exit) => return exit,
    };
    let cancel = Cancel::new();
    stop_on_ctrl_c(&cancel, context.quiet);
    let (report, exit) = context.run(&graph, &world, targets, cancel, arguments);
    if arguments.json {
        report::print_json(&graph, &report, exit);
    } else {
        report::print_text(&report, exit);
    }
    exit
}
