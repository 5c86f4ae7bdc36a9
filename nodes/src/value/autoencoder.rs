//! The two halves of an autoencoder that is loaded. They share the network.

use std::sync::Arc;

use lumina_engine::Domain;
use lumina_models::vae::AutoencoderKl;

use super::Space;

/// From a latent to pixels.
#[derive(Clone)]
pub struct DecoderValue {
    /// The network.
    pub network: Arc<AutoencoderKl>,
    /// The latents it reads.
    pub space: Space,
    /// Bytes of its weights.
    pub bytes: u64,
}

/// From pixels to a latent.
#[derive(Clone)]
pub struct EncoderValue {
    /// The network.
    pub network: Arc<AutoencoderKl>,
    /// The latents it writes.
    pub space: Space,
    /// Bytes of its weights.
    pub bytes: u64,
}

impl Domain for DecoderValue {
    const NAME: &'static str = "Decoder";

    fn byte_size(&self) -> u64 {
        self.bytes
    }
}

impl Domain for EncoderValue {
    const NAME: &'static str = "Encoder";

    fn byte_size(&self) -> u64 {
        self.bytes
    }
}
