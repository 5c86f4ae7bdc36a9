//! A text encoder that is loaded.

use std::sync::Arc;

use lumina_engine::Domain;
use lumina_models::text::TextEncoder;

/// A shared text encoder.
#[derive(Clone)]
pub struct TextEncoderValue {
    /// Tokenizer and network.
    pub encoder: Arc<TextEncoder>,
    /// Bytes of its weights.
    pub bytes: u64,
}

impl Domain for TextEncoderValue {
    const NAME: &'static str = "TextEncoder";

    fn byte_size(&self) -> u64 {
        self.bytes
    }
}
