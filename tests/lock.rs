//! `run --lock` and `run --locked`: what is locked, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::Path;

use lumina_graph::engine::Digest;
use serde_json::Value;
use support::{copy_golden, root, run, stderr, stdout};

/// A folder with the graph of the README, two steps long, and a copy of the small random pipeline.
fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(root().join("graphs/t2i.ron"))
        .unwrap()
        .replace("weights/lumina-next-tiny", "model")
        .replace("default: 20", "default: 2");
    fs::create_dir(folder.path().join("graphs")).unwrap();
    fs::write(folder.path().join("graphs/t2i.ron"), text).unwrap();
    copy_golden(&folder.path().join("model"));
    folder
}

const LOCK: &str = "graphs/t2i.lock.ron";

fn lock(folder: &Path, more: &[&str]) -> String {
    let output = run(folder, &[&["run", "graphs/t2i.ron", "--lock"], more].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    fs::read_to_string(folder.join(LOCK)).unwrap()
}

fn locked(folder: &Path, more: &[&str]) -> (Option<i32>, String) {
    let output = run(folder, &[&["run", "graphs/t2i.ron", "--locked"], more].concat());
    (output.status.code(), stderr(&output))
}

/// Flips a bit in the last byte of a file.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_lock_file_reads_as_reviewed() {
    let folder = workplace();
    let text = lock(folder.path(), &["--seed", "3", "--set", "guided.scale=2.5", "--set", "guidance=0.1"]);
    let digest = |path: &str| Digest::of(&fs::read(folder.path().join(path)).unwrap()).to_string();
    let mut shown = text.clone();
    for quoted in text.split('"').filter(|quoted| quoted.len() == 64) {
        shown = shown.replace(quoted, "[digest]");
    }
    insta::assert_snapshot!("lock_file", shown);
    for (name, path) in [
        ("t2i.ron", "graphs/t2i.ron"),
        ("../model/vae/config.json", "model/vae/config.json"),
        ("../model/vae/diffusion_pytorch_model.safetensors", "model/vae/diffusion_pytorch_model.safetensors"),
    ] {
        assert!(text.contains(&format!("\"{name}\": \"{}\"", digest(path))), "{name}");
    }
    assert!(text.contains(&format!("bytes: \"{}\"", digest("out/t2i_3.png"))));
}

#[test]
fn the_same_run_gives_the_same_lock_file_from_any_folder() {
    let folder = workplace();
    let first = lock(folder.path(), &[]);
    assert_eq!(lock(folder.path(), &[]), first);
    // Neither does it matter whether a picture was written or is still there from before.
    assert_eq!(lock(folder.path(), &["--cache-dir", "cache"]), first);
    assert_eq!(lock(folder.path(), &["--cache-dir", "cache"]), first);
    assert_eq!(locked(folder.path(), &[]).0, Some(0));
    // From another folder the files behind the run have other paths, and the same names in the lock file.
    let inside = run(&folder.path().join("graphs"), &["run", "t2i.ron", "--locked"]);
    assert_eq!(inside.status.code(), Some(0), "{}", stderr(&inside));
    let outside = tempfile::tempdir().unwrap();
    let graph = folder.path().join("graphs/t2i.ron").display().to_string();
    let output = run(outside.path(), &["run", &graph, "--locked"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn every_changed_file_is_named_with_both_digests_and_nothing_runs() {
    let folder = workplace();
    let folder = folder.path();
    let text = lock(folder, &[]);
    fs::remove_dir_all(folder.join("out")).unwrap();
    let files = ["vae/diffusion_pytorch_model.safetensors", "text_encoder/model-00002-of-00004.safetensors"];
    for file in files {
        damage(&folder.join("model").join(file));
    }
    let (code, said) = locked(folder, &[]);
    assert_eq!(code, Some(4), "{said}");
    for file in files {
        let digest = text.split_once(&format!("\"../model/{file}\": \"")).unwrap().1.get(..64).unwrap();
        let named = format!("  file `../model/{file}`\n    expected {digest}\n    found    ");
        assert!(said.contains(&named), "{said}");
    }
    assert!(!folder.join("out").exists());

    let output = run(folder, &["run", "graphs/t2i.ron", "--locked", "--json"]);
    let lines: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().filter(|line| line["event"] == "difference").count(), 2);
    assert!(!lines.iter().any(|line| line["event"] == "run_started"));
    let done = lines.last().unwrap();
    assert_eq!((&done["exit_code"], done["help"].as_array().unwrap().len()), (&4.into(), 1));

    // What is there now can be locked, and a run without the flag does not read the lock file.
    assert_eq!(run(folder, &["run", "graphs/t2i.ron"]).status.code(), Some(0));
    lock(folder, &[]);
    assert_eq!(locked(folder, &[]).0, Some(0));
}

#[test]
fn other_versions_weigh_more_than_other_files() {
    let folder = workplace();
    let folder = folder.path();
    let text = lock(folder, &[]);
    fs::write(folder.join(LOCK), text.replace("\"sampler.ode\": 1", "\"sampler.ode\": 9")).unwrap();
    damage(&folder.join("model/vae/diffusion_pytorch_model.safetensors"));
    let (code, said) = locked(folder, &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("  version of the node kind `sampler.ode`\n    expected 9\n    found    1"),
        "{said}"
    );
    assert!(said.contains("  file `../model/vae/diffusion_pytorch_model.safetensors`"), "{said}");
}

#[test]
fn another_engine_or_value_is_refused() {
    let folder = workplace();
    let folder = folder.path();
    let text = lock(folder, &[]);
    for (more, expected) in [
        (&["--seed", "4"][..], "  parameter `seed`\n    expected 0\n    found    4"),
        (&["--set", "guided.scale=1"], "  input `guided.scale`\n    expected nothing\n    found    1"),
        (&["--dtype", "bf16"], "  number format\n    expected f32\n    found    bf16"),
    ] {
        let (code, said) = locked(folder, more);
        assert!(code == Some(3) && said.contains(expected), "{said}");
    }
    let engine = format!("engine: \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(&engine));
    fs::write(folder.join(LOCK), text.replace(&engine, "engine: \"99.0.0\"")).unwrap();
    let (code, said) = locked(folder, &[]);
    assert!(code == Some(3) && said.contains("  engine\n    expected 99.0.0"), "{said}");
}

#[test]
fn a_run_for_fewer_nodes_is_covered_by_the_lock_of_the_whole() {
    let folder = workplace();
    lock(folder.path(), &[]);
    assert_eq!(locked(folder.path(), &["--only", "text"]).0, Some(0));
    lock(folder.path(), &["--only", "times"]);
    let (code, said) = locked(folder.path(), &[]);
    assert_eq!(code, Some(3));
    assert!(said.contains("node kind `model.open`\n    expected nothing\n    found    1"), "{said}");
}

#[test]
fn a_lock_file_that_is_missing_or_damaged_is_a_file_error() {
    let folder = workplace();
    let folder = folder.path();
    let (code, said) = locked(folder, &[]);
    assert!(code == Some(4) && said.contains("there is no lock file `graphs/t2i.lock.ron`"), "{said}");
    let text = lock(folder, &[]);
    for (content, expected) in [
        ("Lock(".to_owned(), "cannot read the lock file"),
        (text.replace("format: 1", "format: 2"), "it has format 2, this program reads format 1"),
        (text.replace("device:", "devise:"), "devise"),
    ] {
        fs::write(folder.join(LOCK), content).unwrap();
        let (code, said) = locked(folder, &[]);
        assert!(code == Some(4) && said.contains(expected), "{said}");
    }
    assert_eq!(run(folder, &["run", "graphs/t2i.ron", "--lock", "--locked"]).status.code(), Some(2));
}

#[test]
fn a_run_that_fails_leaves_the_lock_file_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let graph = r#"Graph(format: 1, params: { "shift": Float(default: 1.0) }, nodes: {
        "a": Node(kind: "schedule.flow"),
        "b": Node(kind: "schedule.flow", with: { "shift": Param("shift") }),
        "same": Node(kind: "tensor.compare", with: { "a": Link("a"), "b": Link("b"), "tolerance": 0 }),
        "kept": Node(kind: "tensor.save", with: { "tensor": Link("a") }),
    })"#;
    fs::write(folder.path().join("g.ron"), graph).unwrap();
    assert_eq!(run(folder.path(), &["run", "g.ron", "--lock"]).status.code(), Some(0));
    let before = fs::read_to_string(folder.path().join("g.lock.ron")).unwrap();
    assert!(before.contains("\"out/g_kept.safetensors\""), "{before}");
    assert_eq!(run(folder.path(), &["run", "g.ron", "--lock", "--set", "shift=2"]).status.code(), Some(6));
    assert_eq!(fs::read_to_string(folder.path().join("g.lock.ron")).unwrap(), before);
}
