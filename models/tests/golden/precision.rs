//! Half precision on the CPU: everything runs, and stays near the result in f32.

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};
use lumina_models::backbone::{Backbone, ForwardOptions};
use lumina_models::flow::{Guidance, Midpoint, integrate, shifted};
use lumina_models::text::{Padding, TextFeatures};
use lumina_models::vae::AutoencoderKl;
use lumina_models::{Interrupt, PipelineFolder};

use crate::common::{golden, values};

const FOLDER: &str = "lumina_next_pipeline";

/// What the parts of a pipeline give, in the order in which they run.
struct Run {
    /// Without the padding, whose values mean nothing.
    features: Vec<f32>,
    velocity: Vec<f32>,
    latent: Vec<f32>,
    image: Vec<f32>,
}

fn run(dtype: DType) -> Run {
    let folder = PipelineFolder::open(&golden(FOLDER)).unwrap();
    let (device, never) = (Device::Cpu, Interrupt::never());
    let encoder = folder.load_text_encoder(&device, dtype, &never).unwrap();
    let network = folder.load_backbone(&device, dtype, &never).unwrap();
    let autoencoder = folder.load_autoencoder(&device, dtype, &never).unwrap();
    assert_eq!((network.dtype(), network.config().in_channels), (dtype, 4));
    assert_eq!(autoencoder.dtype(), AutoencoderKl::compute_type(dtype, &device));

    let encode =
        |prompt: &str, padding: Padding| encoder.encode(&[prompt.to_owned()], padding, &never).unwrap();
    let positive = encode("a red fox in the snow", Padding::LongestMultipleOf(8));
    let negative = encode("", Padding::Exactly(positive.tokens()));
    assert_eq!(positive.features.dtype(), dtype);
    let both = TextFeatures::concat(&[&positive, &negative]).unwrap();
    let seen = both.mask.to_dtype(dtype).unwrap().unsqueeze(2).unwrap();
    let features = both.features.broadcast_mul(&seen).unwrap();
    let caption = network.prepare(&both).unwrap();

    let wave: Vec<f32> = (0..4 * 8 * 12).map(|k| 1.3 * (k as f32 * 1.7).sin()).collect();
    let noise = Tensor::from_vec(wave, (1, 4, 8, 12), &device).unwrap();
    let options = ForwardOptions::default();
    let velocity = |latent: &Tensor, time: f64| {
        let pair = network.velocity(&Tensor::cat(&[latent, latent], 0)?, &[time], &caption, &options)?;
        Guidance::new(4.0).combine(&pair.narrow(0, 0, 1)?, &pair.narrow(0, 1, 1)?)
    };
    let first = velocity(&noise, 0.0).unwrap();
    let times = shifted(6, 4.0).unwrap();
    let solution = integrate(&Midpoint, &noise, &times, velocity, |_| ControlFlow::Continue(())).unwrap();
    // The state of the solver stays in f32, whatever the networks compute in.
    assert_eq!(solution.latent.dtype(), DType::F32);
    let latent = autoencoder.config().model_to_latent(&solution.latent).unwrap();
    let image = autoencoder.decode(&latent, &never).unwrap();
    assert_eq!(image.dtype(), DType::F32);
    Run {
        features: values(&features),
        velocity: values(&first),
        latent: values(&solution.latent),
        image: values(&image),
    }
}

/// Length of the difference over length of the expected vector.
fn distance(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let length =
        |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    let difference = length(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    difference / length(&mut expected.iter().copied())
}

fn check(dtype: DType, most: f64) {
    let (half, full) = (run(dtype), run(DType::F32));
    let parts = [
        ("features", &half.features, &full.features),
        ("velocity", &half.velocity, &full.velocity),
        ("latent", &half.latent, &full.latent),
        ("image", &half.image, &full.image),
    ];
    for (name, found, expected) in parts {
        let distance = distance(found, expected);
        println!("{dtype:?} {name}: relative distance {distance:.2e}, at most {most:.0e}");
        assert!(distance <= most, "{dtype:?} {name}: {distance:.2e}");
        assert!(distance > 0.0, "{name} was not computed in {dtype:?}");
    }
}

#[test]
fn bf16_stays_near_f32() {
    check(DType::BF16, 5e-2);
}

#[test]
fn f16_stays_near_f32() {
    check(DType::F16, 1e-2);
}

#[test]
fn an_autoencoder_computes_in_f32_on_the_cpu() {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        assert_eq!(AutoencoderKl::compute_type(dtype, &Device::Cpu), DType::F32);
    }
}
