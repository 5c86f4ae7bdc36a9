//! Next-DiT for latents of several frames: no weights were published, so these are from a formula.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use lumina_models::backbone::{
    ForwardOptions, NextDit, NextDitConfig, PreparedCaption, RopeChange, RopeFactors,
};
use lumina_models::text::TextFeatures;
use lumina_models::weights::Checkpoint;
use lumina_models::{DType, Interrupt, ModelError};

use crate::backbone_cases::{checkpoint, ones};
use crate::common::check;
use crate::formula::wave;

/// A network whose heads have room for three axes.
fn network() -> NextDit {
    let config = NextDitConfig {
        hidden_size: 48,
        num_layers: 2,
        num_attention_heads: 2,
        num_kv_heads: Some(1),
        multiple_of: 8,
        cross_attention_dim: 10,
        ..NextDitConfig::default()
    };
    let expected = NextDit::expected(&config).unwrap();
    let fill = |((name, shape), number): (&(String, Vec<usize>), u16)| {
        let tensor = (wave(shape, 0.7 + f64::from(number) * 0.013, 0.3, f64::sin) * 0.3).unwrap();
        // Weights of norms lie around 1.
        let centre = if name.contains("norm") && name.ends_with("weight") { 1.0 } else { 0.0 };
        (name.clone(), (tensor + centre).unwrap())
    };
    let tensors: HashMap<_, _> = expected.required.iter().zip(1_u16..).map(fill).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let checkpoint = Checkpoint::open_file(&path).unwrap();
    NextDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &Interrupt::never()).unwrap()
}

fn caption(network: &NextDit, rows: usize) -> PreparedCaption {
    let features = wave(&[2, 3, 10], 0.4, 0.1, f64::cos).narrow(0, 0, rows).unwrap();
    network.prepare(&TextFeatures::new(features, &ones(&[rows, 3])).unwrap()).unwrap()
}

/// Two latents of three frames of 2 x 3 patches.
fn latents() -> Tensor {
    wave(&[2, 4, 3, 4, 6], 0.37, 0.2, f64::sin)
}

fn run(network: &NextDit, latent: &Tensor, caption: &PreparedCaption, rope: RopeChange) -> Tensor {
    let options = ForwardOptions { rope, ..ForwardOptions::default() };
    network.forward_frames(latent, &[0.3], caption, &options, &mut |_, _| Ok(())).unwrap()
}

fn distance(a: &Tensor, b: &Tensor) -> f32 {
    (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn latents_of_a_batch_do_not_see_each_other() {
    let network = network();
    let both = run(&network, &latents(), &caption(&network, 2), RopeChange::default());
    assert_eq!(both.dims(), [2, 8, 3, 4, 6]);
    let first = latents().narrow(0, 0, 1).unwrap();
    let alone = run(&network, &first, &caption(&network, 1), RopeChange::default());
    check("the first of two latents of frames", &both.narrow(0, 0, 1).unwrap(), &alone, 1e-5);
}

#[test]
fn frames_see_each_other_and_their_order() {
    let network = network();
    let (latent, caption) = (latents().narrow(0, 0, 1).unwrap(), caption(&network, 1));
    let frame = |tensor: &Tensor, index: usize| tensor.narrow(2, index, 1).unwrap().contiguous().unwrap();
    let plain = run(&network, &latent, &caption, RopeChange::default());
    let parts = [0, 1, 2].map(|index| frame(&latent, index));
    let join = |order: [usize; 3]| Tensor::cat(&order.map(|index| &parts[index]), 2).unwrap();

    let other = Tensor::cat(&[&parts[0], &parts[1], &(&parts[2] * 2.0).unwrap()], 2).unwrap();
    let other = run(&network, &other, &caption, RopeChange::default());
    let seen = distance(&frame(&plain, 0), &frame(&other, 0));
    assert!(seen > 1e-3, "{seen}");

    // Without positions of frames, the first would not know that the others have changed places.
    let swapped = run(&network, &join([0, 2, 1]), &caption, RopeChange::default());
    let placed = distance(&frame(&plain, 0), &frame(&swapped, 0));
    assert!(placed > 1e-3, "{placed}");
    // Positions are offsets: in reverse order the frames are as far apart, but not the same.
    let reversed = run(&network, &join([2, 1, 0]), &caption, RopeChange::default());
    let turned = distance(&frame(&plain, 1), &frame(&reversed, 1));
    assert!(turned > 1e-3, "{turned}");
    println!("distances of frames: {seen} {placed} {turned}");
}

#[test]
fn a_change_of_frequencies_reaches_the_frames() {
    let network = network();
    let (latents, caption) = (latents(), caption(&network, 2));
    let at = |change: RopeChange| run(&network, &latents, &caption, change);
    let (scale, ntk) = (8.0, RopeFactors { linear: 1.0, ntk: 8.0 });
    assert_eq!(distance(&at(RopeChange::TimeAware { scale, time: 1.0 }), &at(ntk.into())), 0.0);
    let early = distance(&at(RopeChange::TimeAware { scale, time: 0.2 }), &at(ntk.into()));
    assert!(early > 1e-4, "{early}"); // rounding makes 3e-6
    let short = RopeChange::FrequencyAware { scale, trained_length: 1.0 };
    assert_eq!(distance(&at(short), &at(RopeFactors { linear: 8.0, ntk: 1.0 }.into())), 0.0);
}

#[test]
fn latents_without_frames_and_heads_without_room_are_refused() {
    let network = network();
    let refused = |network: &NextDit, shape: &[usize], caption: &PreparedCaption| {
        let options = ForwardOptions::default();
        let result = network.forward_frames(&ones(shape), &[0.3], caption, &options, &mut |_, _| Ok(()));
        assert!(matches!(result, Err(ModelError::Input { .. })), "{shape:?}: {result:?}");
    };
    let prepared = caption(&network, 1);
    for shape in [&[1, 4, 4, 6][..], &[1, 4, 0, 4, 6], &[1, 4, 2, 5, 6], &[1, 3, 2, 4, 6], &[2, 4, 2, 4, 6]] {
        refused(&network, shape, &prepared);
    }
    // The heads of this one have 16 channels.
    let checkpoint = checkpoint("next_dit_t2i");
    let config = NextDitConfig::from_checkpoint(&checkpoint).unwrap();
    let narrow = NextDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &Interrupt::never()).unwrap();
    let features = TextFeatures::new(ones(&[1, 3, 40]), &ones(&[1, 3])).unwrap();
    refused(&narrow, &[1, 4, 2, 4, 6], &narrow.prepare(&features).unwrap());
}
