//! Weights: which network they are, of which size, and what loads them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use lumina_models::weights::Checkpoint;
use serde_json::{Map, Value, json};

use super::network::{self, Found};
use crate::messages::bytes;

/// The list of all tensors, which only JSON and `--verbose` show.
pub(super) const CONTENTS: &str = "contents";

/// What keeps the weights from being loaded.
pub(super) const PROBLEMS: &str = "problems";

/// Endings of files that are meant to be weights.
const EXTENSIONS: [&str; 6] = ["safetensors", "gguf", "pth", "pt", "ckpt", "bin"];

/// The ending of an index of shards.
const INDEX: &str = ".safetensors.index.json";

/// Names of weight files in a folder, without their ending.
const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];

/// What a weight file, or the weights of a folder, are.
pub(super) fn describe(path: &Path) -> Result<Value> {
    let checkpoint = open(path)?;
    let files = checkpoint.files();
    let size: u64 = files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|file| file.len()).sum();
    let tensors = checkpoint.tensors();
    let formats: BTreeSet<String> = tensors.values().map(|tensor| tensor.format.to_string()).collect();
    let mut report = Map::new();
    let mut add = |name: &str, value: Value| report.insert(name.to_owned(), value);
    add("file", json!(path.display().to_string()));
    if files.len() > 1 {
        add("files", json!(files.len()));
    }
    add("size", json!(bytes(size)));
    add("bytes", json!(size));
    add("formats", json!(formats.into_iter().collect::<Vec<_>>().join(", ")));
    add("tensors", json!(tensors.len()));
    add("parameters", json!(checkpoint.parameter_count()));
    // What loads a network takes the folder of the shards, not their index.
    let is_index = path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(INDEX));
    let found = network::find(if is_index { folder_of(path) } else { path }, &checkpoint);
    if found.is_empty() {
        add("loads as", json!("nothing: no network that is known here has these tensors"));
    }
    let problems: Vec<String> = found.iter().flat_map(|found| found.problems.iter().cloned()).collect();
    for found in found {
        let (role, value) = described(found);
        add(role, value);
    }
    if !problems.is_empty() {
        add(PROBLEMS, json!(problems));
    }
    let list: Map<String, Value> = tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), json!(format!("{} {:?}", tensor.format, tensor.shape))))
        .collect();
    add(CONTENTS, Value::Object(list));
    Ok(Value::Object(report))
}

fn described(found: Found) -> (&'static str, Value) {
    let mut value = Map::new();
    value.insert("family".to_owned(), json!(found.family));
    if let Some(published) = found.published {
        value.insert("published size".to_owned(), json!(published));
    }
    for (name, size) in found.sizes {
        value.insert(name.to_owned(), json!(size));
    }
    if let Some(node) = found.node {
        value.insert("loads as".to_owned(), json!(node));
    }
    if !found.notes.is_empty() {
        value.insert("notes".to_owned(), json!(found.notes));
    }
    (found.role, Value::Object(value))
}

/// The headers of a weight file, of the index of its shards, or of the weights in a folder.
fn open(path: &Path) -> Result<Checkpoint> {
    if path.is_dir() {
        return open_folder(path);
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let opened = match name.strip_suffix(INDEX) {
        Some(stem) => Checkpoint::open(folder_of(path), stem),
        None => Checkpoint::open_file(path),
    };
    let is_meant =
        EXTENSIONS.iter().any(|ending| super::has_extension(path, ending)) || name.ends_with(INDEX);
    match opened {
        Err(_) if !is_meant => bail!(
            "cannot tell what `{}` is: expected a `.png` file, a weight file or a model folder",
            path.display()
        ),
        opened => Ok(opened?),
    }
}

fn folder_of(file: &Path) -> &Path {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn open_folder(path: &Path) -> Result<Checkpoint> {
    let mut files: Vec<PathBuf> = Vec::new();
    for stem in STEMS {
        if ["safetensors", "safetensors.index.json"]
            .iter()
            .any(|ending| path.join(format!("{stem}.{ending}")).is_file())
        {
            return Ok(Checkpoint::open(path, stem)?);
        }
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    for entry in entries.flatten() {
        if EXTENSIONS.iter().any(|ending| super::has_extension(&entry.path(), ending)) {
            files.push(entry.path());
        }
    }
    files.sort();
    match files.as_slice() {
        [only] => Ok(Checkpoint::open_file(only)?),
        [] => bail!("`{}` has neither `model_index.json` nor weights", path.display()),
        [first, ..] => bail!(
            "`{}` has {} weight files: name one of them, such as `{}`",
            path.display(),
            files.len(),
            first.display()
        ),
    }
}
