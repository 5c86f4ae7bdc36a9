//! One folder for each modality: how its latents are laid out, decoded, encoded, and kept in files.
//!
//! A modality registers its node kinds like any plugin does, through [`Plugin`](lumina_engine::Plugin).

#![forbid(unsafe_code)]

pub mod image;

use lumina_engine::Registry;

/// Adds the node kinds of all modalities.
pub fn plugin(registry: &mut Registry) {
    registry.plugin(image::plugin);
}
