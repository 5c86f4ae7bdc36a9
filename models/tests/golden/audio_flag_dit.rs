//! The network of audio and music against the original code.

use candle_core::{DType, Device, Tensor};
use lumina_models::backbone::Stage;
use lumina_models::backbone::audio::{AudioFlagDit, AudioFlagDitConfig};
use lumina_models::nn::rope::RotaryTable;
use lumina_models::weights::{Checkpoint, verify};
use lumina_models::{Interrupt, ModelError};

use crate::common::{Golden, check, golden, largest};
use crate::layouts::{bits, parameters, prefixed};

const FOLDER: &str = "audio_flag_dit";

pub(crate) fn network() -> AudioFlagDit {
    open(&Checkpoint::open(&golden(FOLDER), "weights").unwrap())
}

fn config() -> AudioFlagDitConfig {
    let text = std::fs::read(golden(FOLDER).join("config.json")).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&text).unwrap();
    AudioFlagDitConfig::parse(file["constructor"].to_string().as_bytes()).unwrap()
}

fn open(checkpoint: &Checkpoint) -> AudioFlagDit {
    let never = Interrupt::never();
    AudioFlagDit::load(checkpoint, &config(), DType::F32, &Device::Cpu, &never).unwrap()
}

#[test]
fn velocities_are_those_of_the_original_code() {
    let (network, golden) = (network(), Golden::open(FOLDER, "config.json"));
    for case in &golden.cases {
        let what = |name: &str| format!("audio_flag_dit {} {name}", case.name);
        let debug = |name: &str, found: &Tensor| {
            let expected = golden.get(case, name);
            check(&what(name), found, expected, 5e-5 * largest(expected));
            Ok(())
        };
        let last = network.config().depth - 1;
        let mut observe = |stage: Stage, state: &Tensor| match stage {
            Stage::PatchEmbed => debug("dbg.patch_embed", state),
            Stage::Conditioning => debug("dbg.adaln_input", state),
            Stage::Block(0) => debug("dbg.layer0", state),
            Stage::Block(index) if index == last => debug("dbg.final_in", state),
            Stage::Block(_) | Stage::Time | Stage::Routing { .. } => Ok(()),
        };
        let (x, times) = (golden.get(case, "x"), golden.times(case, "t"));
        let context = network.prepare(golden.get(case, "context")).unwrap();
        let never = Interrupt::never();
        let found = network.velocity_observed(x, &times, &context, &never, &mut observe).unwrap();
        check(&what("out"), &found, golden.get(case, "out"), case.tol_abs.as_f64().unwrap());
        let head_dim = network.config().head_dim();
        let table = RotaryTable::sequence(x.dims()[2], head_dim, 10_000.0, &Device::Cpu).unwrap();
        debug("dbg.freqs_cos", &table.cos).unwrap();
        debug("dbg.freqs_sin", &table.sin).unwrap();
    }
}

#[test]
fn half_precision_stays_near() {
    let checkpoint = Checkpoint::open(&golden(FOLDER), "weights").unwrap();
    let golden = Golden::open(FOLDER, "config.json");
    let never = Interrupt::never();
    let network = AudioFlagDit::load(&checkpoint, &config(), DType::BF16, &Device::Cpu, &never).unwrap();
    for case in &golden.cases {
        let context = network.prepare(golden.get(case, "context")).unwrap();
        let (x, times) = (golden.get(case, "x"), golden.times(case, "t"));
        let found = network.velocity(x, &times, &context, &never).unwrap();
        assert_eq!(found.dtype(), DType::F32);
        let expected = golden.get(case, "out");
        check(&format!("audio_flag_dit {} in bf16", case.name), &found, expected, 0.05 * largest(expected));
    }
}

#[test]
fn both_layouts_give_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let path = golden(FOLDER).join("weights.safetensors");
    let extra = [("first_stage_model.quant_conv.bias", vec![1.0_f32]), ("betas", vec![0.1])];
    let checkpoint = prefixed(&path, "model.diffusion_model.", &extra, &dir);
    let expected = AudioFlagDit::expected(&config()).unwrap();
    let ignorable = |name: &str| AudioFlagDit::is_ignorable(&checkpoint, name);
    let report = verify(&checkpoint, &AudioFlagDit::key_map(&checkpoint), &expected, &ignorable);
    assert!(report.is_loadable() && report.unused.is_empty(), "{report:?}");
    let golden = Golden::open(FOLDER, "config.json");
    let case = &golden.cases[0];
    let run = |network: &AudioFlagDit| {
        let context = network.prepare(golden.get(case, "context")).unwrap();
        let (x, times) = (golden.get(case, "x"), golden.times(case, "t"));
        bits(&network.velocity(x, &times, &context, &Interrupt::never()).unwrap())
    };
    assert_eq!(run(&open(&checkpoint)), run(&network()));
}

#[test]
fn sizes_are_read_from_the_shapes() {
    let checkpoint = Checkpoint::open(&golden(FOLDER), "weights").unwrap();
    let found = AudioFlagDitConfig::from_checkpoint(&checkpoint).unwrap();
    assert_eq!(found, AudioFlagDitConfig { max_len: 1000, ..config() });
    let other = Checkpoint::open(&golden("audio_autoencoder1d"), "weights").unwrap();
    let error = AudioFlagDitConfig::from_checkpoint(&other).unwrap_err();
    assert!(matches!(error, ModelError::MissingKeys { .. }), "{error}");
}

#[test]
fn the_released_size_has_the_published_number_of_parameters() {
    let expected = AudioFlagDit::expected(&AudioFlagDitConfig::lumina()).unwrap();
    assert_eq!(parameters(&expected.required), 197_940_244);
}

#[test]
fn a_header_shows_what_is_missing_left_over_or_of_another_size() {
    let checkpoint = Checkpoint::open(&golden(FOLDER), "weights").unwrap();
    let keys = AudioFlagDit::key_map(&checkpoint);
    let report = |config: AudioFlagDitConfig| {
        verify(&checkpoint, &keys, &AudioFlagDit::expected(&config).unwrap(), &|_| false)
    };
    assert_eq!(report(config()).unused, Vec::<String>::new());
    let deeper = report(AudioFlagDitConfig { depth: 3, in_channels: 7, ..config() });
    assert!(deeper.missing.contains(&"blocks.2.attention.gate".to_owned()));
    assert!(deeper.wrong_shape.iter().any(|wrong| wrong.key == "proj_in.weight"));
    let flatter = report(AudioFlagDitConfig { depth: 1, ..config() });
    assert!(flatter.unused.contains(&"blocks.1.attention.gate".to_owned()));
}

#[test]
fn wrong_shapes_are_refused_and_work_can_be_interrupted() {
    let network = network();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let context = network.prepare(&zeros(&[1, 3, 40])).unwrap();
    let run = |shape: &[usize], times: &[f64], interrupt: &Interrupt| {
        network.velocity(&zeros(shape), times, &context, interrupt)
    };
    let never = Interrupt::never();
    assert!(run(&[1, 6, 64], &[0.0], &never).is_ok());
    let wrong: [(&[usize], &[f64]); 6] = [
        (&[1, 6, 65], &[0.0]),
        (&[1, 6, 0], &[0.0]),
        (&[1, 7, 9], &[0.0]),
        (&[6, 9], &[0.0]),
        (&[2, 6, 9], &[0.0]),
        (&[1, 6, 9], &[0.0, 1.0]),
    ];
    for (shape, times) in wrong {
        let result = run(shape, times, &never);
        assert!(matches!(result, Err(ModelError::Input { .. })), "{shape:?} {times:?}");
    }
    for shape in [vec![1, 3, 41], vec![1, 0, 40], vec![3, 40]] {
        assert!(matches!(network.prepare(&zeros(&shape)), Err(ModelError::Input { .. })), "{shape:?}");
    }
    let stop = Interrupt::new(|| true);
    assert!(matches!(run(&[1, 6, 9], &[0.0], &stop), Err(ModelError::Interrupted)));
    let bad = AudioFlagDitConfig { num_heads: 7, ..config() };
    assert!(matches!(AudioFlagDit::expected(&bad), Err(ModelError::Input { .. })));
}
