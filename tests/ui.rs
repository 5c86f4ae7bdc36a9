//! Broken graphs and what the program says to them: `tests/ui/NAME.ron` with `NAME.stderr` beside it.
//!
//! Files that these graphs include are in `tests/ui/parts`. A missing `.stderr` is written; `UPDATE=1 cargo test --test ui` writes them all. The first line of a graph may
//! be `// args: ...`. Every graph is given to `check` and to `run`: both must end with the same code and write
//! nothing.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Broken copies of the small pipeline of `tests/golden`.
mod models {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::support::copy_golden;

    /// Makes them all, and gives the folder they are in.
    pub(super) fn make() -> PathBuf {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui");
        let models = root.join("ui-models");
        let _ = fs::remove_dir_all(&models);
        let edit = |name: &str, file: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
            let path = copy_golden(&models.join(name)).join(file);
            fs::write(&path, change(fs::read(&path).unwrap())).unwrap();
        };
        let replace = |from: &'static str, to: &'static str| {
            move |bytes: Vec<u8>| {
                let text = String::from_utf8(bytes).unwrap();
                assert!(text.contains(from), "the golden config no longer has {from}");
                text.replace(from, to).into_bytes()
            }
        };
        let shard = "transformer/diffusion_pytorch_model-00002-of-00002.safetensors";
        edit("truncated_header", shard, &|bytes| bytes[..100].to_vec());
        edit("truncated_weights", shard, &|bytes| bytes[..bytes.len() - 1].to_vec());
        // The first eight bytes are the length of the header.
        edit("lying_header", shard, &|mut bytes| {
            bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
            bytes
        });
        edit(
            "wrong_shapes",
            "transformer/config.json",
            &replace("\"hidden_size\": 64", "\"hidden_size\": 80"),
        );
        edit("unused_tensor", "transformer/config.json", &replace("\"num_layers\": 2", "\"num_layers\": 1"));
        edit("config_not_json", "vae/config.json", &|_| b"{ not json".to_vec());
        edit("other_pipeline", "model_index.json", &replace("LuminaPipeline", "StableDiffusionPipeline"));
        edit("other_space", "vae/config.json", &replace("0.13025", "0.18215"));
        text_encoder(&models.join("sentence_pieces"), &|folder| {
            fs::write(folder.join("tokenizer.model"), "not read").unwrap();
        });
        text_encoder(&models.join("fewer_layers"), &|folder| {
            let config = fs::read(folder.join("config.json")).unwrap();
            let fewer = replace("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2");
            fs::write(folder.join("config.json"), fewer(config)).unwrap();
        });
        let lone = models.join("vae_without_config");
        fs::create_dir_all(&lone).unwrap();
        let weights = "diffusion_pytorch_model.safetensors";
        fs::copy(golden("autoencoder_kl/sdxl_like").join(weights), lone.join(weights)).unwrap();
        narrow_text(&copy_golden(&models.join("narrow_text")));
        fs::remove_dir_all(copy_golden(&models.join("part_missing")).join("vae")).unwrap();
        fs::remove_file(copy_golden(&models.join("shard_missing")).join(shard)).unwrap();
        root
    }

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
    }

    /// A changed copy of a text encoder by itself.
    fn text_encoder(folder: &Path, change: &dyn Fn(&Path)) {
        fs::create_dir_all(folder).unwrap();
        for name in ["config.json", "model.safetensors"] {
            fs::copy(golden("text_encoders/gemma").join(name), folder.join(name)).unwrap();
        }
        change(folder);
    }

    /// With a text encoder that is 64 wide instead of 48.
    fn narrow_text(folder: &Path) {
        fs::remove_dir_all(folder.join("text_encoder")).unwrap();
        text_encoder(&folder.join("text_encoder"), &|_| ());
    }
}

#[test]
fn broken_graphs_get_clear_messages() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let models = models::make();
    let mut graphs: Vec<PathBuf> = fs::read_dir(root.join("tests/ui"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ron"))
        .collect();
    graphs.sort();
    assert!(graphs.len() >= 30, "only {} broken graphs", graphs.len());

    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for graph in &graphs {
        let said = said(&program("check", graph, &models), &models);
        let expected = graph.with_extension("stderr");
        if update || !expected.exists() {
            fs::write(&expected, &said).unwrap();
        }
        let wanted = fs::read_to_string(&expected).unwrap();
        if said != wanted {
            wrong.push(format!("{}\n--- expected\n{wanted}\n--- found\n{said}", graph.display()));
        }
        // A graph with warnings only is valid, and would run.
        if !wanted.starts_with("exit 0") {
            let run = program("run", graph, &models);
            let check = program("check", graph, &models);
            assert_eq!(run.status.code(), check.status.code(), "{}", graph.display());
            assert!(run.stdout.is_empty(), "{}", graph.display());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(!root.join("out/ui").exists(), "an invalid graph has written something");
}

fn program(command: &str, graph: &Path, models: &Path) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(graph).unwrap();
    let arguments = text.lines().next().and_then(|line| line.strip_prefix("// args: ")).unwrap_or("");
    Command::new(env!("CARGO_BIN_EXE_lumina-graph"))
        .arg(command)
        .arg(graph.strip_prefix(root).unwrap())
        .args(arguments.split_whitespace())
        .env("LUMINA_GRAPH_MODELS", models)
        .env("HF_HUB_CACHE", models.join("hub"))
        .env_remove("RUST_BACKTRACE")
        .current_dir(root)
        .output()
        .unwrap()
}

/// What the program said, with its exit code, and without the paths of this machine.
fn said(output: &Output, models: &Path) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let text = text.replace(&models.display().to_string(), "[MODELS]");
    assert!(!text.contains("panicked"), "{text}");
    format!("exit {}\n{text}", output.status.code().unwrap_or(-1))
}
