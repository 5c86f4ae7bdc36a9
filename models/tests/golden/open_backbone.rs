//! Every backbone opened from its checkpoint alone, and what may be said beyond its shapes.

use std::path::{Path, PathBuf};

use candle_core::Device;
use lumina_models::backbone::{
    Backbone, BackboneConfig, Conditioning, ForwardOptions, NextDit, NextDitConfig, Overrides, Preset, Wants,
    identify_with, open_backbone,
};
use lumina_models::weights::Checkpoint;
use lumina_models::{DType, Interrupt};

use crate::backbone_cases::{checkpoint, ones};
use crate::common::{Golden, caption, check, golden};
use crate::layouts::bits;

/// A config file in a folder of its own.
fn config(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let name = if text.starts_with('{') && text.contains(':') { "config.json" } else { "config.ron" };
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

fn overrides(text: &str) -> Overrides {
    let (_dir, path) = config(text);
    Overrides::read(&path).unwrap()
}

fn open(folder: &str, overrides: &Overrides) -> std::sync::Arc<dyn Backbone> {
    open_backbone(&checkpoint(folder), overrides, DType::F32, &Device::Cpu, &Interrupt::never()).unwrap()
}

fn refusal(folder: &str, overrides: &Overrides) -> String {
    let error =
        identify_with(&checkpoint(folder), overrides).map(|found| found.config).unwrap_err().to_string();
    error.replace(&golden(folder).display().to_string(), "GOLDEN")
}

#[test]
fn what_is_opened_is_what_its_own_type_loads() {
    let (next, golden) =
        (open("next_dit_t2i", &Overrides::default()), Golden::open("next_dit_t2i", "config.json"));
    let (case, options) = (&golden.cases[0], ForwardOptions::default());
    let features = caption(golden.get(case, "cap_feats"), golden.get(case, "cap_mask"));
    let (x, times) = (golden.get(case, "x"), golden.times(case, "t"));
    let prepared = next.bind(&Conditioning::Caption(features.clone())).unwrap();
    let found = next.velocity(x, &times, &*prepared, &options).unwrap();
    let checkpoint = checkpoint("next_dit_t2i");
    let config = NextDitConfig::from_checkpoint(&checkpoint).unwrap();
    let typed = NextDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &Interrupt::never()).unwrap();
    let expected = typed.velocity(x, &times, &typed.prepare(&features).unwrap(), &options).unwrap();
    assert_eq!(bits(&found), bits(&expected));
    // A row alone is the row of the batch, but for the order of sums.
    let row =
        next.velocity(&x.narrow(0, 1, 1).unwrap(), &times[1..2], &*prepared.rows(1, 1).unwrap(), &options);
    check("row", &row.unwrap(), &found.narrow(0, 1, 1).unwrap(), 2e-5);
}

#[test]
fn times_of_sound_are_those_of_the_flow() {
    let (network, golden) =
        (open("audio_flag_dit", &Overrides::default()), Golden::open("audio_flag_dit", "config.json"));
    for case in &golden.cases {
        let context = network.bind(&Conditioning::Context(golden.get(case, "context").clone())).unwrap();
        // In the middle of the thousandth that the network will cut it to.
        let times: Vec<f64> = golden.times(case, "t").iter().map(|time| (time + 0.5) / 1000.0).collect();
        let found =
            network.velocity(golden.get(case, "x"), &times, &*context, &ForwardOptions::default()).unwrap();
        check(&case.name, &found, golden.get(case, "out"), case.tol_abs.as_f64().unwrap());
        let last = golden.get(case, "x").dims()[0] - 1;
        let one = golden.get(case, "x").narrow(0, last, 1).unwrap();
        let row = network.velocity(
            &one,
            &times[last..],
            &*context.rows(last, 1).unwrap(),
            &ForwardOptions::default(),
        );
        check("row", &row.unwrap(), &found.narrow(0, last, 1).unwrap(), 2e-5);
    }
}

#[test]
fn a_conditioning_of_another_kind_is_refused_by_what_is_wanted() {
    let heads = overrides(r#"{"num_attention_heads": 4, "sample_size": 8}"#);
    let classes = open("next_dit_imagenet", &heads);
    let context = Conditioning::Context(ones(&[1, 3, 40]));
    let error = classes.bind(&context).map(drop).unwrap_err().to_string();
    assert_eq!(
        error,
        "the conditioning is a context, expected classes from 0 to 10, as this is a class-conditional Next-DiT"
    );
    let error = open("flag_dit_t2i", &Overrides::default()).bind(&Conditioning::Classes(vec![1])).map(drop);
    assert!(error.unwrap_err().to_string().contains("expected a caption of 40 channels"));
    let labels = classes.bind(&Conditioning::Classes(vec![1])).unwrap();
    let latents = [ones(&[4, 8, 8])];
    let error = classes.forward_list(&latents, &[0.5], &*labels, &ForwardOptions::default()).unwrap_err();
    assert!(error.to_string().contains("a class-conditional Next-DiT"), "{error}");
}

#[test]
fn fields_say_what_shapes_do_not() {
    let checkpoint = checkpoint("next_dit_moe_space");
    let json = r#"{"_about": "x", "kind": "SpaceMixture", "num_attention_heads": 4, "sample_size": 8}"#;
    let ron = r#"(kind: "SpaceMixture", num_attention_heads: 4, sample_size: 8)"#;
    for text in [json, ron] {
        let found = identify_with(&checkpoint, &overrides(text)).unwrap();
        let BackboneConfig::ClassDit(config) = &found.config else { panic!("{found:?}") };
        assert_eq!((config.sizes.key_heads(), config.sample_size), (2, 8));
        assert_eq!(found.config.profile().wants, Wants::Classes { count: 10 });
        let report = found.verify(&checkpoint).unwrap();
        assert!(report.is_loadable() && report.unused.is_empty(), "{report:?}");
    }
    let patch =
        identify_with(&crate::backbone_cases::checkpoint("next_dit_t2i"), &overrides(r#"{"patch_size": 4}"#));
    assert_eq!(patch.unwrap().config.profile().in_channels, 1);
}

#[test]
fn the_config_of_a_diffusers_folder_is_taken_over() {
    let folder = golden("lumina_next_pipeline").join("transformer");
    let checkpoint = Checkpoint::open_any(&folder).unwrap();
    let found = identify_with(&checkpoint, &Overrides::read(&folder.join("config.json")).unwrap()).unwrap();
    let own = NextDitConfig::read(&folder.join("config.json")).unwrap();
    assert_eq!(found.config, BackboneConfig::NextDit(NextDitConfig { feed_forward_size: None, ..own }));
    assert!(found.verify(&checkpoint).unwrap().is_loadable());
}

#[test]
fn what_does_not_belong_to_the_weights_is_refused_in_words() {
    let none = Overrides::default();
    assert!(refusal("next_dit_moe_time", &none).contains("a config can say `\"kind\": \"TimeMixture\"`"));
    let said = |text: &str| refusal("next_dit_t2i", &overrides(text));
    assert!(said(r#"{"hidden": 4}"#).contains("has no field `hidden`, it has `sample_size`, `patch_size`"));
    assert!(said(r#"{"hidden_size": "wide"}"#).contains("invalid type: string"));
    assert!(said(r#"{"num_attention_heads": 5}"#).contains("expected a multiple of 5 heads"));
    assert!(
        said(r#"{"_class_name": "FluxTransformer2DModel"}"#)
            .contains("but the weights are a Next-DiT for text")
    );
    let kind = refusal("next_dit_imagenet", &overrides(r#"{"kind": "Flag"}"#));
    assert!(kind.ends_with("(it has `y_embedder`), not a class-conditional Flag-DiT"), "{kind}");
    let preset = none.with_preset(Preset::find("flag-dit-5b"));
    let wrong = refusal("next_dit_t2i", &preset);
    assert!(wrong.ends_with("not `flag-dit-5b`, a Flag-DiT of Lumina-T2I"), "{wrong}");
    let other = refusal("audio_autoencoder1d", &Overrides::default());
    assert!(other.contains("this is no backbone of Lumina"), "{other}");
    let (_dir, path) = config("[1, 2]");
    let error = Overrides::read(&path).unwrap_err().to_string();
    assert!(error.contains("expected a map of fields"), "{error}");
    assert!(Overrides::read(Path::new("no.json")).is_err());
}

#[test]
fn a_preset_of_another_size_names_every_tensor_that_differs() {
    let checkpoint = checkpoint("next_dit_t2i");
    let preset = Overrides::default().with_preset(Preset::find("next-dit-2b-gqa"));
    let report = identify_with(&checkpoint, &preset).unwrap().verify(&checkpoint).unwrap();
    // Only the bias of the output is as long at every width.
    assert_eq!(report.wrong_shape.len(), checkpoint.tensors().len() - 1);
    assert!(report.missing.contains(&"layers.23.attention.wq.weight".to_owned()));
}
