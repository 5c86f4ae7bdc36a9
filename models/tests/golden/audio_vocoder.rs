//! The vocoder against the original code.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use lumina_models::nn::WeightForm;
use lumina_models::vocoder::{
    BigVgan, BigVganConfig, Snake, SnakeKind, SnakeOptions, VocoderStage, downsample, kaiser_sinc, upsample,
};
use lumina_models::weights::{Checkpoint, KeyMap, verify};
use lumina_models::{Interrupt, ModelError};

use crate::common::{Golden, check, check_values, golden, largest, load, values, weights};
use crate::layouts::{bits, parameters, prefixed};

const FOLDER: &str = "audio_bigvgan";

pub(crate) fn config() -> BigVganConfig {
    let text = std::fs::read(golden(FOLDER).join("config.json")).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&text).unwrap();
    BigVganConfig::parse(file["constructor"]["h"].to_string().as_bytes()).unwrap()
}

pub(crate) fn network() -> BigVgan {
    open(&Checkpoint::open(&golden(FOLDER), "weights").unwrap())
}

fn open(checkpoint: &Checkpoint) -> BigVgan {
    BigVgan::load(checkpoint, &config(), &Device::Cpu, &Interrupt::never()).unwrap()
}

#[test]
fn sounds_are_those_of_the_original_code() {
    let (network, golden) = (network(), Golden::open(FOLDER, "config.json"));
    for case in golden.with_method("forward") {
        let what = |name: &str| format!("audio_bigvgan {} {name}", case.name);
        let mut observe = |stage: VocoderStage, state: &Tensor| {
            let name = match stage {
                VocoderStage::Input => "dbg.conv_pre",
                VocoderStage::Upsampled(0) => "dbg.ups0",
                VocoderStage::Activation(0) => "dbg.resblock0_act0",
                VocoderStage::Residual(0) => "dbg.resblock0",
                VocoderStage::Output => "dbg.conv_post",
                _ => return Ok(()),
            };
            let expected = golden.get(case, name);
            check(&what(name), state, expected, 5e-5 * largest(expected));
            Ok(())
        };
        let mel = golden.get(case, "mel");
        let found = network.forward_observed(mel, &Interrupt::never(), &mut observe).unwrap();
        check(&what("out"), &found, golden.get(case, "out"), case.tol_abs.as_f64().unwrap());
    }
}

#[test]
fn filters_are_those_of_the_original_code() {
    let golden = Golden::open(FOLDER, "config.json");
    for case in golden.with_method("kaiser_sinc_filter1d") {
        let number = |name: &str| case.number(name).unwrap();
        let found = kaiser_sinc(number("cutoff"), number("half_width"), number("kernel_size") as usize);
        let found: Vec<f32> = found.into_iter().map(|value| value as f32).collect();
        let (expected, tolerance) = (values(golden.get(case, "out")), case.tol_abs.as_f64().unwrap());
        check_values(&format!("audio_bigvgan {}", case.name), &found, &expected, tolerance);
    }
}

#[test]
fn activations_are_those_of_the_original_code() {
    let golden = Golden::open(FOLDER, "config.json");
    let filter: Vec<f32> = kaiser_sinc(0.25, 0.3, 12).into_iter().map(|value| value as f32).collect();
    let filter = Tensor::from_vec(filter, (1, 1, 12), &Device::Cpu).unwrap();
    for case in golden.with_method("Activation1d") {
        let tolerance = case.tol_abs.as_f64().unwrap();
        let expect = |name: &str, found: &Tensor| {
            check(&format!("audio_bigvgan {} {name}", case.name), found, golden.get(case, name), tolerance);
        };
        let kind = match case.args["activation"].as_str().unwrap() {
            "Snake" => SnakeKind::Snake,
            other => {
                assert_eq!(other, "SnakeBeta");
                SnakeKind::SnakeBeta
            }
        };
        let mut tensors = HashMap::from([("act.alpha", golden.get(case, "alpha").clone())]);
        if kind == SnakeKind::SnakeBeta {
            tensors.insert("act.beta", golden.get(case, "beta").clone());
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("snake.safetensors");
        candle_core::safetensors::save(&tensors, &path).unwrap();
        let weights = weights(&Checkpoint::open_file(&path).unwrap(), KeyMap::identity());
        let options = SnakeOptions { kind, logscale: case.args["alpha_logscale"].as_bool().unwrap() };
        let snake = Snake::load(&weights, 4, options).unwrap();
        let x = golden.get(case, "x");
        expect("plain", &snake.plain(x).unwrap());
        expect("upsampled", &upsample(x, &filter).unwrap());
        expect("downsampled_x", &downsample(x, &filter).unwrap());
        expect("out", &snake.forward(x).unwrap());
    }
}

/// The weight of a normed convolution, computed one number after the other.
fn folded(g: &Tensor, v: &Tensor) -> Tensor {
    let (g, rows) = (values(g), v.dims()[0]);
    let wide: Vec<f64> = values(v).into_iter().map(f64::from).collect();
    let folded: Vec<f32> = wide
        .chunks(wide.len() / rows)
        .zip(g)
        .flat_map(|(row, g)| {
            let factor = f64::from(g) / row.iter().map(|x| x * x).sum::<f64>().sqrt();
            row.iter().map(move |x| (x * factor) as f32).collect::<Vec<_>>()
        })
        .collect();
    Tensor::from_vec(folded, v.dims(), &Device::Cpu).unwrap()
}

#[test]
fn every_layout_gives_the_same_sound() {
    let golden_cases = Golden::open(FOLDER, "config.json");
    let mel = golden_cases.get(&golden_cases.cases[0], "mel");
    let sound = |network: &BigVgan| network.forward(mel, &Interrupt::never()).unwrap();
    let expected = sound(&network());
    let path = golden(FOLDER).join("weights.safetensors");
    let dir = tempfile::tempdir().unwrap();

    let checkpoint = prefixed(&path, "generator.", &[], &dir);
    assert_eq!(BigVgan::form(&checkpoint), WeightForm::Normed);
    assert_eq!(bits(&sound(&open(&checkpoint))), bits(&expected), "prefixed");

    let stored = load(&path);
    let save = |tensors: &HashMap<String, Tensor>, name: &str| {
        let path = dir.path().join(name);
        candle_core::safetensors::save(tensors, &path).unwrap();
        Checkpoint::open_file(&path).unwrap()
    };
    let newer = |name: &str| {
        let name = name.replace("weight_g", "parametrizations.weight.original0");
        name.replace("weight_v", "parametrizations.weight.original1")
    };
    let tensors = stored.iter().map(|(name, tensor)| (newer(name), tensor.clone())).collect();
    assert_eq!(bits(&sound(&open(&save(&tensors, "newer.safetensors")))), bits(&expected), "newer names");

    // Without weight norm and without filters.
    let mut tensors = HashMap::new();
    for (name, tensor) in stored.iter().filter(|(name, _)| !name.ends_with("filter")) {
        if let Some(base) = name.strip_suffix("weight_g") {
            let direction = &stored[&format!("{base}weight_v")];
            tensors.insert(format!("{base}weight"), folded(tensor, direction));
        } else if !name.ends_with("weight_v") {
            tensors.insert(name.clone(), tensor.clone());
        }
    }
    let checkpoint = save(&tensors, "plain.safetensors");
    assert_eq!(BigVgan::form(&checkpoint), WeightForm::Plain);
    check("audio_bigvgan without weight norm", &sound(&open(&checkpoint)), &expected, 2e-6);
}

#[test]
fn the_released_size_has_the_published_numbers_of_parameters_and_tensors() {
    let expected = BigVgan::expected(&BigVganConfig::lumina(), WeightForm::Normed).unwrap();
    assert_eq!(parameters(&expected.required), 112_231_250);
    assert_eq!(expected.required.len() + expected.optional.len(), 784);
}

#[test]
fn a_header_shows_what_is_missing_left_over_or_of_another_size() {
    let checkpoint = Checkpoint::open(&golden(FOLDER), "weights").unwrap();
    let (keys, form) = (BigVgan::key_map(&checkpoint), BigVgan::form(&checkpoint));
    let report = verify(&checkpoint, &keys, &BigVgan::expected(&config(), form).unwrap(), &|_| false);
    assert!(report.is_loadable() && report.unused.is_empty(), "{report:?}");
    let other = BigVganConfig {
        resblock_dilation_sizes: vec![vec![1, 3], vec![1, 3, 5, 7]],
        num_mels: 21,
        ..config()
    };
    let report = verify(&checkpoint, &keys, &BigVgan::expected(&other, form).unwrap(), &|_| false);
    assert!(report.unused.contains(&"resblocks.0.convs1.2.weight_g".to_owned()));
    assert!(report.missing.contains(&"resblocks.1.convs1.3.weight_g".to_owned()));
    assert!(report.wrong_shape.iter().any(|wrong| wrong.key == "conv_pre.weight_v"));
}

#[test]
fn wrong_shapes_are_refused_and_work_can_be_interrupted() {
    let network = network();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    for shape in [vec![1, 21, 4], vec![20, 4], vec![1, 20, 0]] {
        let result = network.forward(&zeros(&shape), &Interrupt::never());
        assert!(matches!(result, Err(ModelError::Input { .. })), "{shape:?}");
    }
    let stop = Interrupt::new(|| true);
    assert!(matches!(network.forward(&zeros(&[1, 20, 4]), &stop), Err(ModelError::Interrupted)));
    let bad = BigVganConfig { upsample_initial_channel: 12, ..config() };
    assert!(matches!(BigVgan::expected(&bad, WeightForm::Normed), Err(ModelError::Input { .. })));
}
