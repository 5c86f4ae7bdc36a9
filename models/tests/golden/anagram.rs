//! Views and their sampling, against the original code.

use std::collections::HashMap;
use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};
use lumina_models::Interrupt;
use lumina_models::backbone::{AttentionGrowth, Backbone, NextDit, NextDitConfig, RopeFactors};
use lumina_models::flow::{Guidance, Guide, View, integrate_views, shifted};
use serde_json::Value;

use crate::backbone_cases::{checkpoint, options};
use crate::common::{Golden, caption, check, check_values, golden, load};

/// Cases of views with their key tables, of which some belong to other cases.
fn view_cases() -> (Vec<Value>, HashMap<String, Tensor>) {
    let folder = golden("anagram_views");
    let text = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let config: Value = serde_json::from_str(&text).unwrap();
    (config["cases"].as_array().unwrap().clone(), load(&folder.join("cases.safetensors")))
}

fn view(case: &Value, tensors: &HashMap<String, Tensor>) -> Option<View> {
    let name = case["name"].as_str().unwrap();
    let order = case["inputs"]["perm"]
        .as_str()
        .map(|key| tensors[key].to_dtype(DType::U32).unwrap().to_vec1::<u32>().unwrap());
    if let Some(factor) = case["args"]["skew_factor"].as_f64() {
        return Some(View::Skew(factor));
    }
    match (order, case["args"]["num_patches"].as_u64()) {
        (Some(order), Some(side)) => Some(View::Patches { side: side as usize, order }),
        (Some(order), None) => Some(View::Cells(order)),
        _ => View::named(name.trim_end_matches("_rect")),
    }
}

#[test]
fn views_are_those_of_the_original_code() {
    let (cases, tensors) = view_cases();
    let mut compared = 0;
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let Some(view) = view(case, &tensors) else {
            println!("anagram_views {name}: skipped, a view of colours or sharpness and not of places");
            continue;
        };
        let tensor = |part: &str, name: &str| &tensors[case[part][name].as_str().unwrap()];
        let tolerance = case["tol_abs"].as_f64().unwrap();
        let seen = view.apply(tensor("inputs", "im")).unwrap();
        check(&format!("anagram_views {name} view"), &seen, tensor("outputs", "view"), tolerance);
        let back = view.undo(tensor("inputs", "noise")).unwrap();
        check(&format!("anagram_views {name} inverse"), &back, tensor("outputs", "inverse"), tolerance);
        compared += 1;
    }
    assert_eq!(compared, 18);
}

#[test]
fn both_phases_are_those_of_the_original_code() {
    let checkpoint = checkpoint("next_dit_anagram");
    let config = NextDitConfig::from_checkpoint(&checkpoint).unwrap();
    let never = Interrupt::never();
    let network = NextDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &never)
        .unwrap()
        .with_attention_growth(AttentionGrowth::Linear);
    let golden = Golden::open("anagram_combine", "config.json");
    for case in &golden.cases {
        let Some(names) = case.args["views"].as_array() else {
            println!("anagram_combine {}: skipped, tiles are those of the autoencoder", case.name);
            continue;
        };
        let views: Vec<View> =
            names.iter().map(|name| View::named(name.as_str().unwrap()).unwrap()).collect();
        let number = |name: &str| case.number(name).unwrap();
        let times = shifted(number("num_steps") as usize, number("time_shifting_factor")).unwrap();
        let found: Vec<f32> = times.iter().map(|&time| time as f32).collect();
        let expected: Vec<f32> = golden.get(case, "t").to_vec1().unwrap();
        check_values(&format!("anagram_combine {} t", case.name), &found, &expected, 1e-6);

        let inner = crate::common::Case {
            name: case.name.clone(),
            method: case.method.clone(),
            args: case.args["model_kwargs"].clone(),
            ..Default::default()
        };
        let rope = RopeFactors { linear: 1.0, ntk: inner.number("scale_factor").unwrap_or(1.0) };
        let options = options(&inner, rope);
        let guidance = Guidance::new(inner.number("cfg_scale").unwrap());
        let captions: Vec<_> = (0..views.len())
            .map(|index| {
                let features = golden.get(case, &format!("cap_feats.{index}"));
                let mask = golden.get(case, &format!("cap_mask.{index}"));
                network.prepare(&caption(features, mask)).unwrap()
            })
            .collect();
        let velocity = |index: usize, latent: &Tensor, time: f64| {
            let both = Tensor::cat(&[latent, latent], 0)?;
            let output = network.velocity(&both, &[time], &captions[index], &options)?;
            guidance.combine(&output.narrow(0, 0, 1)?, &output.narrow(0, 1, 1)?)
        };
        let start = golden.get(case, "start").narrow(0, 0, 1).unwrap();
        let guide = (case.method == "upscale").then(|| Guide {
            data: golden.get(case, "guidance").narrow(0, 0, 1).unwrap(),
            noise: start.clone(),
        });
        let states = golden.get(case, "states");
        let tolerance = case.tol_abs.as_f64().unwrap();
        let solution = integrate_views(&views, &start, &times, guide.as_ref(), velocity, |step| {
            let expected = states.get(step.index + 1).unwrap().narrow(0, 0, 1).unwrap();
            let what = format!("anagram_combine {} step {}", case.name, step.index);
            check(&what, step.latent, &expected, tolerance);
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(solution.steps, times.len() - 1);
    }
}

#[test]
fn sampling_without_views_or_times_is_refused() {
    let start = Tensor::zeros((1, 4, 4, 4), DType::F32, &Device::Cpu).unwrap();
    let run = |views: &[View], times: &[f64]| {
        integrate_views(
            views,
            &start,
            times,
            None,
            |_, latent, _| Ok(latent.clone()),
            |_| ControlFlow::Continue(()),
        )
    };
    assert!(run(&[], &[0.0, 1.0]).is_err());
    assert!(run(&[View::Flip], &[0.0]).is_err());
    assert!(run(&[View::Flip], &[0.5, 0.5]).is_err());
    assert!(run(&[View::Flip], &[0.0, 1.0]).is_ok());
}
