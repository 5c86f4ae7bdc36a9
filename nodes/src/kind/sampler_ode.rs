//! `sampler.ode`: from noise to data along a velocity.

use std::ops::ControlFlow;
use std::sync::LazyLock;

use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Property,
    Type, Value,
};
use lumina_models::backbone::BackboneConfig;
use lumina_models::flow::{Grid, Integration, Settings, Solvers, seeded};
use lumina_models::noise::Generator;
use lumina_models::text::MAX_TOKENS;

use crate::preview::Preview;
use crate::value::{Latent, Times, VelocityValue, type_of};
use crate::{Compute, interrupt, node_error, sizes};

pub(crate) struct SamplerOde;

static SOLVERS: LazyLock<Vec<&'static str>> = LazyLock::new(|| Solvers::built_in().names());

/// Solvers that hold no more than four velocities.
const FEW_STATES: [&str; 5] = ["euler", "midpoint", "heun2", "heun3", "rk4"];

/// Inputs that are settings of some solvers.
const SETTINGS: [&str; 2] = ["rtol", "atol"];

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "sampler.ode",
        1,
        "Follows a velocity from noise to data\n\n\
         Solves the ordinary differential equation `dx/dt = velocity(x, t)` along a grid of times. `euler` asks for one\n\
         velocity in a step, `midpoint` and `heun2` for two, `heun3` for three, `rk4` (the 3/8 rule) for four. `bosh3`,\n\
         `dopri5`, `dopri8`, `adaptive_heun` and `fehlberg2` choose their steps by `rtol` and `atol`, whatever the grid.\n\
         `explicit_adams`, `implicit_adams`, `dpmpp_2m`, `dpmpp_3m`, `dpmpp_2s` and `unipc` remember the steps before.\n\
         `sde`, `dpmpp_2m_sde` and `lcm` add noise of `seed` in every step. A part of the grid can be taken with\n\
         `start_step` and `end_step`, which begins anew for solvers that remember.",
    )
    .input(InputSpec::required("velocity", type_of::<VelocityValue>(), "where to move"))
    .input(InputSpec::required("start", type_of::<Latent>(), "where to begin"))
    .input(InputSpec::required("times", type_of::<Times>(), "the grid"))
    .input(
        InputSpec::default("solver", Type::Text, Value::text("euler"), "how a step is made")
            .choices(&SOLVERS),
    )
    .input(InputSpec::default("start_step", Type::Int, Value::Int(0), "the first step, counted from 0").min(0.0))
    .input(InputSpec::optional("end_step", Type::Int, "one past the last step; all when absent").min(1.0))
    .input(
        InputSpec::optional("rtol", Type::Float, "of adaptive solvers: the error allowed in proportion to the state; 0.001")
            .min(1e-12)
            .max(1.0),
    )
    .input(
        InputSpec::optional("atol", Type::Float, "of adaptive solvers: the error allowed beside that; 0.000001")
            .min(1e-12)
            .max(1.0),
    )
    .input(InputSpec::optional("seed", Type::Int, "of solvers that add noise: where it begins; 0").min(0.0))
    .output("latent", type_of::<Latent>(), "where it ends")
    .device()
    .example(r#""latent": Node(kind: "sampler.ode", with: { "velocity": Link("guided"), "start": Link("noise"), "times": Link("times"), "solver": "euler" })"#)
}

impl Node for SamplerOde {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let mut mistakes: Vec<Mistake> = inquiry.same("space", "start", "velocity").into_iter().collect();
        mistakes.extend(odd_size(inquiry));
        mistakes.extend(other_batch(inquiry));
        mistakes.extend(beyond_grid(inquiry));
        mistakes.extend(unknown_settings(inquiry));
        if let (Some(start), Some(end)) = (inquiry.int("start_step"), inquiry.int("end_step"))
            && start >= end
        {
            let message = format!("`start_step` is {start}, not before `end_step` {end}");
            mistakes.push(Mistake::at("start_step", message).code(Code::OutOfRange));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let fact = inquiry.fact("start").cloned().unwrap_or_else(|| Fact::of(type_of::<Latent>()));
        let bytes = fact.elements().unwrap_or(0) * 4;
        // The state, what the solver holds of it, and the velocities of both halves of guidance with the channels that
        // are not used.
        let many = inquiry.text("solver").is_some_and(|solver| !FEW_STATES.contains(&solver));
        let around = bytes * if many { 40 } else { 12 };
        let (all, one) = activations(inquiry).unwrap_or_default();
        Ok(Inference::new([fact], Memory::new(around + all, bytes))
            .thrifty("one picture and one half of guidance after the other", around + one))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let velocity = call.domain::<VelocityValue>("velocity")?;
        let start = call.domain::<Latent>("start")?;
        let times = call.domain::<Times>("times")?;
        let mut settings = Settings::new();
        for name in SETTINGS.into_iter().filter(|name| call.value(name).is_some()) {
            settings = settings.number(name, call.float(name)?);
        }
        let solver = Solvers::built_in().build(call.text("solver")?, &settings).map_err(node_error)?;
        let seed = if call.value("seed").is_some() { call.size("seed")? as u64 } else { 0 };
        let mut noise = seeded(Generator::Philox, seed);
        let first = call.size("start_step")?;
        let last = if call.value("end_step").is_some() { call.size("end_step")? } else { times.steps() };
        let points = times.points.get(first..=last).filter(|points| points.len() > 1).ok_or_else(|| {
            NodeError::failed(format!("steps {first} to {last} are not in a grid of {} steps", times.steps()))
        })?;
        let stop = interrupt(call.cancel);
        let sequential = call.thrifty.then(|| velocity.0.sequential()).flatten();
        let field = sequential.as_ref().unwrap_or(&velocity.0);
        let preview = Preview::new(call, field.space());
        let integration = Integration::new(&*solver, points).with_noise(&mut noise);
        let told = Grid { points: times.points.clone(), told: times.told.clone() };
        let solution = integration
            .run(
                &start.tensor,
                |latent, time| {
                    let time = told.told(time);
                    let velocity = field.velocity(latent, time, &stop)?;
                    preview.look(latent, time, &velocity);
                    Ok(velocity)
                },
                |step| {
                    preview.show(step.index as u64 + 1);
                    call.progress(step.index as u64 + 1, step.steps as u64, "step");
                    if call.cancel.is_cancelled() {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                },
            )
            .map_err(node_error)?;
        if solution.stopped {
            return Err(NodeError::Interrupted);
        }
        Ok(vec![Value::domain(Latent { tensor: solution.latent, space: start.space.clone() })])
    }
}

/// Bytes that a backbone takes to evaluate all latents and both halves of guidance at once, and one after the other.
fn activations(inquiry: &Inquiry<'_>) -> Option<(u64, u64)> {
    let (start, velocity) = (inquiry.fact("start")?, inquiry.fact("velocity")?);
    let config: BackboneConfig = sizes(Some(velocity))?;
    let number = |name: &str| velocity.int(name).and_then(|value| usize::try_from(value).ok());
    let rows = start.dimension(0)? * number("rows per picture").unwrap_or(1);
    let tokens = config.tokens(&[start.dimension(2)?, start.dimension(3)?])?;
    let caption = number("caption tokens").unwrap_or(MAX_TOKENS);
    let Compute { device, dtype, .. } = Compute::of(inquiry.world);
    let bytes = |rows| config.forward_bytes(rows, tokens, caption, dtype, &device);
    Some((bytes(rows), bytes(1)))
}

/// A latent whose sides do not divide into patches.
fn odd_size(inquiry: &Inquiry<'_>) -> Option<Mistake> {
    let start = inquiry.fact("start")?;
    let patch = match inquiry.fact("velocity")?.properties.get("patch")? {
        Property::Int(patch) => usize::try_from(*patch).ok()?,
        Property::Text(_) => return None,
    };
    let (height, width) = (start.dimension(2)?, start.dimension(3)?);
    (height % patch != 0 || width % patch != 0).then(|| {
        Mistake::at(
            "start",
            format!("a latent of {width} x {height} does not divide into patches of {patch}"),
        )
        .code(Code::WrongShape)
    })
}

/// A number of latents that is not that of the pictures the velocity is for.
fn other_batch(inquiry: &Inquiry<'_>) -> Option<Mistake> {
    let latents = inquiry.fact("start")?.dimension(0)?;
    let pictures = usize::try_from(inquiry.fact("velocity")?.int("pictures")?).ok()?;
    (latents != pictures).then(|| {
        let message = format!("there is noise for {latents} pictures and text for {pictures}");
        Mistake::at("start", message)
            .code(Code::WrongShape)
            .also("velocity", format!("{pictures}: prompts times `images_per_prompt`"))
            .help("`batch` of the noise is the number of prompts times `images_per_prompt`")
    })
}

/// Settings that the solver does not have.
fn unknown_settings(inquiry: &Inquiry<'_>) -> Vec<Mistake> {
    let solvers = Solvers::built_in();
    let Some(kind) = inquiry.text("solver").and_then(|solver| solvers.find(solver)) else {
        return Vec::new();
    };
    let has = |name: &str| kind.parameters.iter().any(|parameter| parameter.name == name);
    let given = SETTINGS.into_iter().filter(|name| inquiry.fact(name).is_some());
    given
        .filter(|name| !has(name))
        .map(|name| {
            let message = format!("the solver `{}` has no setting `{name}`", kind.name);
            Mistake::at(name, message).also("solver", "this solver")
        })
        .collect()
}

/// Steps that the grid does not have.
fn beyond_grid(inquiry: &Inquiry<'_>) -> Option<Mistake> {
    let steps = inquiry.fact("times")?.int("steps")?;
    let (input, step) = match (inquiry.int("start_step"), inquiry.int("end_step")) {
        (_, Some(end)) if end > steps => ("end_step", end),
        (Some(start), _) if start >= steps => ("start_step", start),
        _ => return None,
    };
    let message = format!("`{input}` is {step}, the grid has {steps} steps");
    Some(Mistake::at(input, message).code(Code::OutOfRange).also("times", "this grid"))
}
