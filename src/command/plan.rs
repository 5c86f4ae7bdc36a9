//! `lumina-graph plan`.

use lumina_engine::{Action, Graph, GraphNode, Plan, Step};
use serde_json::json;

use super::report::does_not_fit;
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
    let rows: Vec<Row<'_>> = rows(&graph, &plan);
    if arguments.json {
        let steps: Vec<_> = rows.iter().map(Row::json).collect();
        let device = &graph.provenance.environment;
        let refused = plan.refusal.as_ref().map(|refusal| {
            json!({"needed_bytes": refusal.needed, "limit_bytes": refusal.limit, "node": refusal.node})
        });
        let result =
            json!({"device": device, "peak_bytes": plan.peak_bytes, "steps": steps, "refused": refused});
        answer(&result.to_string());
    } else {
        answer(&format!("{:<16} {:<18} {:<7} {:>10}  outputs", "node", "kind", "action", "memory"));
        rows.iter().for_each(|row| answer(&row.text()));
        let device = &graph.provenance.environment;
        let peak = bytes(plan.peak_bytes);
        answer(&format!("\n{} nodes on {device}, about {peak} of memory at most", rows.len()));
        for step in plan.steps.iter().filter(|step| step.thrifty) {
            let node = &graph.nodes[step.node];
            if let Some(thrifty) = &node.thrifty {
                answer(&format!("`{}`: {}, so that the run fits into memory", node.name, thrifty.how));
            }
        }
    }
    match plan.refusal {
        Some(refusal) => Err(does_not_fit(&refusal)),
        None => Ok(()),
    }
}

/// What happens to a node.
struct Row<'a> {
    node: &'a GraphNode,
    action: &'static str,
    memory: u64,
    thrifty: bool,
}

fn rows<'a>(graph: &'a Graph, plan: &Plan) -> Vec<Row<'a>> {
    let step = |step: &Step| {
        let node = &graph.nodes[step.node];
        let action = match step.action {
            Action::Cached(_) => "cached",
            Action::Run(_) => "run",
            Action::Fail(_) => "fail",
        };
        let memory = match &node.thrifty {
            Some(thrifty) if step.thrifty => thrifty.working,
            _ => node.memory.working,
        };
        Row { node, action, memory, thrifty: step.thrifty }
    };
    // What waits for a decision that the run makes; the node that decides is no row of its own.
    let pending = plan.pending.iter().map(|node| &graph.nodes[*node]);
    let pending = pending.filter(|node| node.kind.spec.control.is_none());
    let later =
        pending.map(|node| Row { node, action: "later", memory: node.memory.working, thrifty: false });
    plan.steps.iter().map(step).chain(later).collect()
}

impl Row<'_> {
    fn outputs(&self) -> String {
        self.node.outputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "node": self.node.name, "kind": self.node.kind.spec.kind, "action": self.action,
            "outputs": self.outputs(), "working_bytes": self.memory, "output_bytes": self.node.memory.kept,
            "thrifty": self.thrifty,
        })
    }

    fn text(&self) -> String {
        let (name, kind) = (&self.node.name, self.node.kind.spec.kind);
        let (action, memory) = (self.action, bytes(self.memory));
        format!("{name:<16} {kind:<18} {action:<7} {memory:>10}  {}", self.outputs())
    }
}
