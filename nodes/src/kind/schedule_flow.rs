//! `schedule.flow`: the times a sampler stops at.

use std::sync::LazyLock;

use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::flow::{Count, FlowMatchConfig, Grid, Schedules, Setting, Settings, flow_match_euler};

use crate::node_error;
use crate::value::{Times, type_of};

pub(crate) struct ScheduleFlow;

/// The grid `lumina` is `shifted` under the name it had first.
const LUMINA: &str = "lumina";

static GRIDS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| [LUMINA].into_iter().chain(Schedules::built_in().names()).collect());

/// Inputs that are settings of some grids, and what they are.
const SETTINGS: [(&str, &str); 7] = [
    ("mu", "of `sigmoid`: where its slope changes; of `diffusers`: a shift by size"),
    ("alpha", "of `sigmoid`: the slope below `mu`"),
    ("beta", "of `sigmoid`: the slope above `mu`"),
    ("mean", "of `logit_normal`: towards data when above 0"),
    ("deviation", "of `logit_normal`: how far the times spread"),
    ("tokens", "of `resolution`: tokens of the picture"),
    ("shift_terminal", "of `diffusers`: the last noise level before 0"),
];

pub(crate) fn spec() -> NodeSpec {
    let spec = NodeSpec::new(
        "schedule.flow",
        1,
        "Times from noise (0) to data (1)\n\n\
         The grid `lumina`, or `shifted`, has equal distances, moved towards noise by `shift`: `t / (t + shift * (1 - t))`.\n\
         `uniform` has equal distances, `sigmoid` is that of the Lumina-Next paper, `logit_normal` follows a distribution of\n\
         training times, `resolution` shifts by the size of the picture, `explicit` is the list `times`. `diffusers` is the\n\
         grid of FlowMatchEulerDiscreteScheduler, whose last step is a small one; `diffusers_dpm` and `diffusers_unipc` are\n\
         those of its multistep schedulers. The reference scripts of Lumina count points: their `num_sampling_steps` of 30\n\
         is `steps: 29` here.",
    )
    .input(InputSpec::default("steps", Type::Int, Value::Int(20), "steps; the grid has one point more").min(1.0).max(10_000.0))
    .input(InputSpec::default("shift", Type::Float, Value::Float(1.0), "more steps near noise when above 1").min(0.01).max(100.0))
    .input(InputSpec::default("grid", Type::Text, Value::text(LUMINA), "the kind of grid").choices(&GRIDS))
    .input(InputSpec::optional(
        "sigmas",
        Type::list(Type::Float),
        "noise levels of the grid `diffusers`, from 1 down, in place of `steps`",
    ))
    .input(InputSpec::optional(
        "times",
        Type::list(Type::Float),
        "times of the grid `explicit`, from noise to data, in place of `steps`",
    ))
    .input(
        InputSpec::optional("spacing", Type::Text, "of `diffusers`: how noise levels lie")
            .choices(lumina_models::flow::Spacing::NAMES),
    );
    let with_settings = SETTINGS
        .iter()
        .fold(spec, |spec, (name, doc)| spec.input(InputSpec::optional(name, Type::Float, doc)));
    with_settings
        .output("times", type_of::<Times>(), "the grid")
        .example(r#""times": Node(kind: "schedule.flow", with: { "steps": 20, "shift": 4.0 })"#)
}

/// The kind of grid that a name means.
fn kind(name: &str) -> &str {
    if name == LUMINA { "shifted" } else { name }
}

/// Whether the grid of this name has a setting.
fn has(grid: &str, setting: &str) -> bool {
    let schedules = Schedules::built_in();
    let kind = schedules.find(kind(grid));
    kind.is_some_and(|kind| kind.parameters.iter().any(|parameter| parameter.name == setting))
}

fn build(grid: &str, settings: &Settings, steps: usize) -> lumina_models::Result<Grid> {
    Schedules::built_in().build(kind(grid), settings)?.grid(Count::Steps(steps))
}

/// Settings that a grid does not have, and values it does not allow.
fn wrong_settings(inquiry: &Inquiry<'_>) -> Vec<Mistake> {
    let Some(grid) = inquiry.text("grid") else { return Vec::new() };
    let given = SETTINGS.iter().map(|(name, _)| *name).chain(["times", "spacing"]);
    let mut mistakes = Vec::new();
    let mut settings = Settings::new();
    let mut known = true;
    for name in given.filter(|name| inquiry.fact(name).is_some()) {
        if !has(grid, name) {
            let message = format!("the grid `{grid}` has no setting `{name}`");
            mistakes.push(Mistake::at(name, message).also("grid", "this grid"));
            continue;
        }
        let value = inquiry.fact(name).and_then(|fact| fact.value.as_ref());
        match value.map(|value| setting(name, value)) {
            Some(value) => settings = settings.with(name, value),
            None => known = false,
        }
    }
    if grid == "explicit" && inquiry.fact("times").is_none() {
        mistakes.push(Mistake::at("grid", "the grid `explicit` needs `times`"));
    }
    let steps = steps(inquiry).unwrap_or(1);
    if mistakes.is_empty()
        && known
        && let Err(error) = build(grid, &settings, steps)
    {
        let named = SETTINGS
            .iter()
            .map(|(name, _)| *name)
            .find(|name| error.to_string().contains(&format!("`{name}`")));
        let at = if grid == "explicit" { "times" } else { named.unwrap_or("grid") };
        mistakes.push(Mistake::at(at, error.to_string()).code(Code::OutOfRange));
    }
    mistakes
}

fn setting(name: &str, value: &Value) -> Setting {
    match value {
        Value::Text(word) => Setting::Word(word.to_string()),
        value if name == "times" => Setting::Numbers(floats(value)),
        value => Setting::Number(floats(value).first().copied().unwrap_or(f64::NAN)),
    }
}

/// How many steps there are, where that is known.
fn steps(inquiry: &Inquiry<'_>) -> Option<usize> {
    for (name, more) in [("sigmas", 0), ("times", 1)] {
        if let Some(list) = inquiry.fact(name) {
            return Some(list.value.as_ref().map(floats)?.len().saturating_sub(more));
        }
    }
    inquiry.size("steps")
}

impl Node for ScheduleFlow {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        if inquiry.fact("sigmas").is_some() && inquiry.text("grid").is_some_and(|grid| grid != "diffusers") {
            return Err(vec![
                Mistake::at("sigmas", "`sigmas` needs `grid: \"diffusers\"`").also("grid", "this grid"),
            ]);
        }
        if let Some(sigmas) = inquiry.fact("sigmas").and_then(|sigmas| sigmas.value.as_ref()).map(floats) {
            let falls = sigmas.windows(2).all(|pair| pair[0] > pair[1]);
            if sigmas.is_empty() || !falls || sigmas.iter().any(|sigma| !(*sigma > 0.0 && *sigma <= 1.0)) {
                let message =
                    "`sigmas` must be numbers above 0 and up to 1 that fall, such as `[1.0, 0.7, 0.3]`";
                return Err(vec![Mistake::at("sigmas", message).code(Code::OutOfRange)]);
            }
        }
        let mistakes = wrong_settings(inquiry);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let fact = Fact::of(type_of::<Times>());
        let steps = steps(inquiry);
        let memory = steps.map_or(Memory::UNKNOWN, |steps| Memory::kept(8 * (steps as u64 + 1)));
        let fact = match steps {
            Some(steps) => fact.with("steps", steps),
            None => fact,
        };
        Ok(Inference::new([fact], memory))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let (name, shift) = (call.text("grid")?, call.float("shift")?);
        if let Some(sigmas) = call.value("sigmas").map(floats) {
            let config = FlowMatchConfig { shift, ..FlowMatchConfig::default() };
            let grid = flow_match_euler(sigmas.len(), &config, Some(&sigmas)).map_err(node_error)?;
            return Ok(vec![Value::domain(Times { points: grid.points(), told: None })]);
        }
        let mut settings = Settings::new();
        if has(name, "shift") {
            settings = settings.number("shift", shift);
        }
        for input in SETTINGS.iter().map(|(input, _)| *input).chain(["times", "spacing"]) {
            if let Some(value) = call.value(input) {
                settings = settings.with(input, setting(input, value));
            }
        }
        let steps = match call.value("times").map(floats) {
            Some(times) => times.len().saturating_sub(1),
            None => call.size("steps")?,
        };
        let grid = build(name, &settings, steps).map_err(node_error)?;
        Ok(vec![Value::domain(Times { points: grid.points, told: grid.told })])
    }
}

fn floats(value: &Value) -> Vec<f64> {
    match value {
        Value::Float(value) => vec![*value],
        Value::Int(value) => vec![*value as f64],
        Value::List(items) => items.iter().flat_map(floats).collect(),
        _ => Vec::new(),
    }
}
