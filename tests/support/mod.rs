//! What several test programs need.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "every test program uses its own part")]

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lumina_graph::engine::{Engine, Graph, Overrides, Registry, Resources, Source, render};
use lumina_graph::nodes::Compute;
use lumina_graph::{CorePlugins, LocalWorld};
use lumina_models::weights::Expected;

/// The folder of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The small pipeline with random weights that diffusers' numbers were made with.
pub(crate) fn golden_pipeline() -> PathBuf {
    root().join("tests/golden/lumina_next_pipeline")
}

/// The program, about to run in a folder.
pub(crate) fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lumina-graph"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("LUMINA_GRAPH_MODELS")
        .env_remove("RUST_BACKTRACE");
    command
}

/// Runs the program in a folder.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    program(folder, arguments).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// An engine with all built-in node kinds.
pub(crate) fn engine() -> Engine {
    let mut registry = Registry::new();
    registry.plugin(CorePlugins);
    Engine::new(registry)
}

/// This machine, on the CPU in f32.
pub(crate) fn world() -> LocalWorld {
    let mut resources = Resources::default();
    let compute = Compute::open("cpu", "f32").unwrap();
    let environment = compute.to_string();
    resources.insert(compute);
    LocalWorld::new(&root().join("graphs/test.ron"), environment, resources)
}

/// A graph that has to be right.
pub(crate) fn checked(engine: &Engine, world: &LocalWorld, text: &str) -> Graph {
    let source = Source::new("test.ron", text);
    let (_, checked) = engine.check(source, world, &Overrides::default());
    checked.graph.unwrap_or_else(|| panic!("{}", render(&checked.sources, &checked.diagnostics, false)))
}

/// A copy of [`golden_pipeline`] that a test may change.
pub(crate) fn copy_golden(to: &Path) -> PathBuf {
    for part in ["", "scheduler", "text_encoder", "tokenizer", "transformer", "vae"] {
        std::fs::create_dir_all(to.join(part)).unwrap();
        for entry in std::fs::read_dir(golden_pipeline().join(part)).unwrap().map(Result::unwrap) {
            if entry.path().is_file() && !entry.file_name().to_string_lossy().starts_with("cases") {
                std::fs::copy(entry.path(), to.join(part).join(entry.file_name())).unwrap();
            }
        }
    }
    to.to_owned()
}

/// A folder with the graph of the README, at two steps, and a copy of [`golden_pipeline`].
pub(crate) fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(root().join("graphs/t2i.ron"))
        .unwrap()
        .replace("weights/lumina-next-tiny", "model")
        .replace("default: 20", "default: 2");
    std::fs::write(folder.path().join("t2i.ron"), text).unwrap();
    copy_golden(&folder.path().join("model"));
    folder
}

/// All files below a folder, by path.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// A weight file with a true header over a hole: the file system stores next to nothing. Gives the bytes of the hole.
pub(crate) fn sparse_weights(path: &Path, expected: &Expected, dtype: &str, size: usize) -> usize {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, shape) in &expected.required {
        let bytes = size * shape.iter().product::<usize>();
        let tensor = serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [end, end + bytes]});
        header.insert(name.clone(), tensor);
        end += bytes;
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut file = File::create(path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len((8 + header.len() + end) as u64).unwrap();
    end
}
