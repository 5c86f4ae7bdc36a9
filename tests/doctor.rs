//! `lumina-graph doctor`: what it looks at, and what it makes of a machine that lacks something.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use support::{copy_golden, program, root, stdout};

/// Runs it in a folder, with variables set; those that it reads are otherwise unset.
fn doctor(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = program(folder, &[&["doctor"], arguments].concat());
    for name in ["LUMINA_GRAPH_CACHE", "HF_HUB_CACHE", "HF_HOME"] {
        command.env_remove(name);
    }
    command.env("HOME", folder).envs(variables.iter().copied()).output().unwrap()
}

/// Status and detail by what was looked at.
fn checks(output: &Output) -> BTreeMap<String, (String, String)> {
    let report: Value = serde_json::from_str(&stdout(output)).unwrap();
    assert_eq!(report["exit_code"], output.status.code().unwrap());
    let text = |check: &Value, name: &str| check[name].as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap();
    checks.iter().map(|one| (text(one, "what"), (text(one, "status"), text(one, "detail")))).collect()
}

fn status<'a>(checks: &'a BTreeMap<String, (String, String)>, what: &str) -> (&'a str, &'a str) {
    let (status, detail) = &checks[what];
    (status, detail)
}

#[test]
fn in_the_repository_nothing_is_wrong() {
    let output = doctor(root(), &[], &[]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let whats: Vec<&str> = text.lines().map(|line| line[9..27].trim()).collect();
    assert_eq!(
        whats,
        [
            "program",
            "node kinds",
            "downloads",
            "processor",
            "memory",
            "device cpu",
            "device cuda",
            "file watcher",
            "current folder",
            "temporary folder",
            "cache",
            "models folder",
            "Hugging Face",
            "small model"
        ]
    );
    assert!(text.contains(&format!("lumina-graph {}", env!("CARGO_PKG_VERSION"))), "{text}");
    let model = text.lines().find(|line| line.contains("small model")).unwrap();
    assert!(model.starts_with("ok ") && model.ends_with("is complete"), "{model}");

    let checks = checks(&doctor(root(), &["--json"], &[]));
    assert_eq!(checks.len(), whats.len());
    assert_eq!(status(&checks, "device cpu"), ("ok", "computes"));
}

#[test]
fn what_is_missing_but_not_needed_by_all_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("LUMINA_GRAPH_MODELS", "nowhere"), ("HF_HOME", "nowhere-else")];
    let output = doctor(folder.path(), &["--json"], &variables);
    assert_eq!(output.status.code(), Some(0));
    let checks = checks(&output);
    assert_eq!(
        status(&checks, "models folder"),
        ("warning", "`nowhere` of `LUMINA_GRAPH_MODELS` is no folder")
    );
    assert_eq!(
        status(&checks, "Hugging Face"),
        ("warning", "cache `nowhere-else/hub` is set, but is no folder")
    );
    assert_eq!(status(&checks, "small model").0, "warning");
    let quiet = stdout(&doctor(folder.path(), &["--quiet"], &variables));
    assert!(quiet.lines().count() >= 3 && quiet.lines().all(|line| !line.starts_with("ok")), "{quiet}");
}

#[test]
fn what_was_asked_for_or_is_needed_by_all_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    copy_golden(&folder.path().join("weights/lumina-next-tiny"));
    fs::remove_file(folder.path().join("weights/lumina-next-tiny/vae/config.json")).unwrap();
    for (arguments, variables, what, detail) in [
        (&["--device", "tpu"][..], &[][..], "device tpu", "no device is called `tpu`"),
        (&["--cache-dir", "file"], &[], "cache", "`file` is not a folder"),
        (&[], &[("LUMINA_GRAPH_CACHE", "file/below")], "cache", "cannot write into `file/below`"),
        (&[], &[("TMPDIR", "/nowhere")], "temporary folder", "cannot write into `/nowhere`"),
        (&[], &[], "small model", "config.json"),
    ] {
        let output = doctor(folder.path(), &[&["--json"], arguments].concat(), variables);
        assert_eq!(output.status.code(), Some(1), "{what}");
        let checks = checks(&output);
        let (status, found) = status(&checks, what);
        assert!(status == "error" && found.contains(detail), "{what}: {status} {found}");
    }
}

#[test]
fn a_cache_is_measured_and_its_damaged_entries_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let cache =
        |folder: &Path| checks(&doctor(folder, &["--json", "--cache-dir", "cache"], &[]))["cache"].clone();
    assert_eq!(cache(folder.path()), ("ok".into(), "`cache` will be made".into()));
    assert!(!folder.path().join("cache").exists());

    let graph = r#"Graph(format: 1, nodes: { "a": Node(kind: "schedule.flow") })"#;
    fs::write(folder.path().join("g.ron"), graph).unwrap();
    assert!(program(folder.path(), &["run", "g.ron", "--cache-dir", "cache"]).status().unwrap().success());
    let (status, detail) = cache(folder.path());
    assert!(status == "ok" && detail.starts_with("`cache` has ") && detail != "`cache` has 0 B", "{detail}");

    let table = fs::read_dir(folder.path().join("cache/action")).unwrap().next().unwrap().unwrap().path();
    let action = fs::read_dir(&table).unwrap().next().unwrap().unwrap().path();
    fs::write(table.join(".lumina-graph-abandoned"), "half").unwrap();
    fs::write(&action, "no action").unwrap();
    let (status, detail) = cache(folder.path());
    assert!(status == "warning" && detail.contains("; damaged entries: 1,"), "{detail}");
}
