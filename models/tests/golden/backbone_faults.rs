//! Files and inputs that do not fit the backbones, and what they are recognised as.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use lumina_models::backbone::{
    Backbone, ClassDit, ClassDitConfig, ClassDitKind, Dialect, DitSizes, Family, FlagDit, FlagDitConfig,
    ForwardOptions, Labels, NextDitConfig, Region, Stage, identify,
};
use lumina_models::text::TextFeatures;
use lumina_models::weights::{Checkpoint, Expected, KeyMap, Report, Weights, verify};
use lumina_models::{DType, Interrupt, ModelError};

use crate::backbone_cases::{checkpoint, ones};
use crate::common::{check_values, golden, load, values};

/// The checkpoint of a folder after a change.
fn changed(
    folder: &str,
    change: impl FnOnce(&mut HashMap<String, Tensor>),
) -> (tempfile::TempDir, Checkpoint) {
    let mut tensors = load(&golden(folder).join("weights.safetensors"));
    change(&mut tensors);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let checkpoint = Checkpoint::open_file(&path).unwrap();
    (dir, checkpoint)
}

fn compare(checkpoint: &Checkpoint, expected: &Expected) -> Report {
    verify(checkpoint, &KeyMap::identity(), expected, &|_| false)
}

fn class_config(folder: &str, kind: ClassDitKind) -> ClassDitConfig {
    let config = ClassDitConfig::of_kind(&checkpoint(folder), kind, Some(4)).unwrap();
    ClassDitConfig { sample_size: 8, ..config }
}

fn flag_dit(checkpoint: &Checkpoint) -> FlagDit {
    let config = FlagDitConfig::from_checkpoint(checkpoint).unwrap();
    FlagDit::load(checkpoint, &config, DType::F32, &Device::Cpu, &Interrupt::never()).unwrap()
}

/// Random-looking features of one caption.
fn features(rows: usize, channels: usize) -> TextFeatures {
    TextFeatures::new(ones(&[rows, 3, channels]), &ones(&[rows, 3])).unwrap()
}

#[track_caller]
fn refused<T>(result: lumina_models::Result<T>) {
    match result {
        Err(ModelError::Input { .. }) => {}
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("was taken"),
    }
}

#[test]
fn every_checkpoint_is_recognised() {
    let family = |folder: &str| Family::detect(&checkpoint(folder));
    for folder in ["next_dit_t2i", "next_dit_mini", "next_dit_compositional", "next_dit_anagram"] {
        assert_eq!(family(folder).unwrap(), Family::NextDit(Dialect::Original));
    }
    for folder in ["flag_dit_t2i", "flag_dit_t2i_b"] {
        assert_eq!(family(folder).unwrap(), Family::FlagDit);
        let found = identify(&checkpoint(folder)).unwrap();
        assert_eq!((found.family, found.preset), (Family::FlagDit, None));
    }
    assert_eq!(family("flag_dit_imagenet").unwrap(), Family::ClassDit(ClassDitKind::Flag));
    assert_eq!(family("next_dit_imagenet").unwrap(), Family::ClassDit(ClassDitKind::Next));
    assert_eq!(family("next_dit_moe_both").unwrap(), Family::ClassDit(ClassDitKind::BothMixtures));
    // Too narrow to tell; published ones are wider.
    for folder in ["next_dit_moe_time", "next_dit_moe_space"] {
        let error = family(folder).unwrap_err().to_string();
        assert!(error.contains("by time or by token") && error.contains("32 wide"), "{error}");
    }
}

#[test]
fn wide_mixtures_are_told_apart_by_their_gates() {
    let tensor = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    for (inputs, kind) in [(1024, ClassDitKind::TimeMixture), (1040, ClassDitKind::SpaceMixture)] {
        let (_dir, found) = changed("next_dit_moe_time", |tensors| {
            tensors.insert("x_embedder.weight".into(), tensor(&[1040, 16]));
            tensors.insert("t_embedder.mlp.2.weight".into(), tensor(&[1024, 1024]));
            tensors.insert("layers.0.feed_forward.gate.weight".into(), tensor(&[8, inputs]));
        });
        assert_eq!(Family::detect(&found).unwrap(), Family::ClassDit(kind));
    }
}

#[test]
fn another_network_is_refused_in_words() {
    let error = NextDitConfig::from_checkpoint(&checkpoint("flag_dit_t2i")).unwrap_err().to_string();
    assert!(error.contains("a Flag-DiT of Lumina-T2I") && error.contains("eol_token"), "{error}");
    let error = FlagDitConfig::from_checkpoint(&checkpoint("next_dit_t2i")).unwrap_err().to_string();
    assert!(error.contains("a Next-DiT for text"), "{error}");
    let error = ClassDitConfig::from_checkpoint(&checkpoint("flag_dit_t2i")).unwrap_err().to_string();
    assert!(error.contains("not a class-conditional DiT"), "{error}");
    let error = Dialect::detect(&checkpoint("next_dit_imagenet")).unwrap_err().to_string();
    assert!(error.contains("a class-conditional Next-DiT"), "{error}");
}

#[test]
fn headers_tell_what_is_missing_too_much_or_of_another_shape() {
    let config = FlagDitConfig::from_checkpoint(&checkpoint("flag_dit_t2i")).unwrap();
    let flag = FlagDit::expected(&config).unwrap();
    let mut pairs = vec![("flag_dit_t2i", flag, "eol_token")];
    for (folder, kind) in [
        ("flag_dit_imagenet", ClassDitKind::Flag),
        ("next_dit_imagenet", ClassDitKind::Next),
        ("next_dit_moe_time", ClassDitKind::TimeMixture),
        ("next_dit_moe_space", ClassDitKind::SpaceMixture),
        ("next_dit_moe_both", ClassDitKind::BothMixtures),
    ] {
        let expected = ClassDit::expected(&class_config(folder, kind)).unwrap();
        pairs.push((folder, expected, "layers.1.attention_norm.weight"));
    }
    for (folder, expected, key) in pairs {
        let report = compare(&checkpoint(folder), &expected);
        assert!(report.is_loadable() && report.unused.is_empty(), "{folder}: {report:?}");
        let (_dir, found) = changed(folder, |tensors| {
            tensors.remove(key);
            tensors.insert("stray".into(), ones(&[1]));
            tensors.insert("x_embedder.bias".into(), ones(&[3]));
        });
        let report = compare(&found, &expected);
        assert_eq!((report.missing, report.unused), (vec![key.to_owned()], vec!["stray".to_owned()]));
        let wrong: Vec<_> = report.wrong_shape.iter().map(|wrong| wrong.key.as_str()).collect();
        assert_eq!(wrong, ["x_embedder.bias"], "{folder}");
    }
}

#[test]
fn inputs_that_do_not_fit_a_flag_dit_are_refused() {
    let network = flag_dit(&checkpoint("flag_dit_t2i"));
    refused(network.prepare(&features(1, 41)));
    let caption = network.prepare(&features(1, 40)).unwrap();
    let options = ForwardOptions::default();
    let run = |shape: &[usize], times: &[f64], options: &ForwardOptions| {
        network.velocity(&ones(shape), times, &caption, options)
    };
    refused(run(&[1, 4, 5, 4], &[0.0], &options));
    refused(run(&[1, 3, 4, 4], &[0.0], &options));
    refused(run(&[2, 4, 4, 4], &[0.0], &options));
    refused(run(&[4, 4, 4], &[0.0], &options));
    refused(run(&[1, 4, 4, 4], &[0.0, 0.5], &options));
    refused(run(&[1, 4, 4, 4], &[0.0], &ForwardOptions { base_sequence_length: Some(1), ..options.clone() }));
    refused(network.forward_list(&[ones(&[4, 4, 3])], &[0.0], &caption, &options));
    refused(network.forward_frames(&ones(&[1, 4, 2, 4, 4]), &[0.0], &caption, &options, &mut |_, _| Ok(())));
    assert!(network.forward_list(&[], &[0.0], &caption, &options).unwrap().is_empty());
    let stop = ForwardOptions { interrupt: Interrupt::new(|| true), ..options.clone() };
    assert!(matches!(run(&[1, 4, 4, 4], &[0.0], &stop), Err(ModelError::Interrupted)));
    run(&[1, 4, 4, 4], &[0.0], &options).unwrap();
}

#[test]
fn inputs_that_do_not_fit_a_class_network_are_refused() {
    for (folder, kind) in
        [("flag_dit_imagenet", ClassDitKind::Flag), ("next_dit_moe_both", ClassDitKind::BothMixtures)]
    {
        let config = class_config(folder, kind);
        let never = Interrupt::never();
        let network = ClassDit::load(&checkpoint(folder), &config, DType::F32, &Device::Cpu, &never).unwrap();
        let run = |shape: &[usize], labels: &[u32]| {
            network.velocity(&ones(shape), &[0.5], &Labels(labels.to_vec()), &ForwardOptions::default())
        };
        refused(run(&[2, 4, 8, 8], &[1]));
        refused(run(&[1, 4, 8, 8], &[11]));
        refused(run(&[1, 4, 7, 8], &[1]));
        refused(run(&[0, 4, 8, 8], &[]));
        refused(run(&[], &[]));
        run(&[1, 4, 8, 8], &[10]).unwrap();
        // Positions along the sequence are those of one width.
        assert_eq!(run(&[1, 4, 8, 12], &[1]).is_err(), kind == ClassDitKind::Flag);
    }
}

#[test]
fn configs_that_no_network_has_are_refused() {
    let sizes = [
        DitSizes { num_layers: usize::MAX, ..DitSizes::default() },
        DitSizes { hidden_size: 0, ..DitSizes::default() },
        DitSizes { num_attention_heads: 7, ..DitSizes::default() },
        DitSizes { num_kv_heads: Some(0), ..DitSizes::default() },
        DitSizes { ffn_dim_multiplier: Some(f64::INFINITY), ..DitSizes::default() },
        DitSizes { feed_forward_size: Some(0), ..DitSizes::default() },
    ];
    for sizes in sizes {
        let plan = Weights::plan();
        refused(FlagDit::from_weights(
            &plan,
            &FlagDitConfig { sizes: sizes.clone(), ..FlagDitConfig::default() },
        ));
        refused(ClassDit::expected(&ClassDitConfig { sizes, ..ClassDitConfig::default() }));
    }
    refused(ClassDit::expected(&ClassDitConfig { num_classes: usize::MAX, ..ClassDitConfig::default() }));
}

#[test]
fn regions_that_do_not_fit_are_refused() {
    let checkpoint = checkpoint("next_dit_compositional");
    let config = NextDitConfig::from_checkpoint(&checkpoint).unwrap();
    let never = Interrupt::never();
    let network =
        lumina_models::backbone::NextDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &never)
            .unwrap();
    let regions = [Region::whole(0, 4), Region::whole(1, 4)];
    refused(network.prepare_regions(&features(3, 32), &features(1, 32), &regions));
    refused(network.prepare_regions(&features(2, 32), &features(2, 32), &regions));
    let caption = network.prepare_regions(&features(2, 32), &features(1, 32), &regions).unwrap();
    assert_eq!(caption.batch(), 2);
    let run = |side: usize| {
        network.velocity(&ones(&[2, 4, side, side]), &[0.0], &caption, &ForwardOptions::default())
    };
    refused(run(6));
    run(4).unwrap();
}

#[test]
fn frames_are_rows_each_closed_and_then_closed_themselves() {
    let (_dir, found) = changed("flag_dit_t2i", |tensors| {
        let end = (0..64).map(|k| (k as f32 * 0.9).cos()).collect::<Vec<f32>>();
        tensors.insert("eof_token".into(), Tensor::from_vec(end, 64, &Device::Cpu).unwrap());
    });
    let network = flag_dit(&found);
    assert!(network.config().frames);
    let caption = network.prepare(&features(1, 40)).unwrap();
    let options = ForwardOptions::default();
    let wave: Vec<f32> = (0..4 * 2 * 4 * 6).map(|k| (k as f32 * 0.3).sin()).collect();
    let latent = Tensor::from_vec(wave, (1, 4, 2, 4, 6), &Device::Cpu).unwrap();
    let mut embedded = None;
    let mut observe = |stage: Stage, state: &Tensor| {
        if stage == Stage::PatchEmbed {
            embedded = Some(state.clone());
        }
        Ok(())
    };
    let output = network.forward_frames(&latent, &[0.3], &caption, &options, &mut observe).unwrap();
    assert_eq!(output.dims(), [1, 8, 2, 4, 6]);
    let embedded = embedded.unwrap().squeeze(0).unwrap();
    // Two frames of two rows of three patches.
    assert_eq!(embedded.dims(), [2 * (2 * 4 + 1), 64]);
    let tensors = load(found.path());
    for (index, key) in [(3, "eol_token"), (7, "eol_token"), (8, "eof_token"), (17, "eof_token")] {
        assert_eq!(values(&embedded.get(index).unwrap()), values(&tensors[key]), "token {index}");
    }
    // The second frame holds its own patches: alone as a picture it has the same tokens.
    let second = latent.narrow(2, 1, 1).unwrap().squeeze(2).unwrap();
    let mut observe = |stage: Stage, state: &Tensor| {
        if stage == Stage::PatchEmbed {
            let frame = embedded.narrow(0, 9, 8).unwrap();
            check_values("second frame", &values(&frame), &values(state), 0.0);
        }
        Ok(())
    };
    network.forward_observed(&second, &[0.3], &caption, &options, &mut observe).unwrap();
}
