//! The graphs of `graphs/parity`, with which a user compares the networks with their originals.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and says what it measured")]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lumina_graph::LocalWorld;
use lumina_graph::engine::{Outcome, Overrides, Report, Resources, RunOptions, Source, Value, render};
use lumina_graph::nodes::Compute;
use support::{engine, root, run, stderr};

fn graphs() -> Vec<PathBuf> {
    let mut graphs: Vec<PathBuf> = std::fs::read_dir(root().join("graphs/parity"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ron"))
        .collect();
    graphs.sort();
    assert!(graphs.len() >= 12, "{graphs:?}");
    graphs
}

/// Runs a graph in the folder of the workspace, maybe with other weights.
fn report(graph: &Path, weights: Option<&Path>) -> Report {
    let compute = Compute::open("cpu", "f32").unwrap();
    let environment = compute.to_string();
    let mut resources = Resources::default();
    resources.insert(compute);
    // Beside the graph, where the configs are.
    let (engine, world) = (engine(), LocalWorld::new(graph, environment, resources));
    let text = std::fs::read_to_string(graph).unwrap();
    let overrides = weights.map(|path| Overrides::default().set("weights", path.display().to_string()));
    let source = Source::new(graph.display().to_string(), text);
    let (_, checked) = engine.check(source, &world, &overrides.unwrap_or_default());
    let messages = render(&checked.sources, &checked.diagnostics, false);
    assert!(checked.diagnostics.is_empty(), "{messages}");
    engine.run(&checked.graph.unwrap(), &world, RunOptions::default())
}

/// The names of the comparisons that a graph declares.
fn declared(graph: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(graph).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(": Node(kind: \"tensor.compare\""));
    lines.map(|(name, _)| name.trim().trim_matches('"').to_owned()).collect()
}

/// Without the turn of an iteration.
fn name(node: &str) -> &str {
    node.split('[').next().unwrap_or(node)
}

/// A copy of a weight file, or of a folder with several, in which the first number of every embedder is moved.
fn moved(weights: &Path, folder: &Path) -> PathBuf {
    if !weights.is_dir() {
        let copy = folder.join("copy.safetensors");
        move_embedders(weights, &copy);
        return copy;
    }
    for entry in std::fs::read_dir(weights).unwrap().map(Result::unwrap) {
        let to = folder.join(entry.file_name());
        if entry.path().extension().is_some_and(|extension| extension == "safetensors") {
            move_embedders(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
    folder.to_owned()
}

fn move_embedders(from: &Path, to: &Path) {
    let mut bytes = std::fs::read(from).unwrap();
    let start = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..start]).unwrap();
    for (_, tensor) in header.as_object().unwrap().iter().filter(|(name, _)| name.contains("embed")) {
        let place = start + usize::try_from(tensor["data_offsets"][0].as_u64().unwrap()).unwrap();
        let number = f32::from_le_bytes(bytes[place..place + 4].try_into().unwrap());
        bytes[place..place + 4].copy_from_slice(&(number + 1.0).to_le_bytes());
    }
    std::fs::write(to, bytes).unwrap();
}

/// What the parameter `weights` of a graph is by default; graphs of other networks than backbones have none.
fn weights(graph: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(graph).unwrap();
    let (_, declared) = text.split_once("\"weights\": Path(")?;
    let (_, path) = declared.split_once("default: \"")?;
    Some(root().join(path.split_once('"')?.0))
}

#[test]
fn every_comparison_runs_and_holds() {
    for graph in graphs() {
        let (report, comparisons) = (report(&graph, None), declared(&graph));
        let shown = graph.file_stem().unwrap().display().to_string();
        assert_eq!(report.failures(), [], "{shown}");
        let is_comparison = |node: &str| comparisons.contains(name(node));
        let found: Vec<_> = report.nodes.iter().filter(|(node, _)| is_comparison(node)).collect();
        assert!(
            !comparisons.is_empty() && found.iter().all(|(_, outcome)| *outcome == Outcome::Ran),
            "{found:?}"
        );
        let ran: BTreeSet<String> = found.iter().map(|(node, _)| name(node).to_owned()).collect();
        assert_eq!(ran, comparisons, "{shown}");
        for (node, outputs) in report.outputs.iter().filter(|(node, _)| is_comparison(node)) {
            if let [Value::Float(difference)] = &**outputs {
                println!("{shown} {node}: {difference:e}");
            }
        }
    }
}

#[test]
fn a_moved_weight_makes_every_comparison_of_a_backbone_fail() {
    let mut covered = 0;
    for graph in graphs() {
        let Some(weights) = weights(&graph) else { continue };
        let folder = tempfile::tempdir().unwrap();
        let report = report(&graph, Some(&moved(&weights, folder.path())));
        let shown = graph.file_stem().unwrap().display();
        let failed: BTreeSet<String> = report.failures().iter().map(|(node, _)| (*node).to_owned()).collect();
        assert_eq!(failed, declared(&graph), "{shown}");
        for (node, error) in report.failures() {
            assert!(error.to_string().starts_with("the largest difference is"), "{shown}: {node}: {error}");
        }
        covered += 1;
    }
    assert_eq!(covered, 12);
}

#[test]
fn the_program_says_with_its_exit_code_whether_they_hold() {
    let graph = root().join("graphs/parity/next_dit_mini.ron");
    let path = graph.display().to_string();
    let held = run(root(), &["run", &path]);
    assert_eq!(held.status.code(), Some(0), "{}", stderr(&held));
    let folder = tempfile::tempdir().unwrap();
    let copy = moved(&weights(&graph).unwrap(), folder.path());
    let apart = run(root(), &["run", &path, "--set", &format!("weights={}", copy.display())]);
    assert_eq!(apart.status.code(), Some(1), "{}", stderr(&apart));
    assert!(stderr(&apart).contains("`case0_apart`: the largest difference is"), "{}", stderr(&apart));
}
