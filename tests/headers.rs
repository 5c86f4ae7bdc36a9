//! The check reads headers, never weights: a model of the published size is checked where it would not fit.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::process::Command;

use lumina_models::backbone::{NextDit, NextDitConfig};
use support::{copy_golden, sparse_weights};

/// Sizes of the published 2B model, but for the width of the text, which is that of the golden text encoder.
const CONFIG: &str = r#"{ "_class_name": "LuminaNextDiT2DModel", "sample_size": 128, "patch_size": 2, "in_channels": 4,
    "hidden_size": 2304, "num_layers": 24, "num_attention_heads": 32, "num_kv_heads": 8, "multiple_of": 256,
    "norm_eps": 1e-5, "learn_sigma": true, "qk_norm": true, "cross_attention_dim": 48 }"#;

#[test]
fn a_model_of_six_gigabytes_is_checked_in_two_gigabytes_of_address_space() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    copy_golden(&model);
    fs::remove_dir_all(model.join("transformer")).unwrap();
    fs::create_dir(model.join("transformer")).unwrap();
    fs::write(model.join("transformer/config.json"), CONFIG).unwrap();
    let config = NextDitConfig::read(&model.join("transformer/config.json")).unwrap();

    let path = model.join("transformer/diffusion_pytorch_model.safetensors");
    let end = sparse_weights(&path, &NextDit::expected(&config).unwrap(), "F32", 4);
    assert!(end > 6_000_000_000, "{end}");

    let graph =
        r#"Graph(format: 1, nodes: { "model": Node(kind: "model.open", with: { "path": "model" }) })"#;
    fs::write(folder.path().join("g.ron"), graph).unwrap();
    // Neither mapping nor reading six gigabytes is possible under this limit.
    let check = Command::new("sh")
        .args(["-c", "ulimit -v 2000000; exec \"$0\" check g.ron", env!("CARGO_BIN_EXE_lumina-graph")])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(check.status.code(), Some(0), "{}", String::from_utf8_lossy(&check.stderr));
}
