//! Schedulers of diffusers, step by step.

use std::ops::ControlFlow;

use candle_core::{Device, Tensor};
use lumina_models::flow::{
    Count, Dpm, FlowMatch, Grid, Integration, Schedules, Setting, Settings, Solver, Solvers, Spacing,
    TimeShift, dynamic_shift,
};
use serde_json::Value;

use crate::common::{Case, Golden, check, check_values, values};

/// `0.8 x - 0.5 sin(1.7 x + offset) + 0.6 cos(3 t / 1000)`: what a scheduler is handed, from data to noise.
fn field(golden: &Golden, latent: &Tensor, timestep: f32) -> Tensor {
    let offset = golden.find("offset").unwrap();
    let wave = ((latent * 1.7).unwrap() + offset).unwrap().sin().unwrap();
    let moving = f64::from((3.0 * timestep / 1000.0).cos()) * 0.6;
    (((latent * 0.8).unwrap() - (wave * 0.5).unwrap()).unwrap() + moving).unwrap()
}

/// The grid of a case as this crate has it by name, and the solver.
fn set_up(case: &Case, config: &Value) -> (Grid, Box<dyn Solver>) {
    let class = config["_class_name"].as_str().unwrap();
    let on = |name: &str| config[name].as_bool().unwrap_or(false);
    let number = |name: &str| config[name].as_f64();
    let steps = case.number("num_inference_steps").unwrap() as usize;
    let solvers = |name: &str, settings: &Settings| Solvers::built_in().build(name, settings).unwrap();
    let mut settings = Settings::new();
    let flow_match = class.starts_with("FlowMatch");
    settings =
        settings.number("shift", number(if flow_match { "shift" } else { "flow_shift" }).unwrap_or(1.0));
    if flow_match {
        if on("use_dynamic_shifting") {
            settings = settings.number("mu", case.number("mu").unwrap());
        }
        for name in ["karras", "exponential", "beta"] {
            if on(&format!("use_{name}_sigmas")) {
                settings = settings.word("spacing", name);
            }
        }
        if let Some(kind) = config["time_shift_type"].as_str() {
            settings = settings.word("time_shift_type", kind);
        }
        if let Some(terminal) = number("shift_terminal") {
            settings = settings.number("shift_terminal", terminal);
        }
        let grid = match case.args["sigmas"].as_array() {
            None => Schedules::built_in()
                .build("diffusers", &settings)
                .unwrap()
                .grid(Count::Steps(steps))
                .unwrap(),
            Some(own) => {
                let own: Vec<f64> = own.iter().map(|sigma| sigma.as_f64().unwrap()).collect();
                let shift = match case.number("mu") {
                    Some(mu) => TimeShift::Exponential(mu),
                    None => TimeShift::Fixed(number("shift").unwrap_or(1.0)),
                };
                let terminal = number("shift_terminal");
                let scheduler = FlowMatch { shift, terminal, spacing: Spacing::Even, train_steps: 1000 };
                Grid::new(scheduler.levels(steps, Some(&own)).unwrap().points())
            }
        };
        let solver = match class {
            "FlowMatchHeunDiscreteScheduler" => "heun_diffusers",
            "FlowMatchLCMScheduler" => "lcm",
            _ if on("stochastic_sampling") => "lcm",
            _ => "euler",
        };
        return (grid, solvers(solver, &Settings::new()));
    }
    if let Some(last) = config["final_sigmas_type"].as_str() {
        settings = settings.word("final_sigmas_type", last);
    }
    let order = number("solver_order").unwrap();
    let form = config["solver_type"].as_str();
    let unipc = class == "UniPCMultistepScheduler";
    let schedule = if unipc { "diffusers_unipc" } else { "diffusers_dpm" };
    let grid = Schedules::built_in().build(schedule, &settings).unwrap().grid(Count::Steps(steps)).unwrap();
    let mut settings = Settings::new();
    if let Some(form) = form {
        settings = settings.word("form", form);
    }
    let solver = match (class, order) {
        ("UniPCMultistepScheduler", _) => solvers("unipc", &settings.number("order", order)),
        ("DPMSolverSinglestepScheduler", _) => solvers("dpmpp_2s", &settings),
        (_, 1.0) => Box::new(Dpm { order: 1, heun: false, stochastic: false }),
        (_, 3.0) => solvers("dpmpp_3m", &settings),
        _ if config["algorithm_type"] == "sde-dpmsolver++" => solvers("dpmpp_2m_sde", &settings),
        _ => solvers("dpmpp_2m", &settings),
    };
    (grid, solver)
}

/// What the network is told is `1 - timestep / 1000`.
fn timestep(grid: &Grid, time: f64) -> f32 {
    ((1.0 - grid.told(time)) * 1000.0) as f32
}

#[test]
fn samples_after_every_step_are_those_of_diffusers() {
    let golden = Golden::open("schedulers", "cases.json");
    let cases = golden.with_method("trajectory");
    assert_eq!(cases.len(), 25);
    for case in cases {
        let (grid, solver) = set_up(case, &case.scheduler_config);
        let heun = case.name.starts_with("heun");
        let what = |name: &str| format!("schedulers {} {name}", case.name);
        let sigmas: Vec<f32> = grid.points.iter().map(|&time| (1.0 - time) as f32).collect();
        let timesteps: Vec<f32> = grid.points.iter().map(|&time| timestep(&grid, time)).collect();
        // Heun's method has each but the ends twice.
        let twice = |list: &[f32]| -> Vec<f32> {
            list.iter()
                .enumerate()
                .flat_map(|(index, &value)| vec![value; if heun && index > 0 { 2 } else { 1 }])
                .collect()
        };
        let mut listed = twice(&sigmas[..sigmas.len() - 1]);
        listed.push(sigmas[sigmas.len() - 1]);
        check_values(&what("sigmas"), &listed, &values(golden.get(case, "sigmas")), case.tolerance("sigmas"));
        let listed = twice(&timesteps[..timesteps.len() - 1]);
        // Whole numbers must be exact, and are whole but for the rounding of 1 - t / 1000.
        let tolerance = case.tolerance("timesteps").max(1e-4);
        check_values(&what("timesteps"), &listed, &values(golden.get(case, "timesteps")), tolerance);

        // States as the network sees them, and those after the last step: all that the scheduler gives.
        let mut seen = Vec::new();
        let mut drawn = 0;
        let mut noise = |_: &Tensor| {
            drawn += 1;
            Ok(golden.get(case, &format!("noise_{drawn}")).clone())
        };
        let integration = Integration::new(&*solver, &grid.points).with_noise(&mut noise);
        let solution = integration
            .run(
                golden.find("x").unwrap(),
                |latent, time| {
                    seen.push(latent.clone());
                    Ok(field(&golden, latent, timestep(&grid, time).round_to(&grid)).neg()?)
                },
                |_| ControlFlow::Continue(()),
            )
            .unwrap();
        seen.push(solution.latent);
        let expected = case.outputs.keys().filter(|name| name.starts_with("sample_after")).count();
        for (step, state) in seen.iter().enumerate().skip(1).take(expected) {
            let name = format!("sample_after_step_{step}");
            check(&what(&name), state, golden.get(case, &name), case.tolerance(&name));
        }
        let recorded =
            (1..).take_while(|index| golden.find(&format!("{}.noise_{index}", case.name)).is_some());
        assert_eq!(drawn, recorded.count(), "{}", case.name);
        // One step of UniPC with `bh1` is not a number there, and is one here.
        assert!(values(&seen[seen.len() - 1]).iter().all(|value| value.is_finite()), "{}", case.name);
    }
}

trait RoundTo {
    fn round_to(self, grid: &Grid) -> Self;
}

impl RoundTo for f32 {
    /// A whole timestep where the scheduler has whole ones.
    fn round_to(self, grid: &Grid) -> Self {
        if grid.told.is_some() { self.round() } else { self }
    }
}

#[test]
fn a_start_from_a_picture_and_the_shift_of_its_size_are_those_of_diffusers() {
    let golden = Golden::open("schedulers", "cases.json");
    let case = golden.with_method("scale_noise")[0];
    let settings = Settings::new().with("shift", Setting::Number(3.0));
    // Its default table of 1000 timesteps, in which the timestep of the case is the third of six.
    let timestep = values(golden.get(case, "timestep"))[0];
    let sigma = f64::from(timestep) / 1000.0;
    let grid = Schedules::built_in().build("diffusers", &settings).unwrap().grid(Count::Steps(6)).unwrap();
    assert!((1.0 - grid.points[2] - sigma).abs() < 1e-6);
    let (picture, noise) = (golden.find("x").unwrap(), golden.find("offset").unwrap());
    let found = ((noise * sigma).unwrap() + (picture * (1.0 - sigma)).unwrap()).unwrap();
    check("scale_noise", &found, golden.get(case, "noised"), case.tolerance("noised"));

    let case = golden.with_method("calculate_shift")[0];
    let tokens = golden.times(case, "image_seq_len");
    let found: Vec<f32> =
        tokens.iter().map(|&tokens| dynamic_shift(tokens, (256.0, 0.5), (4096.0, 1.15)) as f32).collect();
    let found = Tensor::new(found, &Device::Cpu).unwrap();
    check("mu", &found, golden.get(case, "mu"), case.tolerance("mu"));
}
