//! The mel autoencoder against the original code.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use lumina_models::vae::mel::{FrameAttention, MelAutoencoder, MelAutoencoderConfig, MelStage};
use lumina_models::weights::{Checkpoint, KeyMap, verify};
use lumina_models::{Interrupt, ModelError};

use crate::common::{Golden, check, golden, largest, weights};
use crate::layouts::{bits, parameters, prefixed};

const FOLDER: &str = "audio_autoencoder1d";

pub(crate) fn config() -> MelAutoencoderConfig {
    let text = std::fs::read(golden(FOLDER).join("config.json")).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&text).unwrap();
    MelAutoencoderConfig::parse(file["constructor"].to_string().as_bytes()).unwrap()
}

pub(crate) fn network() -> MelAutoencoder {
    let checkpoint = Checkpoint::open(&golden(FOLDER), "weights").unwrap();
    let weights = weights(&checkpoint, MelAutoencoder::key_map(&checkpoint));
    let network = MelAutoencoder::load(&weights, &config()).unwrap();
    assert_eq!(weights.unused(), Vec::<String>::new());
    network
}

#[test]
fn latents_and_spectrograms_are_those_of_the_original_code() {
    let (network, golden, never) = (network(), Golden::open(FOLDER, "config.json"), Interrupt::never());
    let mut compared = 0;
    for case in &golden.cases {
        if case.method != "encode / decode" {
            continue;
        }
        let what = |name: &str| format!("audio_autoencoder1d {} {name}", case.name);
        let tolerance = case.tol_abs.as_f64().unwrap();
        let expect =
            |name: &str, found: &Tensor| check(&what(name), found, golden.get(case, name), tolerance);
        let debug = |name: &str, found: &Tensor| {
            let expected = golden.get(case, name);
            check(&what(name), found, expected, 5e-5 * largest(expected));
            Ok(())
        };
        let mut observe = |stage: MelStage, state: &Tensor| match stage {
            MelStage::EncoderInput => debug("dbg.enc_conv_in", state),
            MelStage::EncoderMiddle => debug("dbg.enc_mid_attn", state),
            MelStage::DecoderMiddle => debug("dbg.dec_mid_attn", state),
            MelStage::DecoderLevel(2) => debug("dbg.dec_top_level", state),
            MelStage::DecoderLevel(_) => Ok(()),
        };
        let moments = network.encode_observed(golden.get(case, "mel"), &never, &mut observe).unwrap();
        expect("mean", &moments.mean);
        expect("logvar", &moments.logvar);
        expect("moments", &Tensor::cat(&[&moments.mean, &moments.logvar], 1).unwrap());
        expect("std", &(&moments.logvar * 0.5).unwrap().exp().unwrap());
        let scale = f64::from(golden.get(case, "scale_factor").to_scalar::<f32>().unwrap());
        let scaled = (moments.sample(golden.get(case, "noise")).unwrap() * scale).unwrap();
        expect("z_scaled", &scaled);
        let latent = (golden.get(case, "z_scaled") / scale).unwrap();
        expect("decoded_from_z_scaled", &network.decode(&latent, &never).unwrap());
        let mean = golden.get(case, "mean");
        expect("decoded_from_mean", &network.decode_observed(mean, &never, &mut observe).unwrap());
        compared += 1;
    }
    assert_eq!(compared, 2);
}

#[test]
fn attention_alone_is_that_of_the_original_code() {
    let golden = Golden::open(FOLDER, "config.json");
    let case = golden.with_method("forward")[0];
    let names = ["norm", "q", "k", "v", "proj_out"].iter();
    let names = names.flat_map(|name| [format!("{name}.weight"), format!("{name}.bias")]);
    let tensors: HashMap<String, Tensor> =
        names.map(|name| (name.clone(), golden.get(case, &format!("w.{name}")).clone())).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("attention.safetensors");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let checkpoint = Checkpoint::open_file(&path).unwrap();
    let attention = FrameAttention::load(&weights(&checkpoint, KeyMap::identity()), 32).unwrap();
    let found = attention.forward(golden.get(case, "x")).unwrap();
    let tolerance = case.tol_abs.as_f64().unwrap();
    check("audio_autoencoder1d attn_block", &found, golden.get(case, "out"), tolerance);
}

#[test]
fn both_layouts_give_the_same_bits_and_the_scale_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = golden(FOLDER).join("weights.safetensors");
    let extra = [
        ("first_stage_model.loss.logvar", vec![0.5_f32]),
        ("model.diffusion_model.proj_in.bias", vec![1.0]),
        ("betas", vec![0.1]),
    ];
    let checkpoint = prefixed(&path, "first_stage_model.", &extra, &dir);
    let keys = MelAutoencoder::key_map(&checkpoint);
    let expected = MelAutoencoder::expected(&config()).unwrap();
    let ignorable = |name: &str| MelAutoencoder::is_ignorable(&checkpoint, name);
    let report = verify(&checkpoint, &keys, &expected, &ignorable);
    assert!(report.is_loadable() && report.unused.is_empty(), "{report:?}");
    let other = MelAutoencoder::load(&weights(&checkpoint, keys), &config()).unwrap();
    let golden = Golden::open(FOLDER, "config.json");
    let latent = golden.get(&golden.cases[0], "mean");
    let decode = |network: &MelAutoencoder| bits(&network.decode(latent, &Interrupt::never()).unwrap());
    assert_eq!(decode(&other), decode(&network()));
    assert_eq!(MelAutoencoder::stored_scale(&checkpoint).unwrap(), None);
    let scale = Tensor::new(0.7231_f32, &Device::Cpu).unwrap();
    let file = dir.path().join("scale.safetensors");
    candle_core::safetensors::save(&HashMap::from([("scale_factor", scale)]), &file).unwrap();
    let stored = MelAutoencoder::stored_scale(&Checkpoint::open_file(&file).unwrap()).unwrap();
    assert!(stored.is_some_and(|scale| (scale - 0.7231).abs() < 1e-7));
}

#[test]
fn the_released_size_has_the_published_number_of_parameters() {
    let expected = MelAutoencoder::expected(&MelAutoencoderConfig::lumina()).unwrap();
    assert_eq!(parameters(&expected.required), 212_958_212);
}

#[test]
fn a_header_shows_what_is_missing_left_over_or_of_another_size() {
    let checkpoint = Checkpoint::open(&golden(FOLDER), "weights").unwrap();
    let keys = MelAutoencoder::key_map(&checkpoint);
    let other = MelAutoencoderConfig { num_res_blocks: 2, down_layers: vec![], out_ch: 21, ..config() };
    let report = verify(&checkpoint, &keys, &MelAutoencoder::expected(&other).unwrap(), &|_| false);
    assert!(report.missing.contains(&"encoder.down.0.block.1.norm1.weight".to_owned()));
    assert!(report.unused.contains(&"decoder.up.1.upsample.conv.weight".to_owned()));
    assert!(report.wrong_shape.iter().any(|wrong| wrong.key == "decoder.conv_out.weight"));
    let error = MelAutoencoder::load(&weights(&checkpoint, keys), &other).unwrap_err();
    assert!(matches!(error, ModelError::MissingKeys { .. }), "{error}");
}

#[test]
fn wrong_shapes_are_refused_and_work_can_be_interrupted() {
    let network = network();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let never = Interrupt::never();
    for shape in [vec![1, 7, 4], vec![6, 4], vec![0, 6, 4], vec![1, 6, 0]] {
        let result = network.decode(&zeros(&shape), &never);
        assert!(matches!(result, Err(ModelError::Input { .. })), "{shape:?}");
    }
    for shape in [vec![1, 21, 4], vec![1, 20, 1]] {
        let result = network.encode(&zeros(&shape), &never);
        assert!(matches!(result, Err(ModelError::Input { .. })), "{shape:?}");
    }
    let stop = Interrupt::new(|| true);
    assert!(matches!(network.decode(&zeros(&[1, 6, 4]), &stop), Err(ModelError::Interrupted)));
    assert!(matches!(network.encode(&zeros(&[1, 20, 8]), &stop), Err(ModelError::Interrupted)));
    let bad = MelAutoencoderConfig { ch: 33, ..config() };
    assert!(matches!(MelAutoencoder::expected(&bad), Err(ModelError::Input { .. })));
}
