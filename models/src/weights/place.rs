//! A checkpoint wherever a user points to: a file, an index, or the folder that one of them is in.

use std::path::{Path, PathBuf};

use super::Checkpoint;
use crate::{ModelError, Result};

/// What the name of an index of shards ends with.
const INDEX: &str = ".safetensors.index.json";
/// What the names of weight files end with.
const EXTENSIONS: [&str; 1] = [".safetensors"];

impl Checkpoint {
    /// Opens what `path` points to: a weight file, an index of shards, or a folder that holds one index or one weight
    /// file, under any name.
    ///
    /// # Errors
    /// As [`Checkpoint::open`]; [`ModelError::Config`] for a folder with several checkpoints, which it lists.
    pub fn open_path(path: &Path) -> Result<Self> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !path.is_dir() {
            return match (name.strip_suffix(INDEX), path.parent()) {
                (Some(stem), Some(folder)) => Self::open(folder, stem),
                _ => Self::open_file(path),
            };
        }
        let files = files(path)?;
        let ending = |ending: &str| files.iter().filter(|name| name.ends_with(ending)).collect::<Vec<_>>();
        let indices = ending(INDEX);
        let weights: Vec<_> = EXTENSIONS.iter().flat_map(|extension| ending(extension)).collect();
        match (indices.as_slice(), weights.as_slice()) {
            ([index], _) | ([], [index]) => Self::open_path(&path.join(index)),
            ([], []) => {
                let places = [INDEX, EXTENSIONS[0]].map(|ending| path.join(format!("*{ending}")));
                Err(ModelError::FileNotFound { path: path.to_owned(), searched: places.to_vec() })
            }
            (several, others) => {
                let several = if several.is_empty() { others } else { several };
                let names: Vec<String> = several.iter().map(|name| format!("`{name}`")).collect();
                let reason =
                    format!("the folder has {} checkpoints, name one: {}", names.len(), names.join(", "));
                Err(ModelError::config(path, reason))
            }
        }
    }
}

/// The names of the files of a folder, in order.
fn files(folder: &Path) -> Result<Vec<String>> {
    let failed = |source| ModelError::read(folder, source);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path: PathBuf = entry.map_err(failed)?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_file()) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path) {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]).unwrap();
        std::fs::write(path, safetensors::serialize([("w", view)], None).unwrap()).unwrap();
    }

    #[test]
    fn a_folder_stands_for_the_one_checkpoint_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let missing = Checkpoint::open_path(dir.path()).unwrap_err().to_string();
        assert!(missing.contains("*.safetensors.index.json`, `"), "{missing}");
        write(&dir.path().join("a.safetensors"));
        std::fs::write(dir.path().join("config.json"), "{}").unwrap();
        assert_eq!(Checkpoint::open_path(dir.path()).unwrap().files(), [dir.path().join("a.safetensors")]);
        write(&dir.path().join("b.safetensors"));
        let several = Checkpoint::open_path(dir.path()).unwrap_err().to_string();
        assert!(several.ends_with("2 checkpoints, name one: `a.safetensors`, `b.safetensors`"), "{several}");
        let index = r#"{"weight_map":{"w":"b.safetensors"}}"#;
        std::fs::write(dir.path().join("m.safetensors.index.json"), index).unwrap();
        for path in [dir.path().to_owned(), dir.path().join("m.safetensors.index.json")] {
            assert_eq!(Checkpoint::open_path(&path).unwrap().files(), [dir.path().join("b.safetensors")]);
        }
    }
}
