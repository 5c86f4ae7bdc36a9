//! Solvers state by state, against the original sampler with torchdiffeq.

use std::ops::ControlFlow;

use candle_core::{Device, Tensor};
use lumina_models::backbone::{Backbone, NextDit, NextDitConfig, RopeScaling};
use lumina_models::flow::{Settings, Solution, Solvers, integrate, shifted_float32};
use lumina_models::{DType, Interrupt, Result};

use crate::backbone_cases::{checkpoint, doubled, guided, options};
use crate::common::{Case, Golden, caption, check, check_values, values};

/// Every state from the start, what the network was told, and where it ended.
pub(crate) struct Path {
    pub(crate) states: Tensor,
    pub(crate) told: Vec<f32>,
    pub(crate) solution: Solution,
}

pub(crate) fn follow(
    case: &Case,
    start: &Tensor,
    times: &[f64],
    mut velocity: impl FnMut(&Tensor, f64) -> Result<Tensor>,
) -> Path {
    let name = case.args["sampling_method"].as_str().or(case.args["sampler_type"].as_str()).unwrap();
    let solver = Solvers::built_in().build(name, &Settings::new()).unwrap();
    let (mut states, mut told) = (vec![start.clone()], Vec::new());
    let solution = integrate(
        &*solver,
        start,
        times,
        |latent, time| {
            told.push(time as f32);
            velocity(latent, time)
        },
        |step| {
            states.push(step.latent.clone());
            ControlFlow::Continue(())
        },
    )
    .unwrap();
    assert_eq!(solution.evaluations, told.len(), "{}", case.name);
    Path { states: Tensor::stack(&states, 0).unwrap(), told, solution }
}

/// The grid of a case, which the reference has in float32.
fn times(golden: &Golden, case: &Case) -> Vec<f64> {
    let points = case.number("num_steps").unwrap() as usize;
    let times = match case.number("time_shifting_factor") {
        Some(shift) => shifted_float32(points, shift).unwrap(),
        None => shifted_float32(points, 1.0).unwrap(),
    };
    assert_eq!(times, golden.times(case, "t"), "{}", case.name);
    times
}

/// What the network was told; of an adaptive solver, whose steps depend on rounding, how often and how many steps failed.
fn check_told(golden: &Golden, case: &Case, path: &Path) {
    let expected = values(golden.get(case, "eval_times"));
    if golden.find(&format!("{}.steps_accepted", case.name)).is_none() {
        check_values(&format!("{} eval_times", case.name), &path.told, &expected, 2e-7);
        return;
    }
    let accepted = values(golden.get(case, "steps_accepted"));
    let rejected = accepted.iter().filter(|&&accepted| accepted == 0.0).count();
    assert_eq!((path.told.len(), path.solution.rejected), (expected.len(), rejected), "{}", case.name);
}

/// States of both halves of guidance, whose guided channels are the same.
pub(crate) fn check_halves(what: &str, golden: &Golden, case: &Case, states: &Tensor) {
    let tolerance = case.tol_abs.as_f64().unwrap();
    let half = |row: usize| states.narrow(1, row, 1).unwrap();
    check(what, &half(0), golden.get(case, "states"), tolerance);
    check(&format!("{what} rest"), &half(1).narrow(2, 3, 1).unwrap(), golden.get(case, "rest"), tolerance);
    let guided = |row: usize| values(&half(row).narrow(2, 0, 3).unwrap());
    assert_eq!(guided(0), guided(1), "{what}");
}

/// `x A^T + b t`.
pub(crate) fn linear_field(golden: &Golden) -> impl Fn(&Tensor, f64) -> Result<Tensor> {
    let (a, b) = (golden.find("A").unwrap().t().unwrap(), golden.find("b").unwrap().clone());
    move |latent, time| Ok(latent.matmul(&a)?.broadcast_add(&(&b * time)?)?)
}

#[test]
fn states_of_a_linear_field_are_those_of_torchdiffeq() {
    let golden = Golden::open("sampler_ode", "config.json");
    let start = golden.find("x0").unwrap();
    assert_eq!(golden.cases.len(), 22);
    for case in &golden.cases {
        let path = follow(case, start, &times(&golden, case), linear_field(&golden));
        let what = format!("sampler_ode {} {}", case.name, case.args["sampling_method"]);
        check(&what, &path.states, golden.get(case, "states"), case.tol_abs.as_f64().unwrap());
        if case.args["sampling_method"] == "dopri8" {
            // Rounding decides how far its steps grow.
            check(&format!("{what} exact"), &path.states, golden.get(case, "exact"), 5e-3);
        } else {
            check_told(&golden, case, &path);
        }
    }
}

#[test]
fn states_under_a_guided_network_are_those_of_the_original_code() {
    let golden = Golden::open("sampler_ode_network", "config.json");
    let checkpoint = checkpoint("next_dit_t2i");
    let config = NextDitConfig::from_checkpoint(&checkpoint).unwrap();
    let network = NextDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &Interrupt::never()).unwrap();
    let (features, mask) = (golden.find("cap_feats").unwrap(), golden.find("cap_mask").unwrap());
    let caption = network.prepare(&caption(features, mask)).unwrap();
    assert_eq!(golden.cases.len(), 8);
    for case in &golden.cases {
        let arguments = &case.args["model_kwargs"];
        let number = |name: &str| arguments[name].as_f64();
        let scaling = RopeScaling {
            scale_factor: number("scale_factor").unwrap_or(1.0),
            watershed: number("scale_watershed").unwrap_or(1.0),
        };
        let forward = Case { args: arguments.clone(), ..Case::default() };
        let path = follow(case, golden.find("z").unwrap(), &times(&golden, case), |latent, time| {
            // The network compares times in f32.
            let time = f64::from(time as f32);
            let options = options(&forward, scaling.factors_at(time));
            let velocity = network.velocity(&doubled(latent), &[time; 2], &caption, &options)?;
            Ok(guided(&velocity, number("cfg_scale").unwrap()))
        });
        let what = format!("sampler_ode_network {} {}", case.name, case.args["sampling_method"]);
        check_halves(&what, &golden, case, &path.states);
        check_told(&golden, case, &path);
    }
}
