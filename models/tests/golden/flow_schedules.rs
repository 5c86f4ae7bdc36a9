//! Grids and training times, against the transport code and that of the audio networks.

use lumina_models::flow::{Betas, Ddim, DdimSteps, TrainingTimes, kept, shifted, shifted_float32};

use crate::common::{Case, Golden, check_values, values};

/// The greatest difference of two lists in f64.
#[track_caller]
fn check_doubles(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let difference = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("{what}: largest difference {difference:.3e}, tolerance {tolerance:.3e}");
    assert!(difference <= tolerance, "{what}: difference {difference:.3e} above {tolerance:.3e}");
}

fn grid(case: &Case) -> (usize, f64) {
    let points = case.number("num_steps").unwrap() as usize;
    (points, case.number("time_shifting_factor").unwrap_or(1.0))
}

fn cases<'a>(golden: &'a Golden, prefix: &str) -> Vec<&'a Case> {
    let cases: Vec<_> = golden.cases.iter().filter(|case| case.name.starts_with(prefix)).collect();
    assert!(!cases.is_empty(), "{prefix}");
    cases
}

#[test]
fn flow_grids_are_those_of_the_original_code() {
    let golden = Golden::open("schedules", "config.json");
    for case in cases(&golden, "flow") {
        let (points, shift) = grid(case);
        let tolerance = case.tol_abs.as_f64().unwrap();
        assert_eq!(
            shifted_float32(points, shift).unwrap(),
            golden.times(case, "t"),
            "{} bit by bit",
            case.name
        );
        // In f64 the last bits of the reference are not there.
        check_doubles(
            &case.name,
            &shifted(points, shift).unwrap(),
            &golden.times(case, "t"),
            2.0 * tolerance,
        );
    }
    for case in cases(&golden, "strength") {
        let (points, shift) = grid(case);
        let grid = shifted_float32(points, shift).unwrap();
        let left = kept(&grid, case.number("strength").unwrap()).unwrap();
        check_doubles(&case.name, left, &golden.times(case, "t"), case.tol_abs.as_f64().unwrap());
    }
}

#[test]
fn the_grid_of_sd3_is_the_same_the_other_way_round() {
    let golden = Golden::open("schedules", "config.json");
    for case in cases(&golden, "sd3") {
        let (points, shift) = grid(case);
        let times: Vec<f64> = shifted(points, shift).unwrap().into_iter().map(|time| 1.0 - time).collect();
        check_doubles(&case.name, &times, &golden.times(case, "t"), case.tol_abs.as_f64().unwrap());
    }
}

#[test]
fn training_times_are_those_of_the_original_code() {
    let golden = Golden::open("schedules", "config.json");
    for case in cases(&golden, "train") {
        let times = match case.args["snr_type"].as_str().unwrap() {
            "uniform_0.2_0.8" => TrainingTimes::Between(0.2, 0.8),
            "lognorm" => TrainingTimes::LogNormal,
            "shift_3.0" => TrainingTimes::Shifted(3.0),
            other => {
                assert_eq!(other, "uniform");
                TrainingTimes::Uniform
            }
        };
        let draws = golden.times(case, "u").into_iter().zip(golden.times(case, "normal"));
        let found: Vec<f64> = draws.map(|(uniform, normal)| times.at(uniform, normal)).collect();
        check_doubles(&case.name, &found, &golden.times(case, "t"), case.tol_abs.as_f64().unwrap());
    }
}

#[test]
fn coefficients_of_diffusion_are_those_of_the_original_code() {
    let golden = Golden::open("schedules", "config.json");
    for case in cases(&golden, "beta") {
        let ends = (case.number("linear_start").unwrap(), case.number("linear_end").unwrap());
        let betas = match case.args["schedule"].as_str().unwrap() {
            "linear" => Betas::Linear(ends.0, ends.1),
            "sqrt_linear" => Betas::Plain(ends.0, ends.1),
            "sqrt" => Betas::Root(ends.0, ends.1),
            other => {
                assert_eq!(other, "cosine");
                Betas::Cosine
            }
        };
        let count = case.number("n_timestep").unwrap() as usize;
        let tolerance = case.tol_abs.as_f64().unwrap();
        check_doubles(&case.name, &betas.values(count), &golden.times(case, "betas"), tolerance);
        check_doubles(&case.name, &betas.left(count), &golden.times(case, "alphas_cumprod"), tolerance);
    }
    let left = Betas::Linear(0.00085, 0.012).left(1000);
    for case in cases(&golden, "ddim") {
        let how = if case.args["method"] == "quad" { DdimSteps::Quadratic } else { DdimSteps::Uniform };
        let steps = case.number("S").unwrap() as usize;
        let ddim = Ddim::new(steps, how, &left, case.number("eta").unwrap()).unwrap();
        let timesteps: Vec<f64> = ddim.timesteps.iter().map(|&timestep| timestep as f64).collect();
        assert_eq!(timesteps, golden.times(case, "timesteps"), "{}", case.name);
        let tolerance = case.tol_abs.as_f64().unwrap();
        for (name, found) in
            [("alphas", &ddim.alphas), ("alphas_prev", &ddim.alphas_before), ("sigmas", &ddim.sigmas)]
        {
            check_doubles(&format!("{} {name}", case.name), found, &golden.times(case, name), tolerance);
        }
    }
    // One timestep beyond the last.
    assert!(Ddim::new(3, DdimSteps::Uniform, &left, 0.0).is_err());
}

#[test]
fn the_guide_of_anagrams_fades_as_in_the_original_code() {
    let golden = Golden::open("schedules", "config.json");
    let case = cases(&golden, "anagram_decay")[0];
    let fade = |time: &f32| (0.5 * (1.0 + (std::f64::consts::PI * f64::from(*time)).cos())) as f32;
    let found: Vec<f32> = values(golden.get(case, "t")).iter().map(fade).collect();
    check_values("anagram_decay", &found, &values(golden.get(case, "c")), case.tol_abs.as_f64().unwrap());
}
