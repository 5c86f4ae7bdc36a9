//! A vocoder that is loaded.

use std::sync::Arc;

use lumina_engine::Domain;
use lumina_models::vocoder::BigVgan;

/// A shared vocoder.
#[derive(Clone)]
pub struct VocoderValue {
    /// The network.
    pub network: Arc<BigVgan>,
    /// Bytes of its weights.
    pub bytes: u64,
}

impl Domain for VocoderValue {
    const NAME: &'static str = "Vocoder";

    fn byte_size(&self) -> u64 {
        self.bytes
    }
}
