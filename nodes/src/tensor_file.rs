//! Tensors in safetensors files.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use lumina_engine::{Call, Digest, NodeError, Value, World};

/// Reads one tensor. Without a name the file must hold exactly one.
pub(crate) fn read(path: &Path, name: Option<&str>, device: &Device) -> Result<Tensor, NodeError> {
    let shown = path.display();
    let bytes =
        std::fs::read(path).map_err(|cause| NodeError::file(format!("cannot read `{shown}`: {cause}")))?;
    let mut tensors: HashMap<String, Tensor> = candle_core::safetensors::load_buffer(&bytes, device)
        .map_err(|cause| NodeError::file(format!("`{shown}` is not a valid safetensors file: {cause}")))?;
    let mut names: Vec<String> = tensors.keys().cloned().collect();
    names.sort();
    let name = match (name, names.as_slice()) {
        (Some(name), _) => name,
        (None, [only]) => only,
        (None, _) => {
            let message = format!("`{shown}` has {} tensors, say which one with `name`", names.len());
            return Err(NodeError::File {
                message,
                help: lumina_engine::suggest("", names.iter().map(String::as_str)),
            });
        }
    };
    tensors.remove(name).ok_or_else(|| NodeError::File {
        message: format!("`{shown}` has no tensor `{name}`"),
        help: lumina_engine::suggest(name, names.iter().map(String::as_str)),
    })
}

/// Writes one tensor; gives the digest of the file.
pub(crate) fn write(call: &Call<'_>, path: &Path, name: &str, tensor: &Tensor) -> Result<Digest, NodeError> {
    let failed =
        |cause: &dyn std::fmt::Display| NodeError::failed(format!("cannot write the tensor: {cause}"));
    let tensor =
        tensor.contiguous().and_then(|tensor| tensor.to_device(&Device::Cpu)).map_err(|e| failed(&e))?;
    let bytes = safetensors::serialize([(name, &tensor)], None).map_err(|e| failed(&e))?;
    call.world
        .write(path, &bytes)
        .map_err(|cause| NodeError::file(format!("cannot write `{}`: {cause}", path.display())))?;
    Ok(Digest::of(&bytes))
}

/// Does a file still hold what a node wrote into it? Another run may have written there since.
pub fn holds(world: &dyn World, path: &Value, digest: &Value) -> bool {
    match (path, digest) {
        (Value::Path(path), Value::Text(digest)) => {
            world.digest(path).is_ok_and(|found| found.to_string() == **digest)
        }
        _ => false,
    }
}
