//! What `plan` says about memory, held against what a run takes (I7).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use support::{program, root, run, stdout};

/// The most memory that a process of the program held, in bytes: the system's own high-water mark, read until the end.
fn most(folder: &Path, arguments: &[&str]) -> f64 {
    let mut child = program(folder, arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0.0;
    let exit = loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = mark.and_then(|mark| mark.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        most = kilobytes.map_or(most, |kilobytes| kilobytes * 1024.0);
        if let Some(exit) = child.try_wait().unwrap() {
            break exit;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(exit.success());
    most
}

#[test]
fn i7_the_plan_is_near_the_memory_that_a_run_takes() {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: only Linux tells how much memory a process holds");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let graph = root().join("graphs/t2i.ron");
    let graph = graph.to_str().unwrap();
    let large = ["--set", "width=512", "--set", "height=512", "--set", "steps=1"];
    let plan = run(folder.path(), &[&["plan", graph, "--json"], &large[..]].concat());
    let plan: Value = serde_json::from_str(stdout(&plan).lines().last().unwrap()).unwrap();
    let planned = plan["peak_bytes"].as_f64().unwrap();

    // The program itself is not part of the plan.
    let empty = most(folder.path(), &["check", graph]);
    let measured = most(folder.path(), &[&["run", graph], &large[..]].concat()) - empty;
    eprintln!("planned {:.0} MiB, measured {:.0} MiB", planned / 1_048_576.0, measured / 1_048_576.0);
    assert!((0.7..1.3).contains(&(planned / measured)), "planned {planned}, measured {measured}");
}
