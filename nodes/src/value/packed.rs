//! Values of tensors as bytes, for the disk cache: safetensors with a note.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use lumina_engine::World;
use safetensors::SafeTensors;

use crate::Compute;

/// The key of the note in the header.
const NOTE: &str = "note";

/// Tensors by name and a note as bytes.
///
/// # Errors
/// When a tensor cannot be read from its device.
pub fn pack(tensors: &[(&str, &Tensor)], note: String) -> Result<Vec<u8>, String> {
    let tensors = tensors
        .iter()
        .map(|(name, tensor)| Ok((*name, tensor.contiguous()?.to_device(&Device::Cpu)?)))
        .collect::<candle_core::Result<Vec<_>>>()
        .map_err(|error| error.to_string())?;
    let metadata = HashMap::from([(NOTE.to_owned(), note)]);
    safetensors::serialize(tensors, Some(metadata)).map_err(|error| error.to_string())
}

/// The tensors, on the device of the world, and the note.
///
/// # Errors
/// When the bytes are something else.
pub fn unpack(bytes: &[u8], world: &dyn World) -> Result<(HashMap<String, Tensor>, String), String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let note =
        header.metadata().as_ref().and_then(|metadata| metadata.get(NOTE)).cloned().unwrap_or_default();
    let device = Compute::of(world).device;
    let tensors = candle_core::safetensors::load_buffer(bytes, &device).map_err(|error| error.to_string())?;
    Ok((tensors, note))
}

/// Takes a tensor out of those that were unpacked.
///
/// # Errors
/// When there is none of this name.
pub fn take(tensors: &mut HashMap<String, Tensor>, name: &str) -> Result<Tensor, String> {
    tensors.remove(name).ok_or_else(|| format!("no tensor `{name}`"))
}
