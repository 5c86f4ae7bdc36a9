//! Flag-DiT, the class-conditional networks and captions for regions, with weights from a formula.

use candle_core::{Device, Tensor};
use lumina_models::backbone::{
    CellOrder, ClassDit, ClassDitConfig, ClassDitKind, FlagDit, FlagDitConfig, ForwardOptions, NextDit,
    NextDitConfig, Region, RopeFactors,
};
use lumina_models::text::TextFeatures;
use lumina_models::{DType, Interrupt};

use crate::backbone_cases::{doubled, guided, ones};
use crate::common::check;
use crate::formula::{Formula, TOLERANCE, captions, latent, wave};

/// Positions of the key lists in `filled_models_sorted_keys`.
const FLAG_DIT: usize = 1;
const CLASSES: [(usize, ClassDitKind, &str); 5] = [
    (2, ClassDitKind::Flag, "flagdit_imagenet_tiny_forward"),
    (3, ClassDitKind::Next, "nextdit_imagenet_tiny_forward"),
    (4, ClassDitKind::TimeMixture, "nextdit_moe_time_tiny_forward"),
    (5, ClassDitKind::SpaceMixture, "nextdit_moe_spatial_tiny_forward"),
    (6, ClassDitKind::BothMixtures, "nextdit_moe_both_tiny_forward"),
];
const COMPOSITIONAL: usize = 7;

#[test]
fn flag_dit_for_text() {
    let formula = Formula::open();
    let (_dir, checkpoint) = formula.checkpoint(FLAG_DIT);
    let config = FlagDitConfig::from_checkpoint(&checkpoint).unwrap();
    let never = Interrupt::never();
    let network = FlagDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &never).unwrap();
    let caption = network.prepare(&captions()).unwrap();
    let found = network.velocity(&latent(), &[0.3], &caption, &ForwardOptions::default()).unwrap();
    let name = "flagdit_t2i_tiny_forward";
    check(name, &found, formula.get(name), TOLERANCE);

    let options = ForwardOptions {
        rope: RopeFactors { linear: 1.0, ntk: 2.25 }.into(),
        base_sequence_length: Some(8),
        ..ForwardOptions::default()
    };
    let velocity = network.velocity(&doubled(&latent()), &[0.3], &caption, &options).unwrap();
    let name = "flagdit_t2i_tiny_cfg4_ntk2.25_prop(base=8)";
    check(name, &guided(&velocity, 4.0), formula.get(name), TOLERANCE);
}

#[test]
fn class_conditional_networks() {
    let formula = Formula::open();
    let x = wave(&[2, 4, 8, 8], 0.11, 0.0, f64::cos);
    for (model, kind, name) in CLASSES {
        let (_dir, checkpoint) = formula.checkpoint(model);
        let found = ClassDitConfig::of_kind(&checkpoint, kind, Some(4)).unwrap();
        let config = ClassDitConfig { sample_size: 8, ..found };
        let never = Interrupt::never();
        let network = ClassDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &never).unwrap();
        let labels = [3, config.no_class()];
        let found = network.velocity(&x, &[0.3], &labels, &ForwardOptions::default()).unwrap();
        check(name, &found, formula.get(name), TOLERANCE);
    }
}

#[test]
fn captions_for_regions() {
    let formula = Formula::open();
    let (_dir, checkpoint) = formula.checkpoint(COMPOSITIONAL);
    let config = NextDitConfig::from_checkpoint(&checkpoint).unwrap();
    let never = Interrupt::never();
    let network = NextDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &never).unwrap();
    let mask = [[1_u32; 5], [1; 5], [1, 1, 1, 0, 0], [1; 5], [1; 5]];
    let mask = Tensor::new(&mask, &Device::Cpu).unwrap();
    let features = TextFeatures::new(wave(&[5, 5, 24], 0.05, 0.3, f64::sin), &mask).unwrap();
    let global = TextFeatures::new(wave(&[1, 5, 24], 0.07, 0.1, f64::sin), &ones(&[1, 5])).unwrap();
    let x = doubled(&wave(&[2, 4, 8, 8], 0.11, 0.0, f64::cos));
    for (cells, name) in [((1, 4), "h1w4"), ((2, 2), "h2w2"), ((4, 1), "h4w1")] {
        let mut regions = Region::cells(0, (4, 4), cells, CellOrder::Reference).unwrap();
        regions.push(Region::whole(1, 16));
        let caption = network.prepare_regions(&features, &global, &regions).unwrap();
        let velocity = network.velocity(&x, &[0.3], &caption, &ForwardOptions::default()).unwrap();
        let name = format!("compositional_tiny_cfg4_{name}");
        check(&name, &guided(&velocity, 4.0), formula.get(&name), TOLERANCE);
    }
}
