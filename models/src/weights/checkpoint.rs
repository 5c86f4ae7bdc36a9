//! A set of safetensors files seen as one table of tensors, known from headers alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device};
use serde::Deserialize;

use super::Header;
use super::gguf::GgufMetadata;
use super::stored::{Span, Storage, StoredFormat, StoredTensor};
use crate::{ModelError, Result};

/// One safetensors file, or several with an index; no weight byte is read.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    path: PathBuf,
    files: Vec<PathBuf>,
    tensors: BTreeMap<String, StoredTensor>,
    /// Of a GGUF file.
    metadata: Option<Arc<GgufMetadata>>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens `dir/stem.safetensors`, or the shards that `dir/stem.safetensors.index.json` lists.
    ///
    /// # Errors
    /// [`ModelError::FileNotFound`] when there is neither, or when a shard is missing; [`ModelError::Header`] for a
    /// damaged file; [`ModelError::MissingKeys`] when a shard lacks a tensor that the index promises.
    pub fn open(dir: &Path, stem: &str) -> Result<Self> {
        let single = dir.join(format!("{stem}.safetensors"));
        let index = dir.join(format!("{stem}.safetensors.index.json"));
        if single.is_file() {
            return Self::open_file(&single);
        }
        if index.is_file() {
            return Self::open_index(&index);
        }
        Err(ModelError::FileNotFound { path: single.clone(), searched: vec![single, index] })
    }

    /// Opens one safetensors or GGUF file, whatever its name.
    ///
    /// # Errors
    /// As [`Checkpoint::open`] and [`Checkpoint::open_gguf`].
    pub fn open_file(path: &Path) -> Result<Self> {
        if Self::is_gguf(path)? {
            return Self::open_gguf(path);
        }
        let mut checkpoint = Self::empty(path);
        checkpoint.add_file(path)?;
        Ok(checkpoint)
    }

    /// A GGUF file with its metadata and its tensors.
    pub(super) fn of_gguf(
        path: &Path,
        metadata: GgufMetadata,
        tensors: BTreeMap<String, StoredTensor>,
    ) -> Self {
        let (metadata, files) = (Some(Arc::new(metadata)), vec![path.to_owned()]);
        Self { files, tensors, metadata, ..Self::empty(path) }
    }

    fn empty(path: &Path) -> Self {
        Self { path: path.to_owned(), files: Vec::new(), tensors: BTreeMap::new(), metadata: None }
    }

    fn open_index(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(|source| ModelError::read(path, source))?;
        let index: Index =
            serde_json::from_slice(&text).map_err(|error| ModelError::config(path, error.to_string()))?;
        let directory = path.parent().unwrap_or(Path::new("."));
        let names: BTreeSet<&String> = index.weight_map.values().collect();
        let mut checkpoint = Self::empty(path);
        for name in names {
            // A shard is a file beside its index; anything else could read files outside the model folder.
            if Path::new(name).components().count() != 1 || name.starts_with('.') {
                return Err(ModelError::config(
                    path,
                    format!("`weight_map` names the shard `{name}`, not a file"),
                ));
            }
            checkpoint.add_file(&directory.join(name))?;
        }
        for (file, name) in checkpoint.files.iter().map(|file| (file, file.file_name())) {
            let missing: Vec<String> = index
                .weight_map
                .iter()
                .filter(|(key, shard)| {
                    Some(std::ffi::OsStr::new(shard.as_str())) == name
                        && !checkpoint.tensors.contains_key(*key)
                })
                .map(|(key, _)| key.clone())
                .collect();
            if !missing.is_empty() {
                return Err(ModelError::MissingKeys { path: file.clone(), keys: missing });
            }
        }
        Ok(checkpoint)
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let header = Header::read(path)?;
        let file = self.files.len();
        for tensor in header.tensors() {
            let stored = StoredTensor {
                format: StoredFormat::Plain(tensor.dtype),
                shape: tensor.shape.clone(),
                storage: Storage::Span(Span { file, start: tensor.start, end: tensor.end }),
            };
            if let Some(other) = self.tensors.insert(tensor.name.clone(), stored) {
                let other =
                    self.files.get(other.file()).map_or_else(String::new, |file| file.display().to_string());
                return Err(ModelError::Header {
                    path: path.to_owned(),
                    reason: format!("`{}` is also in `{other}`", tensor.name),
                });
            }
        }
        self.files.push(path.to_owned());
        Ok(())
    }

    /// The file, or the index of the shards.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files that hold tensors.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Every tensor by its stored name.
    pub fn tensors(&self) -> &BTreeMap<String, StoredTensor> {
        &self.tensors
    }

    /// What a GGUF file says of the network in it; none for other files.
    pub fn gguf_metadata(&self) -> Option<&GgufMetadata> {
        self.metadata.as_deref()
    }

    /// Bytes that all tensors take on `device`; see [`StoredTensor::loaded_bytes`].
    pub fn loaded_bytes(&self, dtype: DType, device: &Device) -> u64 {
        self.tensors.values().map(|tensor| tensor.loaded_bytes(dtype, device)).sum()
    }

    /// Stored names and formats of the tensors that cannot be read, ordered by name.
    pub fn unreadable(&self) -> Vec<(String, &'static str)> {
        let formats = self.tensors.iter().map(|(name, tensor)| (name, tensor.format));
        formats
            .filter_map(|(name, format)| match format {
                StoredFormat::Unreadable(format) => Some((name.clone(), format)),
                _ => None,
            })
            .collect()
    }

    /// One tensor by its stored name.
    pub fn get(&self, name: &str) -> Option<&StoredTensor> {
        self.tensors.get(name)
    }

    /// The file that holds `tensor`, or the first of its parts.
    pub fn file_of(&self, tensor: &StoredTensor) -> &Path {
        self.files.get(tensor.file()).map_or(self.path.as_path(), PathBuf::as_path)
    }

    /// The number of stored numbers.
    pub fn parameter_count(&self) -> u64 {
        self.tensors.values().map(StoredTensor::parameter_count).sum()
    }
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;

    use super::*;

    fn write(path: &Path, names: &[&str]) {
        let data = [0_u8; 8];
        let views = names.iter().map(|name| {
            (name.to_string(), safetensors::tensor::TensorView::new(Dtype::F32, vec![2], &data).unwrap())
        });
        std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    }

    #[test]
    fn a_missing_shard_is_named() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("a.safetensors"), &["x"]);
        let index = r#"{"weight_map":{"x":"a.safetensors","y":"b.safetensors"}}"#;
        std::fs::write(dir.path().join("m.safetensors.index.json"), index).unwrap();
        let error = Checkpoint::open(dir.path(), "m").unwrap_err();
        assert!(error.to_string().contains("b.safetensors"), "{error}");
        write(&dir.path().join("b.safetensors"), &["z"]);
        let error = Checkpoint::open(dir.path(), "m").unwrap_err();
        assert!(matches!(&error, ModelError::MissingKeys { keys, .. } if keys == &["y"]), "{error}");
        write(&dir.path().join("b.safetensors"), &["y"]);
        let checkpoint = Checkpoint::open(dir.path(), "m").unwrap();
        assert_eq!((checkpoint.files().len(), checkpoint.parameter_count()), (2, 4));
    }

    #[test]
    fn a_shard_outside_the_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let index = r#"{"weight_map":{"x":"../a.safetensors"}}"#;
        std::fs::write(dir.path().join("m.safetensors.index.json"), index).unwrap();
        assert!(matches!(Checkpoint::open(dir.path(), "m"), Err(ModelError::Config { .. })));
    }

    #[test]
    fn nothing_there_lists_both_places() {
        let dir = tempfile::tempdir().unwrap();
        let error = Checkpoint::open(dir.path(), "m").unwrap_err();
        assert!(
            matches!(&error, ModelError::FileNotFound { searched, .. } if searched.len() == 2),
            "{error}"
        );
    }
}
