//! The disk cache: results survive the program, damage costs time and nothing else.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use support::{files, program, run, stderr, stdout, workplace};

/// The nodes that ran in a process of their own.
fn ran(folder: &Path, more: &[&str]) -> Vec<String> {
    let arguments = [&["run", "t2i.ron", "--json", "--cache-dir", "cache"], more].concat();
    let output = run(folder, &arguments);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    let done: Value = serde_json::from_str(stdout(&output).lines().last().unwrap()).unwrap();
    done["ran"].as_array().unwrap().iter().map(|node| node.as_str().unwrap().to_owned()).collect()
}

fn picture(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("out/t2i_0.png")).unwrap()
}

/// Acceptance case I1.
#[test]
fn after_a_restart_nothing_runs_and_an_edit_runs_only_its_cone() {
    let folder = workplace();
    let folder = folder.path();
    assert_eq!(ran(folder, &[]).len(), 8);
    let first = picture(folder);
    assert_eq!(ran(folder, &[]), [""; 0]);
    assert_eq!(picture(folder), first);

    // A lost picture is written from the pixels that are kept; no network is loaded for it.
    fs::remove_file(folder.join("out/t2i_0.png")).unwrap();
    assert_eq!(ran(folder, &[]), ["saved"]);
    assert_eq!(picture(folder), first);

    // Networks are not kept, so what needs one loads it; the prompt and the times are not computed again.
    assert_eq!(
        ran(folder, &["--set", "noise.seed=1"]),
        ["model", "noise", "guided", "latent", "image", "saved"]
    );
}

/// Acceptance cases I2 and I3.
#[test]
fn other_bytes_in_a_weight_file_are_a_miss_and_a_touch_is_a_hit() {
    let folder = workplace();
    let folder = folder.path();
    ran(folder, &[]);
    let weights = folder.join("model/vae/diffusion_pytorch_model.safetensors");
    let modified = fs::metadata(&weights).unwrap().modified().unwrap();
    File::options().append(true).open(&weights).unwrap().set_modified(SystemTime::now()).unwrap();
    assert_eq!(ran(folder, &[]), [""; 0]);

    // Same name, same size, same time, another bit of one weight.
    let mut bytes = fs::read(&weights).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    fs::write(&weights, bytes).unwrap();
    File::options().append(true).open(&weights).unwrap().set_modified(modified).unwrap();
    assert!(ran(folder, &[]).contains(&"model".to_owned()));
}

#[test]
fn damaged_entries_are_taken_as_absent() {
    let folder = workplace();
    let folder = folder.path();
    ran(folder, &[]);
    let first = picture(folder);
    for (index, path) in files(&folder.join("cache")).iter().enumerate() {
        let bytes = fs::read(path).unwrap();
        let damaged = match index % 4 {
            0 => Vec::new(),
            1 => bytes[..bytes.len() / 2].to_vec(),
            2 => bytes.iter().map(|byte| byte ^ 0x55).collect(),
            _ => b"something else".to_vec(),
        };
        fs::write(path, damaged).unwrap();
    }
    fs::remove_file(folder.join("out/t2i_0.png")).unwrap();
    assert_eq!(ran(folder, &[]).len(), 8);
    assert_eq!(picture(folder), first);
    assert_eq!(ran(folder, &[]), [""; 0]);
}

#[test]
fn a_kill_at_any_moment_leaves_a_cache_that_works() {
    let folder = workplace();
    let folder = folder.path();
    ran(folder, &[]);
    let first = picture(folder);
    for moment in 0..12 {
        fs::remove_dir_all(folder.join("cache")).unwrap();
        fs::remove_dir_all(folder.join("out")).unwrap();
        let mut child = program(folder, &["run", "t2i.ron", "-q", "--cache-dir", "cache"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(15 * moment));
        child.kill().unwrap();
        child.wait().unwrap();
        fs::create_dir_all(folder.join("cache")).unwrap();
        ran(folder, &[]);
        assert_eq!(picture(folder), first, "killed after {} ms", 15 * moment);
    }
}

#[test]
fn processes_share_a_cache() {
    let folder = workplace();
    let folder = folder.path();
    let start = |seed: &str| {
        program(folder, &["run", "t2i.ron", "-q", "--seed", seed, "--cache-dir", "cache"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    for _ in 0..3 {
        let mut children: Vec<_> = ["0", "1", "0", "1"].map(start).into_iter().collect();
        assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    }
    assert_eq!(ran(folder, &["--seed", "0"]), [""; 0]);
    assert_eq!(ran(folder, &["--seed", "1"]), [""; 0]);
}

#[test]
fn the_limit_is_kept_and_the_folder_can_be_listed_and_cleared() {
    let folder = workplace();
    let folder = folder.path();
    let listed = |folder: &Path| -> Value {
        serde_json::from_str(&stdout(&run(folder, &["cache", "ls", "--json", "--cache-dir", "cache"])))
            .unwrap()
    };
    ran(folder, &["--set", "width=256", "--set", "height=256"]);
    let full = listed(folder);
    assert!(full["results"].as_u64().unwrap() >= 5 && full["bytes"].as_u64().unwrap() > 256 * 256 * 12);
    assert!(run(folder, &["cache", "gc", "--cache-dir", "cache", "--cache-limit", "0"]).status.success());
    assert_eq!(listed(folder)["bytes"], 0);
    ran(folder, &["--cache-limit", "0"]);
    assert_eq!(listed(folder)["bytes"], 0);

    ran(folder, &[]);
    assert!(run(folder, &["cache", "clear", "--cache-dir", "cache"]).status.success());
    assert_eq!(listed(folder)["results"], 0);
    assert_eq!(run(folder, &["cache", "ls"]).status.code(), Some(2));
}

#[test]
fn a_cache_that_cannot_be_written_does_not_fail_the_run() {
    let folder = workplace();
    let folder = folder.path();
    fs::write(folder.join("cache"), "a file stands where the folder should be").unwrap();
    assert_eq!(ran(folder, &[]).len(), 8);
    assert!(folder.join("out/t2i_0.png").exists());
    let told = stderr(&run(folder, &["run", "t2i.ron", "--cache-dir", "cache"]));
    assert!(
        told.contains("warning: nothing is kept in the cache folder `cache`: `cache` is not a folder"),
        "{told}"
    );
    // A folder that can be written is no matter for words.
    let told = stderr(&run(folder, &["run", "t2i.ron", "--cache-dir", "kept"]));
    assert!(!told.contains("warning"), "{told}");
}
