//! Sampling from a picture and in the direction of SD3, against the original code.

use candle_core::{Device, Tensor};
use lumina_models::backbone::{Backbone, NextDit, NextDitConfig, RopeScaling};
use lumina_models::flow::{kept, shifted, shifted_float32};
use lumina_models::{DType, Interrupt};

use crate::backbone_cases::{checkpoint, doubled, guided, options};
use crate::common::{Case, Golden, caption, check, check_values, values};
use crate::flow_ode::{check_halves, follow};

#[test]
fn a_sampling_from_a_picture_is_that_of_the_original_code() {
    let golden = Golden::open("sampler_img2img", "config.json");
    let checkpoint = checkpoint("next_dit_mini");
    let config = NextDitConfig::from_checkpoint(&checkpoint).unwrap();
    let network = NextDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &Interrupt::never()).unwrap();
    let (features, mask) = (golden.find("cap_feats").unwrap(), golden.find("cap_mask").unwrap());
    let caption = network.prepare(&caption(features, mask)).unwrap();
    let (picture, noise) = (golden.find("image_latent").unwrap(), golden.find("noise").unwrap());
    assert_eq!(golden.cases.len(), 5);
    for case in &golden.cases {
        let tolerance = case.tol_abs.as_f64().unwrap();
        let points = case.number("num_steps").unwrap() as usize;
        let grid = shifted_float32(points, case.number("time_shifting_factor").unwrap()).unwrap();
        let times = kept(&grid, case.number("strength").unwrap()).unwrap();
        assert_eq!(times, golden.times(case, "t"), "{}", case.name);
        let mixed = ((noise * (1.0 - times[0])).unwrap() + (picture * times[0]).unwrap()).unwrap();
        let start = Tensor::cat(&[&mixed, &mixed], 0).unwrap();
        check(&format!("sampler_img2img {} start", case.name), &start, golden.get(case, "start"), tolerance);

        let arguments = &case.args["model_kwargs"];
        let number = |name: &str| arguments[name].as_f64().unwrap();
        let scaling =
            RopeScaling { scale_factor: number("scale_factor"), watershed: number("scale_watershed") };
        let forward = Case { args: arguments.clone(), ..Case::default() };
        let path = follow(case, &start, times, |latent, time| {
            let options = options(&forward, scaling.factors_at(time));
            let velocity = network.velocity(&doubled(latent), &[time; 2], &caption, &options)?;
            Ok(guided(&velocity, number("cfg_scale")))
        });
        let what = format!("sampler_img2img {}", case.name);
        check_halves(&what, &golden, case, &path.states);
    }
}

/// The network of SD3 has noise at time 1 and data at 0: `-v(x, 1 - t)` is a velocity as ours are.
#[test]
fn the_direction_of_sd3_is_a_velocity_turned_round() {
    let golden = Golden::open("sampler_sd3", "config.json");
    let (mixing, shift) = (golden.find("K").unwrap(), golden.find("emb").unwrap());
    let start = golden.find("z").unwrap();
    assert_eq!(golden.cases.len(), 3);
    for case in &golden.cases {
        let points = case.number("num_steps").unwrap() as usize;
        let times = shifted(points, case.number("time_shifting_factor").unwrap_or(1.0)).unwrap();
        let turned: Vec<f32> = times.iter().map(|&time| (1.0 - time) as f32).collect();
        check_values(&format!("{} t", case.name), &turned, &values(golden.get(case, "t")), 2e-7);
        let scale = case.number("cfg_scale").unwrap();
        let (count, mut told) = (start.dims()[0] / 2, Vec::new());
        let path = follow(case, start, &times, |latent, time| {
            let time = 1.0 - time;
            told.push(time as f32);
            let input = doubled(latent);
            let (batch, channels, height, width) = input.dims4()?;
            let mixed = mixing.broadcast_matmul(&input.reshape((batch, channels, height * width))?)?;
            let added = (shift * time)?.reshape((batch, channels, 1))?;
            let output = mixed.broadcast_add(&added)?.reshape((batch, channels, height, width))?;
            // The unconditional half is the first.
            let (unconditional, conditional) = (output.narrow(0, 0, count)?, output.narrow(0, count, count)?);
            let all = (&unconditional + ((conditional - &unconditional)? * scale)?)?;
            Ok(Tensor::cat(&[&all, &all], 0)?.neg()?)
        });
        let what = format!("sampler_sd3 {}", case.name);
        check(&what, &path.states, golden.get(case, "states"), case.tol_abs.as_f64().unwrap());
        check_values(&format!("{what} eval_times"), &told, &values(golden.get(case, "eval_times")), 2e-7);
    }
}
