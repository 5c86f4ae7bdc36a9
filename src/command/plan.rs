//! `lumina-graph plan`.

use lumina_engine::Action;
use serde_json::json;

use super::{Context, Loaded};
use crate::arguments::PlanArguments;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::messages::{answer, bytes};

pub(super) fn plan(context: &Context, arguments: &PlanArguments) -> Exit {
    match show(context, arguments) {
        Ok(()) => Exit::Ok,
        Err(failure) => failure.end(arguments.json),
    }
}

fn show(context: &Context, arguments: &PlanArguments) -> Result<(), Failure> {
    let Loaded { world, document, mut checked } = context.load(&arguments.graph, false, false)?;
    let graph = context.graph(&document, &mut checked, arguments.json)?;
    let targets = context.targets(&graph, &arguments.only)?;
    let plan = context.engine.plan(&graph, &world, targets);
    let rows = plan.steps.iter().map(|step| {
        let node = &graph.nodes[step.node];
        let outputs: Vec<String> = node.outputs.iter().map(ToString::to_string).collect();
        let action = match step.action {
            Action::Cached(_) => "cached",
            Action::Run(_) => "run",
            Action::Fail(_) => "fail",
        };
        (node, action, outputs.join(", "))
    });
    if arguments.json {
        let steps: Vec<_> = rows
            .map(|(node, action, outputs)| {
                json!({
                    "node": node.name, "kind": node.kind.spec.kind, "action": action, "outputs": outputs,
                    "working_bytes": node.memory.working, "output_bytes": node.memory.kept,
                })
            })
            .collect();
        let device = graph.provenance.environment;
        answer(&json!({"device": device, "peak_bytes": plan.peak_bytes, "steps": steps}).to_string());
        return Ok(());
    }
    answer(&format!("{:<16} {:<18} {:<7} {:>10}  outputs", "node", "kind", "action", "memory"));
    for (node, action, outputs) in rows {
        let memory = bytes(node.memory.working);
        answer(&format!("{:<16} {:<18} {action:<7} {memory:>10}  {outputs}", node.name, node.kind.spec.kind));
    }
    let device = &graph.provenance.environment;
    answer(&format!(
        "\n{} nodes on {device}, about {} of memory at most",
        plan.steps.len(),
        bytes(plan.peak_bytes)
    ));
    Ok(())
}
