//! `lumina-graph run`.

use lumina_engine::Cancel;

use super::{Context, Loaded, report};
use crate::arguments::RunArguments;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::stop_on_ctrl_c;

pub(super) fn run(context: &Context, arguments: &RunArguments) -> Exit {
    evaluate(context, arguments).unwrap_or_else(|failure| failure.end(arguments.json))
}

fn evaluate(context: &Context, arguments: &RunArguments) -> Result<Exit, Failure> {
    let Loaded { world, document, mut checked } =
        context.load(&arguments.graph, true, arguments.no_metadata)?;
    let graph = context.graph(&document, &mut checked, arguments.json)?;
    let targets = context.targets(&graph, &arguments.only)?.unwrap_or_else(|| graph.targets());
    let cancel = Cancel::new();
    stop_on_ctrl_c(&cancel, context.quiet);
    let (report, exit) = context.run(&graph, &world, targets, cancel, arguments);
    if arguments.json {
        report::print_json(&graph, &report, exit);
    } else {
        report::print_text(&report, exit);
    }
    Ok(exit)
}
