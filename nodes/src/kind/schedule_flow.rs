//! `schedule.flow`: the times a sampler stops at.

use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::flow::{FlowMatchConfig, flow_match_euler, shifted};

use crate::node_error;
use crate::value::{Times, type_of};

pub(crate) struct ScheduleFlow;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "schedule.flow",
        1,
        "Times from noise (0) to data (1)\n\n\
         The grid `lumina` has equal distances, moved towards noise by `shift`: `t / (t + shift * (1 - t))`. The grid\n\
         `diffusers` is that of FlowMatchEulerDiscreteScheduler, whose last step is a small one. The reference scripts\n\
         of Lumina count points: their `num_sampling_steps` of 30 is `steps: 29` here.",
    )
    .input(InputSpec::default("steps", Type::Int, Value::Int(20), "steps; the grid has one point more").min(1.0).max(10_000.0))
    .input(InputSpec::default("shift", Type::Float, Value::Float(1.0), "more steps near noise when above 1").min(0.01).max(100.0))
    .input(
        InputSpec::default("grid", Type::Text, Value::text("lumina"), "the kind of grid: `lumina` or `diffusers`")
            .choices(&["lumina", "diffusers"]),
    )
    .input(InputSpec::optional(
        "sigmas",
        Type::list(Type::Float),
        "noise levels of the grid `diffusers`, from 1 down, in place of `steps`",
    ))
    .output("times", type_of::<Times>(), "the grid")
    .example(r#""times": Node(kind: "schedule.flow", with: { "steps": 20, "shift": 4.0 })"#)
}

impl Node for ScheduleFlow {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        if inquiry.fact("sigmas").is_some() && inquiry.text("grid").is_some_and(|grid| grid != "diffusers") {
            return Err(vec![
                Mistake::at("sigmas", "`sigmas` needs `grid: \"diffusers\"`").also("grid", "this grid"),
            ]);
        }
        let fact = Fact::of(type_of::<Times>());
        let sigmas = inquiry.fact("sigmas").map(|sigmas| sigmas.value.as_ref().map(floats));
        let steps = match sigmas {
            None => inquiry.size("steps"),
            Some(None) => None,
            Some(Some(sigmas)) => {
                let falls = sigmas.windows(2).all(|pair| pair[0] > pair[1]);
                if sigmas.is_empty() || !falls || sigmas.iter().any(|sigma| !(*sigma > 0.0 && *sigma <= 1.0))
                {
                    let message =
                        "`sigmas` must be numbers above 0 and up to 1 that fall, such as `[1.0, 0.7, 0.3]`";
                    return Err(vec![Mistake::at("sigmas", message).code(Code::OutOfRange)]);
                }
                Some(sigmas.len())
            }
        };
        let memory = steps.map_or(Memory::UNKNOWN, |steps| Memory::kept(8 * (steps as u64 + 1)));
        let fact = match steps {
            Some(steps) => fact.with("steps", steps),
            None => fact,
        };
        Ok(Inference::new([fact], memory))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let steps = call.size("steps")?;
        let shift = call.float("shift")?;
        let points = match call.text("grid")? {
            "diffusers" => {
                let sigmas = call.value("sigmas").map(floats);
                let config = FlowMatchConfig { shift, ..FlowMatchConfig::default() };
                let steps = sigmas.as_ref().map_or(steps, Vec::len);
                flow_match_euler(steps, &config, sigmas.as_deref()).map_err(node_error)?.points()
            }
            _ => shifted(steps + 1, shift).map_err(node_error)?,
        };
        Ok(vec![Value::domain(Times { points })])
    }
}

fn floats(value: &Value) -> Vec<f64> {
    match value {
        Value::Float(value) => vec![*value],
        Value::List(items) => items.iter().flat_map(floats).collect(),
        _ => Vec::new(),
    }
}
