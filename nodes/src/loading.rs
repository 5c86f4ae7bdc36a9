//! What nodes that load a network have in common.

use lumina_engine::{Code, Memory, Mistake};
use lumina_models::ModelError;
use lumina_models::weights::{Checkpoint, Report, StoredTensor};

use crate::mistake;

/// What was found; what was wrong instead goes to the other mistakes.
pub(crate) fn keep<T>(found: Result<T, Vec<Mistake>>, wrong: &mut Vec<Mistake>) -> Option<T> {
    found.map_err(|mistakes| wrong.extend(mistakes)).ok()
}

/// The memory of loading a checkpoint into `kept` bytes: a tensor is read as it is stored, then converted.
pub(crate) fn loading(checkpoint: &Checkpoint, kept: u64) -> Memory {
    let largest = checkpoint.tensors().values().map(StoredTensor::byte_size).max().unwrap_or(0);
    Memory::new(kept + largest, kept)
}

/// A warning about tensors that nothing reads, if there are any.
pub(crate) fn unused(input: &str, report: Report) -> Option<Mistake> {
    let Report { path, unused: keys, .. } = report;
    let error = ModelError::UnusedKeys { path, keys };
    let any = matches!(&error, ModelError::UnusedKeys { keys, .. } if !keys.is_empty());
    any.then(|| mistake(input, &error).code(Code::UnusedContent))
}
