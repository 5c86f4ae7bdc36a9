//! A backbone that is loaded.

use std::sync::Arc;

use lumina_engine::Domain;
use lumina_models::backbone::NextDit;

use super::Space;

/// A shared backbone.
#[derive(Clone)]
pub struct BackboneValue {
    /// The network.
    pub network: Arc<NextDit>,
    /// The latents it was trained on.
    pub space: Space,
    /// Bytes of its weights.
    pub bytes: u64,
}

impl Domain for BackboneValue {
    const NAME: &'static str = "Backbone";

    fn byte_size(&self) -> u64 {
        self.bytes
    }
}
