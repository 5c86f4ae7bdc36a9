//! Checkpoints in another layout, and lists of tensors.

use std::path::Path;

use candle_core::{Device, Tensor};
use lumina_models::weights::Checkpoint;

use crate::common::{load, values};

/// Writes the tensors of `path` with a prefix before their names, and others beside them.
pub(crate) fn prefixed(
    path: &Path,
    prefix: &str,
    extra: &[(&str, Vec<f32>)],
    dir: &tempfile::TempDir,
) -> Checkpoint {
    let mut tensors: std::collections::HashMap<String, Tensor> =
        load(path).into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect();
    for (name, values) in extra {
        tensors.insert((*name).to_owned(), Tensor::new(values.as_slice(), &Device::Cpu).unwrap());
    }
    let path = dir.path().join("prefixed.safetensors");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    Checkpoint::open_file(&path).unwrap()
}

pub(crate) fn bits(tensor: &Tensor) -> Vec<u32> {
    values(tensor).into_iter().map(f32::to_bits).collect()
}

/// How many numbers the tensors have together.
pub(crate) fn parameters(tensors: &[(String, Vec<usize>)]) -> usize {
    tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
}
