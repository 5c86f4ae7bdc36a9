//! The networks of sound.

use super::*;
use lumina_models::backbone::audio::{AudioFlagDit, AudioFlagDitConfig, model_time};
use lumina_models::flow::{GuidedChannels, uniform};
use lumina_models::vae::mel::{MelAutoencoder, MelAutoencoderConfig};
use lumina_models::vocoder::{BigVgan, BigVganConfig};

/// Positions of the key lists in `filled_models_sorted_keys`.
const FLAG_DIT: usize = 14;
const MEL_AUTOENCODER: usize = 15;
const BIGVGAN: usize = 16;

fn flag_dit(formula: &Formula) -> AudioFlagDit {
    let (_dir, checkpoint) = formula.checkpoint(FLAG_DIT);
    let config = AudioFlagDitConfig::from_checkpoint(&checkpoint).unwrap();
    AudioFlagDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &Interrupt::never()).unwrap()
}

fn context() -> Tensor {
    wave(&[2, 5, 24], 0.05, 0.3, f64::sin)
}

#[test]
fn one_evaluation_of_the_audio_flag_dit() {
    let formula = Formula::open();
    let network = flag_dit(&formula);
    let latent = wave(&[2, 6, 10], 0.11, 0.0, f64::cos);
    let context = network.prepare(&context()).unwrap();
    let found = network.velocity(&latent, &[0.0, 431.0], &context, &Interrupt::never()).unwrap();
    let name = "flagditv2_tiny_forward_t0_t431";
    check(name, &found, formula.get(name), TOLERANCE);
}

#[test]
fn a_guided_path_of_the_audio_flag_dit() {
    let formula = Formula::open();
    let network = flag_dit(&formula);
    let prepared = |row: usize| network.prepare(&context().narrow(0, row, 1).unwrap()).unwrap();
    let (conditional, unconditional) = (prepared(0), prepared(1));
    let guidance = Guidance { scale: 3.0, channels: GuidedChannels::All };
    let never = Interrupt::never();
    let solution = integrate(
        &Euler,
        &wave(&[1, 6, 10], 0.11, 0.0, f64::cos),
        &uniform(5).unwrap(),
        |latent, time| {
            let time = [model_time(time)];
            let c = network.velocity(latent, &time, &conditional, &never)?;
            guidance.combine(&c, &network.velocity(latent, &time, &unconditional, &never)?)
        },
        |_| ControlFlow::Continue(()),
    );
    let name = "flagditv2_tiny_euler5pts_cfg3(uncond=ctx_row1,cond=ctx_row0)";
    check(name, &solution.unwrap().latent, formula.get(name), TOLERANCE);
}

#[test]
fn mel_autoencoder() {
    let formula = Formula::open();
    let (_dir, checkpoint) = formula.checkpoint(MEL_AUTOENCODER);
    let config = MelAutoencoderConfig {
        embed_dim: 4,
        in_channels: 16,
        out_ch: 16,
        z_channels: 4,
        ch: 32,
        ..MelAutoencoderConfig::lumina()
    };
    let weights = weights(&checkpoint, MelAutoencoder::key_map(&checkpoint));
    let network = MelAutoencoder::load(&weights, &config).unwrap();
    assert_eq!(weights.unused(), Vec::<String>::new());
    let never = Interrupt::never();
    let mel = network.decode(&wave(&[1, 4, 10], 0.11, 0.0, f64::cos), &never).unwrap();
    // These weights make the decoder amplify rounding: the recorded numbers are 2.6e-5 away from float64, and a norm with
    // its mean folded into the summand is 9.5e-5 away.
    let exact = load(&golden("ae1d_tiny_f64.safetensors"));
    check("ae1d_tiny_decode in float64", &mel, &exact["ae1d_tiny_decode"], TOLERANCE);
    check("ae1d_tiny_decode", &mel, formula.get("ae1d_tiny_decode"), TOLERANCE);
    let moments = network.encode(&wave(&[1, 16, 20], 0.07, 0.1, f64::cos), &never).unwrap();
    let moments = Tensor::cat(&[&moments.mean, &moments.logvar], 1).unwrap();
    check("ae1d_tiny_quant_moments in float64", &moments, &exact["ae1d_tiny_quant_moments"], TOLERANCE);
    check("ae1d_tiny_quant_moments", &moments, formula.get("ae1d_tiny_quant_moments"), TOLERANCE);
}

#[test]
fn vocoder() {
    let formula = Formula::open();
    // Its own rule: lengths of normed weights around 0.5, nothing added to the others, filters as they are.
    let mut tensors = HashMap::new();
    for entry in formula.json["filled_models_sorted_keys"][BIGVGAN][1].as_array().unwrap() {
        let (j, key) = (entry[0].as_f64().unwrap(), entry[1].as_str().unwrap());
        let sizes = entry[2].as_array().unwrap().iter();
        let shape: Vec<usize> = sizes.map(|size| size.as_u64().unwrap() as usize).collect();
        let value = |k: usize| {
            let wave = (0.37 * k as f64 + 1.7 * j + 0.5).sin();
            (if key.ends_with("weight_g") { 0.5 + 0.05 * wave } else { 0.1 * wave }) as f32
        };
        let values: Vec<f32> = match key.ends_with("filter") {
            true => formula.numbers("bigvgan_kaiser_sinc_filter12"),
            false => (0..shape.iter().product::<usize>()).map(value).collect(),
        };
        tensors.insert(key.to_owned(), Tensor::from_vec(values, shape, &Device::Cpu).unwrap());
    }
    let config = BigVganConfig {
        num_mels: 16,
        upsample_rates: vec![4, 2],
        upsample_kernel_sizes: vec![8, 4],
        upsample_initial_channel: 16,
        ..BigVganConfig::lumina()
    };
    let dir = tempfile::tempdir().unwrap();
    let run = |tensors: &HashMap<String, Tensor>, name: &str| {
        let path = dir.path().join(name);
        candle_core::safetensors::save(tensors, &path).unwrap();
        let checkpoint = Checkpoint::open_file(&path).unwrap();
        let network = BigVgan::load(&checkpoint, &config, &Device::Cpu, &Interrupt::never()).unwrap();
        network.forward(&wave(&[1, 16, 12], 0.07, 0.1, f64::cos), &Interrupt::never()).unwrap()
    };
    let expected = formula.get("bigvgan_tiny_forward");
    check("bigvgan_tiny_forward", &run(&tensors, "whole.safetensors"), expected, TOLERANCE);
    tensors.retain(|name, _| !name.ends_with("filter"));
    check("bigvgan_tiny_forward, filters computed", &run(&tensors, "short.safetensors"), expected, TOLERANCE);
}
