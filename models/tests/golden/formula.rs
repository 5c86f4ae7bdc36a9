//! Networks whose weights follow a formula (`lumina_golden`), samplers, schedules and tables.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use candle_core::{Device, Tensor};
use lumina_models::backbone::{
    Backbone, Dialect, ForwardOptions, NextDit, NextDitConfig, PreparedCaption, RopeScaling, grid_table,
};
use lumina_models::flow::{
    Euler, FlowMatchConfig, Guidance, Settings, Solvers, flow_match_euler, integrate, shifted,
};
use lumina_models::nn::timestep::sinusoidal;
use lumina_models::text::{Decoder, DecoderConfig, DecoderFamily, TextFeatures, TokenBatch};
use lumina_models::vae::{AutoencoderConfig, AutoencoderKl};
use lumina_models::weights::Checkpoint;
use lumina_models::{DType, Interrupt};
use serde_json::Value;

use crate::common::{check, check_values, golden, largest, load, values, weights};

#[path = "formula/audio.rs"]
mod audio;
#[path = "formula/text.rs"]
mod text;

pub(crate) const TOLERANCE: f64 = 5e-5;

/// Positions of the key lists in `filled_models_sorted_keys`.
const NEXT_DIT: usize = 0;
const AUTOENCODER: usize = 8;
const GEMMA_TANH: usize = 10;

pub(crate) struct Formula {
    json: Value,
    tensors: HashMap<String, Tensor>,
}

impl Formula {
    pub(crate) fn open() -> Self {
        let text = std::fs::read(golden("lumina_golden.json")).unwrap();
        let tensors = load(&golden("lumina_golden.safetensors"));
        Self { json: serde_json::from_slice(&text).unwrap(), tensors }
    }

    pub(crate) fn get(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    fn numbers(&self, name: &str) -> Vec<f32> {
        numbers(&self.json["values"][name])
    }

    /// Writes the weights of a model by the fill rule.
    fn write(&self, model: usize, path: &Path, rename: &dyn Fn(&str) -> Vec<String>) {
        let mut tensors = HashMap::new();
        for entry in self.json["filled_models_sorted_keys"][model][1].as_array().unwrap() {
            let j = entry[0].as_f64().unwrap();
            let key = entry[1].as_str().unwrap();
            let shape: Vec<usize> =
                entry[2].as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect();
            let offset = if shape.len() == 1 && key.ends_with(".weight") { 1.0 } else { 0.0 };
            let values: Vec<f32> = (0..shape.iter().product::<usize>())
                .map(|k| (0.1 * (0.37 * k as f64 + 1.7 * j + 0.5).sin() + offset) as f32)
                .collect();
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            for name in rename(key) {
                tensors.insert(name, tensor.clone());
            }
        }
        candle_core::safetensors::save(&tensors, path).unwrap();
    }

    pub(crate) fn checkpoint(&self, model: usize) -> (tempfile::TempDir, Checkpoint) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        self.write(model, &path, &|key| vec![key.to_owned()]);
        let checkpoint = Checkpoint::open_file(&path).unwrap();
        (dir, checkpoint)
    }

    fn network(&self) -> NextDit {
        let (_dir, checkpoint) = self.checkpoint(NEXT_DIT);
        let config = NextDitConfig::from_checkpoint(&checkpoint).unwrap();
        NextDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &Interrupt::never()).unwrap()
    }
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|one| one.as_f64().unwrap() as f32).collect()
}

pub(crate) fn wave(shape: &[usize], a: f64, b: f64, function: fn(f64) -> f64) -> Tensor {
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|k| function(a * k as f64 + b) as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub(crate) fn captions() -> TextFeatures {
    let mask = Tensor::new(&[[1_u32, 1, 1, 1, 1], [1, 1, 0, 0, 0]], &Device::Cpu).unwrap();
    TextFeatures::new(wave(&[2, 5, 24], 0.05, 0.3, f64::sin), &mask).unwrap()
}

pub(crate) fn latent() -> Tensor {
    wave(&[2, 4, 8, 6], 0.11, 0.0, f64::cos)
}

/// Both halves as the original `forward_with_cfg` returns them.
fn guided(
    network: &NextDit,
    half: &Tensor,
    time: f64,
    caption: &PreparedCaption,
    options: &ForwardOptions,
) -> Tensor {
    let input = Tensor::cat(&[half, half], 0).unwrap();
    let velocity = network.velocity(&input, &[time], caption, options).unwrap();
    let count = half.dims()[0];
    let (c, u) = (velocity.narrow(0, 0, count).unwrap(), velocity.narrow(0, count, count).unwrap());
    let first = Guidance::new(4.0).combine(&c, &u).unwrap();
    let second = Tensor::cat(&[first.narrow(1, 0, 3).unwrap(), u.narrow(1, 3, 1).unwrap()], 1).unwrap();
    Tensor::cat(&[first, second], 0).unwrap()
}

#[test]
fn one_evaluation_of_next_dit() {
    let formula = Formula::open();
    let network = formula.network();
    let caption = network.prepare(&captions()).unwrap();
    let options = ForwardOptions::default();
    let output = network.velocity(&latent(), &[0.3], &caption, &options).unwrap();
    check("nextdit_tiny_forward", &output, formula.get("nextdit_tiny_forward"), TOLERANCE);

    let list = [latent().get(0).unwrap(), wave(&[4, 4, 4], 0.13, 0.2, f64::cos)];
    let outputs = network.forward_list(&list, &[0.3, 0.7], &caption, &options).unwrap();
    for (index, output) in outputs.iter().enumerate() {
        let name = format!("nextdit_tiny_list[{index}]");
        check(&name, &output.narrow(0, 0, 4).unwrap(), formula.get(&name), TOLERANCE);
    }
}

#[test]
fn one_guided_evaluation_of_next_dit() {
    let formula = Formula::open();
    let network = formula.network();
    let caption = network.prepare(&captions()).unwrap();
    let half = latent().narrow(0, 0, 1).unwrap();
    let cases = [
        ("nextdit_tiny_cfg4_scale1_prop(base=6)", 1.0, 1.0, Some(6)),
        ("nextdit_tiny_cfg4_sf1.5_ws0.5(linear)_noprop", 1.5, 0.5, None),
        ("nextdit_tiny_cfg4_sf1.5_ws0.2(ntk)_noprop", 1.5, 0.2, None),
    ];
    for (name, scale_factor, watershed, base_sequence_length) in cases {
        let rope = RopeScaling { scale_factor, watershed }.factors_at(0.3);
        let options = ForwardOptions { rope: rope.into(), base_sequence_length, ..ForwardOptions::default() };
        check(name, &guided(&network, &half, 0.3, &caption, &options), formula.get(name), TOLERANCE);
    }
}

#[test]
fn whole_trajectories() {
    let formula = Formula::open();
    let network = formula.network();
    let caption = network.prepare(&captions()).unwrap();
    let start = wave(&[1, 4, 8, 6], 0.11, 0.0, f64::cos);
    let times = shifted(5, 4.0).unwrap();
    for name in ["euler", "midpoint", "heun2", "rk4"] {
        let solver = Solvers::built_in().build(name, &Settings::new()).unwrap();
        let velocity = |latent: &Tensor, time: f64| {
            let both = guided(&network, latent, time, &caption, &ForwardOptions::default());
            Ok(both.narrow(0, 0, 1)?.contiguous()?)
        };
        let solution = integrate(&*solver, &start, &times, velocity, |_| ControlFlow::Continue(())).unwrap();
        let name = format!("nextdit_tiny_sample_{name}_5pts_shift4_cfg4[0]");
        check(&name, &solution.latent, formula.get(&name), TOLERANCE);
    }
}

/// The stored names of a canonical one: in diffusers the query and its norm are there twice.
fn diffusers_names(dialect: Dialect, key: &str) -> Vec<String> {
    let mut names = vec![dialect.stored_name(key)];
    for (one, other) in [("attention.wq.", "attention.wq_y."), ("attention.q_norm.", "attention.q_norm_y.")] {
        if key.contains(one) {
            names.push(dialect.stored_name(&key.replace(one, other)));
        }
    }
    names
}

#[test]
fn all_dialects_of_one_network_give_the_same_bits() {
    let formula = Formula::open();
    let expected = formula.network();
    let caption = captions();
    let run = |network: &NextDit| {
        let prepared = network.prepare(&caption).unwrap();
        values(&network.forward(&latent(), &[0.3], &prepared, &ForwardOptions::default()).unwrap())
    };
    for dialect in [Dialect::Diffusers, Dialect::EarlyDiffusers] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        formula.write(NEXT_DIT, &path, &|key| diffusers_names(dialect, key));
        let checkpoint = Checkpoint::open_file(&path).unwrap();
        assert_eq!(Dialect::detect(&checkpoint).unwrap(), dialect);
        let config = NextDitConfig::from_checkpoint(&checkpoint).unwrap();
        assert_eq!(&config, expected.config());
        let weights = weights(&checkpoint, dialect.key_map());
        let network = NextDit::from_weights(&weights, &config).unwrap();
        assert_eq!(weights.unused(), Vec::<String>::new());
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(run(&network)), bits(run(&expected)), "{dialect:?}");
    }
}

#[test]
fn autoencoder() {
    let formula = Formula::open();
    let (_dir, checkpoint) = formula.checkpoint(AUTOENCODER);
    let config = AutoencoderConfig {
        block_out_channels: vec![32, 32, 64, 64],
        layers_per_block: 2,
        ..AutoencoderConfig::default()
    };
    let weights = weights(&checkpoint, AutoencoderKl::key_map(&checkpoint));
    let autoencoder = AutoencoderKl::load(&weights, &config).unwrap();
    assert_eq!(weights.unused(), Vec::<String>::new());
    let never = Interrupt::never();
    let image = autoencoder.decode(&wave(&[1, 4, 4, 6], 0.11, 0.0, f64::cos), &never).unwrap();
    let moments = autoencoder.encode(&wave(&[1, 3, 32, 48], 0.013, 0.2, f64::cos), &never).unwrap();
    let exact = load(&golden("vae_tiny_f64.safetensors"));
    for (name, found) in [
        ("vae_tiny_decode", &image),
        ("vae_tiny_encode_mean", &moments.mean),
        ("vae_tiny_encode_logvar_clamped", &moments.logvar),
    ] {
        check(&format!("{name} in float64"), found, &exact[name], TOLERANCE);
        let recorded = formula.get(name);
        // The recorded numbers were computed in float32. Those of the decoder are 8.6e-5 away from float64, more than
        // the tolerance: the true result itself would fail it. What is within the tolerance of the truth is within the
        // sum of both of the recorded numbers.
        let rounding = largest(&(recorded - &exact[name]).unwrap());
        assert!(rounding < 9e-5, "{name}: the two references differ by {rounding:.3e}");
        let allowed = if rounding > TOLERANCE { TOLERANCE + rounding } else { TOLERANCE };
        check(name, found, recorded, allowed);
    }
}

#[test]
fn text_encoder() {
    use lumina_models::nn::Activation;
    let formula = Formula::open();
    let (_dir, checkpoint) = formula.checkpoint(GEMMA_TANH);
    let ids = vec![vec![2, 5, 9, 40, 7, 0, 0, 0], vec![2, 11, 0, 0, 0, 0, 0, 0]];
    let mask: Vec<Vec<u32>> =
        ids.iter().map(|row| row.iter().map(|&id| u32::from(id != 0)).collect()).collect();
    let batch = TokenBatch { ids, mask };
    let activations = [("gelu_pytorch_tanh", Activation::GeluTanh), ("gelu", Activation::GeluExact)];
    for (name, activation) in activations {
        let config = DecoderConfig {
            vocab_size: 64,
            hidden_size: 32,
            intermediate_size: 48,
            num_hidden_layers: 3,
            num_attention_heads: 4,
            num_key_value_heads: 1,
            head_dim: 8,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            activation,
            query_pre_attn_scalar: 8.0,
            ..DecoderFamily::Gemma.config()
        };
        let gemma =
            Decoder::load_whole(&weights(&checkpoint, Decoder::key_map(&checkpoint)), &config).unwrap();
        let states = gemma.hidden_states(&batch, &Interrupt::never()).unwrap();
        for (back, state) in [(2, &states[states.len() - 2]), (1, &states[states.len() - 1])] {
            let name = format!("gemma_tiny_{name}_hs[-{back}]_sample0_valid");
            let valid = state.get(0).unwrap().narrow(0, 0, 5).unwrap();
            check(&name, &valid, formula.get(&name), TOLERANCE);
        }
        // The first two tokens of both samples, each flattened; the second sample has no others that are not padding.
        let first_two = states[states.len() - 2].narrow(1, 0, 2).unwrap().flatten_from(1).unwrap();
        let name = format!("gemma_tiny_{name}_hs[-2]");
        check(&name, &first_two, formula.get(&name), TOLERANCE);
    }
}

#[test]
fn time_embeddings() {
    let formula = Formula::open();
    for (time, name) in
        [(0.25, "timestep_embedding_256[t=0.25]_first8_of_row1"), (500.0, "timestep_embedding_256[t=500]")]
    {
        let found = sinusoidal(&[time], 256, &Device::Cpu).unwrap().get(0).unwrap();
        check(name, &found, formula.get(name), TOLERANCE);
    }
}

#[test]
fn shifted_grids() {
    let formula = Formula::open();
    for shift in [1, 2, 4, 6, 7] {
        let name = format!("shift_{shift}_6pts");
        let found: Vec<f32> =
            shifted(6, f64::from(shift)).unwrap().into_iter().map(|time| time as f32).collect();
        check_values(&name, &found, &formula.numbers(&name), 1e-6);
    }
}

#[test]
fn rotary_tables_of_a_grid() {
    let formula = Formula::open();
    let cases = [
        ("rope2d_72_base", 1.0, 1.0, 0.0),
        ("rope2d_72_linear2_t0.1_ws0.3", 2.0, 0.3, 0.1),
        ("rope2d_72_ntk2_t0.5_ws0.3", 2.0, 0.3, 0.5),
    ];
    for (name, scale_factor, watershed, time) in cases {
        let factors = RopeScaling { scale_factor, watershed }.factors_at(time);
        let table = grid_table(4, 6, 72, factors, &Device::Cpu).unwrap();
        let at = |table: &Tensor, pair: usize| {
            table.get(3 * 6 + 5).unwrap().get(pair).unwrap().to_scalar::<f32>().unwrap()
        };
        let entries = formula.json["values"][name].as_object().unwrap();
        let mut compared = 0;
        for (key, expected) in entries {
            let Some(pair) = key.strip_prefix("[h=3,w=5,pair=") else { continue };
            let pair: usize = pair.trim_end_matches(']').parse().unwrap();
            let found = [at(&table.cos, pair), at(&table.sin, pair)];
            check_values(&format!("{name} {key}"), &found, &numbers(expected), TOLERANCE);
            compared += 1;
        }
        assert!(compared > 2, "{name}");
    }
}

#[test]
fn scheduler_grids() {
    let formula = Formula::open();
    for (shift, steps) in [(1.0, 4), (1.0, 30), (4.0, 4)] {
        let config = FlowMatchConfig { shift, ..FlowMatchConfig::default() };
        let grid = flow_match_euler(steps, &config, None).unwrap();
        let name = format!("fm_euler_shift{shift}_{steps}_sigmas");
        check_values(&name, &grid.sigmas, &formula.numbers(&name), 1e-6);
        if shift == 1.0 {
            let name = format!("fm_euler_shift{shift}_{steps}_timesteps");
            check_values(&name, &grid.timesteps, &formula.numbers(&name), 1e-3);
        }
    }
}
