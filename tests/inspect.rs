//! What `inspect` says about weights.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::Path;

use lumina_models::backbone::Preset;
use lumina_models::weights::{Checkpoint, Expected};
use serde_json::Value;
use support::{program, root, run, sparse_weights, stderr, stdout};

/// What is printed for a file of the golden data.
fn golden(name: &str) -> String {
    let output = run(root(), &["inspect", &format!("tests/golden/{name}")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output)
}

fn json(folder: &Path, file: &str) -> (Option<i32>, Value) {
    let output = run(folder, &["inspect", file, "--json"]);
    let report = serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    (output.status.code(), report)
}

/// Names and shapes of a file of the golden data.
fn tensors(name: &str) -> Vec<(String, Vec<usize>)> {
    let checkpoint = Checkpoint::open_file(&root().join("tests/golden").join(name)).unwrap();
    checkpoint.tensors().iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect()
}

/// A file with tensors of these names and shapes, all of them zero.
fn save(path: &Path, tensors: impl IntoIterator<Item = (impl Into<String>, Vec<usize>)>) {
    let required = tensors.into_iter().map(|(name, shape)| (name.into(), shape)).collect();
    sparse_weights(path, &Expected { required, optional: Vec::new() }, "F32", 4);
}

#[test]
fn every_network_is_named_with_its_sizes_and_the_node_that_loads_it() {
    let networks = [
        "lumina_next_pipeline/transformer",
        "flag_dit_t2i/weights.safetensors",
        "next_dit_moe_both/weights.safetensors",
        "audio_flag_dit/weights.safetensors",
        "text_encoders/gemma2",
        "text_encoders/t5",
        "text_encoders/clap_text",
        "gguf/llama.gguf",
        "lumina_next_pipeline/text_encoder",
        "autoencoder_kl/sdxl_like",
        "audio_autoencoder1d/weights.safetensors",
    ];
    let told: Vec<String> = networks.iter().map(|name| golden(name)).collect();
    insta::assert_snapshot!("networks", told.join("\n"));
}

#[test]
fn a_network_of_the_published_size_is_told_by_its_header_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = Preset::find("next-dit-2b").unwrap().config();
    let size = sparse_weights(&folder.path().join("2b.safetensors"), &config.expected().unwrap(), "BF16", 2);
    assert!(size > 3_900_000_000, "{size}");
    // Neither mapping nor reading four gigabytes is possible under this limit.
    let output = std::process::Command::new("sh")
        .args([
            "-c",
            "ulimit -v 2000000; exec \"$0\" inspect 2b.safetensors",
            env!("CARGO_BIN_EXE_lumina-graph"),
        ])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    insta::assert_snapshot!("published", stdout(&output));
}

#[test]
fn json_has_the_same_and_all_tensors() {
    let (code, report) = json(root(), "tests/golden/lumina_next_pipeline/transformer");
    assert_eq!(code, Some(0));
    assert_eq!(report["backbone"]["family"], "a Next-DiT for text");
    let node = "Node(kind: \"backbone.load\", with: { \"path\": \"tests/golden/lumina_next_pipeline/transformer\" })";
    assert_eq!(report["backbone"]["loads as"], node);
    let tensors = report["contents"].as_object().unwrap().len();
    assert_eq!(report["tensors"], tensors);
    assert!(report["bytes"].as_u64().unwrap() > 4 * report["parameters"].as_u64().unwrap());
    let text = stdout(&run(root(), &["inspect", "tests/golden/text_encoders/t5"]));
    assert!(!text.contains("shared.weight"));
    let text = stdout(&run(root(), &["inspect", "-v", "tests/golden/text_encoders/t5"]));
    assert!(text.contains("  shared.weight: F32 ["), "{text}");
}

#[test]
fn a_whole_system_in_one_file_has_several_networks() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = vec![("scale_factor".to_owned(), Vec::new())];
    for (file, prefix) in [
        ("audio_autoencoder1d/weights.safetensors", "first_stage_model."),
        ("audio_flag_dit/weights.safetensors", "model.diffusion_model."),
    ] {
        all.extend(tensors(file).into_iter().map(|(name, shape)| (format!("{prefix}{name}"), shape)));
    }
    save(&folder.path().join("all.safetensors"), all);
    let (code, report) = json(folder.path(), "all.safetensors");
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report["backbone"]["latent channels"], report["autoencoder"]["latent channels"]);
    assert_eq!(report["autoencoder"]["family"], "mel autoencoder");
}

#[test]
fn weights_of_no_known_network_are_described_as_such() {
    let folder = tempfile::tempdir().unwrap();
    save(&folder.path().join("other.safetensors"), [("a.weight", vec![2, 3]), ("b", vec![4])]);
    let output = run(folder.path(), &["inspect", "other.safetensors"]);
    assert_eq!(output.status.code(), Some(0));
    let told = stdout(&output);
    assert!(told.contains("tensors: 2") && told.contains("formats: F32"), "{told}");
    assert!(told.contains("loads as: nothing: no network that is known here has these tensors"), "{told}");
}

#[test]
fn the_first_upload_of_lumina_next_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let tensors = [
        ("x_embedder.weight", vec![64, 16]),
        ("layers.0.adaLN_modulation.1.weight", vec![384, 64]),
        ("layers.0.attention.wq.weight", vec![64, 64]),
    ];
    save(&folder.path().join("old.safetensors"), tensors);
    let output = run(folder.path(), &["inspect", "old.safetensors"]);
    assert_eq!(output.status.code(), Some(0));
    let told = stdout(&output);
    assert!(told.contains("the first upload of Lumina-Next-T2I") && !told.contains("loads as"), "{told}");
}

#[test]
fn what_lacks_tensors_of_its_network_ends_with_the_code_of_damaged_files() {
    let folder = tempfile::tempdir().unwrap();
    let config = root().join("tests/golden/text_encoders/t5/config.json");
    fs::copy(config, folder.path().join("config.json")).unwrap();
    let mut all = tensors("text_encoders/t5/model.safetensors");
    all.retain(|(name, _)| name != "encoder.final_layer_norm.weight");
    save(&folder.path().join("model.safetensors"), all);
    let (code, report) = json(folder.path(), ".");
    assert_eq!(code, Some(4));
    assert!(report["problems"][0].as_str().unwrap().contains("final_layer_norm"), "{report}");
    assert_eq!(report["text encoder"]["family"], "T5");
}

#[test]
fn what_is_missing_beside_the_weights_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let from = |name: &str| root().join("tests/golden").join(name);
    fs::copy(from("audio_bigvgan/weights.safetensors"), folder.path().join("wave.safetensors")).unwrap();
    fs::copy(from("text_encoders/gemma/model.safetensors"), folder.path().join("text.safetensors")).unwrap();
    let (code, report) = json(folder.path(), "wave.safetensors");
    let note = report["vocoder"]["notes"][0].as_str().unwrap();
    assert!(code == Some(0) && note.contains("`config`") && note.contains("config.json"), "{note}");
    let (code, report) = json(folder.path(), "text.safetensors");
    assert_eq!((code, &report["text encoder"]["family"]), (Some(0), &"Gemma or Llama".into()));
    // Two weight files in a folder: which one is meant has to be said.
    let both = run(folder.path(), &["inspect", "."]);
    assert_eq!(both.status.code(), Some(4));
    assert!(stderr(&both).contains("name one of them"), "{}", stderr(&both));
}

#[test]
fn shards_are_one_network_whether_named_by_folder_or_by_index() {
    let folder = "tests/golden/lumina_next_pipeline/transformer";
    let index = format!("{folder}/diffusion_pytorch_model.safetensors.index.json");
    let ((_, whole), (code, named)) = (json(root(), folder), json(root(), &index));
    assert_eq!(code, Some(0));
    assert_eq!((&whole["backbone"], &whole["files"]), (&named["backbone"], &named["files"]));
    let output = program(root(), &["inspect", "README.md"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("cannot tell what `README.md` is"), "{}", stderr(&output));
}

#[test]
fn published_sizes_of_every_backbone_are_found() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["flag-dit-5b", "next-dit-2b-gqa", "flag-dit-imagenet-7b", "next-dit-moe-space-600m"] {
        let expected: Expected = Preset::find(name).unwrap().config().expected().unwrap();
        sparse_weights(&folder.path().join("w.safetensors"), &expected, "F16", 2);
        let (code, report) = json(folder.path(), "w.safetensors");
        assert_eq!((code, &report["backbone"]["published size"]), (Some(0), &name.into()));
    }
}
