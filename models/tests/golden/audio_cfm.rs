//! Sampling of sound along the flow, from noise to a waveform, against the original code.

use std::ops::ControlFlow;

use candle_core::{Device, Tensor};
use lumina_models::Interrupt;
use lumina_models::backbone::audio::{AudioFlagDit, model_time};
use lumina_models::flow::{
    Betas, Ddim, DdimSteps, Guidance, GuidedChannels, Settings, Solver, Solvers, integrate, running,
};

use crate::common::{Case, Golden, check, check_values};
use crate::{audio_autoencoder, audio_flag_dit, audio_vocoder};

const FOLDER: &str = "audio_cfm";

/// Every state from the start, and every time that the network was told.
fn sample(network: &AudioFlagDit, golden: &Golden, case: &Case, solver: &dyn Solver) -> (Tensor, Vec<f64>) {
    let never = Interrupt::never();
    let context = network.prepare(golden.get(case, "cond")).unwrap();
    let guidance = case.number("unconditional_guidance_scale").map(|scale| {
        let unconditional = network.prepare(golden.get(case, "uncond")).unwrap();
        (Guidance { scale, channels: GuidedChannels::All }, unconditional)
    });
    let points = case.number("timesteps").unwrap() as usize;
    let first = case.number("t_start").unwrap_or(0.0) as usize;
    let times = running(points, first).unwrap();
    let start = golden.get(case, "x0");
    let (mut states, mut told) = (vec![start.clone()], Vec::new());
    integrate(
        solver,
        start,
        &times,
        |latent, time| {
            let time = model_time(time);
            told.push(time);
            let conditional = network.velocity(latent, &[time], &context, &never)?;
            match &guidance {
                Some((guidance, unconditional)) => {
                    let other = network.velocity(latent, &[time], unconditional, &never)?;
                    guidance.combine(&conditional, &other)
                }
                None => Ok(conditional),
            }
        },
        |step| {
            states.push(step.latent.clone());
            ControlFlow::Continue(())
        },
    )
    .unwrap();
    (Tensor::stack(&states, 0).unwrap(), told)
}

#[test]
fn paths_are_those_of_the_original_code() {
    let (network, golden) = (audio_flag_dit::network(), Golden::open(FOLDER, "config.json"));
    let mut compared = 0;
    for case in &golden.cases {
        let what = |name: &str| format!("audio_cfm {} {name}", case.name);
        if case.method != "sample" && case.method != "sample_cfg" {
            continue;
        }
        let solver = match case.args["solver"].as_str().unwrap() {
            "rk4" => "rk4_torchdyn",
            other => other,
        };
        let solver = Solvers::built_in().build(solver, &Settings::new()).unwrap();
        let (states, told) = sample(&network, &golden, case, &*solver);
        assert_eq!(told, golden.times(case, "model_timesteps"), "{}", case.name);
        check(&what("states"), &states, golden.get(case, "states"), case.tol_abs.as_f64().unwrap());
        compared += 1;
    }
    assert_eq!(compared, 6);
}

#[test]
fn a_latent_becomes_the_sound_of_the_original_code() {
    let golden = Golden::open(FOLDER, "config.json");
    let case = golden.with_method("decode_first_stage, BigVGAN")[0];
    let tolerance = case.tol_abs.as_f64().unwrap();
    let never = Interrupt::never();
    let latent = (golden.get(case, "latent") / case.number("scale_factor").unwrap()).unwrap();
    let mel = audio_autoencoder::network().decode(&latent, &never).unwrap();
    check("audio_cfm pipeline mel", &mel, golden.get(case, "mel"), tolerance);
    let sound = audio_vocoder::network().forward(&mel, &never).unwrap();
    check("audio_cfm pipeline wav", &sound, golden.get(case, "wav"), tolerance);
}

#[test]
fn the_network_predicts_in_training_what_the_original_code_predicts() {
    let (network, golden) = (audio_flag_dit::network(), Golden::open(FOLDER, "config.json"));
    let case = golden.with_method("p_losses")[0];
    let tolerance = case.tol_abs.as_f64().unwrap();
    let (data, noise) = (golden.get(case, "x1"), golden.get(case, "noise"));
    let kept = 1.0 - case.number("sigma_min").unwrap();
    let times = golden.times(case, "t");
    let count = times.len();
    let flow: Vec<f32> = times.iter().map(|&time| (time / 1000.0) as f32).collect();
    let flow = Tensor::from_vec(flow, (count, 1, 1), &Device::Cpu).unwrap();
    let share = (1.0 - (&flow * kept).unwrap()).unwrap();
    let mixed = (data.broadcast_mul(&flow).unwrap() + noise.broadcast_mul(&share).unwrap()).unwrap();
    check("audio_cfm training x_noisy", &mixed, golden.get(case, "x_noisy"), tolerance);
    let context = network.prepare(golden.get(case, "cond")).unwrap();
    let velocity = network.velocity(&mixed, &times, &context, &Interrupt::never()).unwrap();
    check("audio_cfm training pred", &velocity, golden.get(case, "pred"), tolerance);
    let target = (data - (noise * kept).unwrap()).unwrap();
    let loss = (velocity - target).unwrap().sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap();
    let expected = golden.get(case, "loss").to_scalar::<f32>().unwrap();
    check_values("audio_cfm training loss", &[loss], &[expected], tolerance);
}

#[test]
fn ddim_reads_the_network_as_the_original_code_does() {
    let (network, golden) = (audio_flag_dit::network(), Golden::open(FOLDER, "config.json"));
    let never = Interrupt::never();
    let left = Betas::Linear(0.00085, 0.012).left(1000);
    let cases = golden.with_method("DDIMSampler.sample");
    assert_eq!(cases.len(), 2);
    for case in cases {
        let what = |name: &str| format!("audio_cfm {} {name}", case.name);
        let tolerance = case.tol_abs.as_f64().unwrap();
        let number = |name: &str| case.number(name).unwrap();
        let ddim = Ddim::new(number("S") as usize, DdimSteps::Uniform, &left, number("eta")).unwrap();
        let guidance =
            Guidance { scale: number("unconditional_guidance_scale"), channels: GuidedChannels::All };
        let [conditional, unconditional] =
            ["cond", "uncond"].map(|name| network.prepare(golden.get(case, name)).unwrap());
        let noises = golden.get(case, "noises");
        let mut state = golden.get(case, "x_T").clone();
        let (mut states, mut expected, mut told) = (Vec::new(), Vec::new(), Vec::new());
        for (drawn, index) in (0..ddim.timesteps.len()).rev().enumerate() {
            let time = ddim.timesteps[index] as f64;
            told.push(time);
            let predicted = network.velocity(&state, &[time], &conditional, &never).unwrap();
            let other = network.velocity(&state, &[time], &unconditional, &never).unwrap();
            let predicted = guidance.combine(&predicted, &other).unwrap();
            let (moved, data) = ddim.step(index, &state, &predicted, &noises.get(drawn).unwrap()).unwrap();
            states.push(moved.clone());
            expected.push(data);
            state = moved;
        }
        assert_eq!(told, golden.times(case, "model_timesteps"), "{}", case.name);
        let stack = |list: &[Tensor]| Tensor::stack(list, 0).unwrap();
        let recorded = golden.get(case, "states");
        let skipped = recorded.dims()[0] - states.len();
        let recorded = recorded.narrow(0, skipped, states.len()).unwrap();
        check(&what("states"), &stack(&states), &recorded, tolerance);
        check(&what("pred_x0"), &stack(&expected), golden.get(case, "pred_x0"), tolerance);
    }
}
