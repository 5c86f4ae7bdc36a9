//! A backbone that is loaded.

use std::sync::Arc;

use lumina_engine::{Domain, Fact};
use lumina_models::backbone::{Backbone, BackboneConfig, Wants};

use super::{Space, type_of};
use crate::sizes::with_sizes;

/// A shared backbone, of whatever network.
#[derive(Clone)]
pub struct BackboneValue {
    /// The network.
    pub network: Arc<dyn Backbone>,
    /// The latents it was trained on.
    pub space: Space,
    /// Bytes of its weights.
    pub bytes: u64,
}

impl BackboneValue {
    /// What is known of a backbone of these sizes before it is loaded; `latents` is a fact about something in its space.
    pub fn fact(config: &BackboneConfig, latents: &Fact) -> Fact {
        let mut fact = Fact::of(type_of::<Self>());
        fact.properties.clone_from(&latents.properties);
        // Guidance compares it with that of the text.
        if let Wants::Caption { width } = config.profile().wants {
            fact = fact.with("text width", width);
        }
        with_sizes(fact, config)
    }
}

impl Domain for BackboneValue {
    const NAME: &'static str = "Backbone";

    fn byte_size(&self) -> u64 {
        self.bytes
    }
}
