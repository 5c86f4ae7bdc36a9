//! A text encoder that is loaded.

use std::sync::Arc;

use lumina_engine::{Domain, Fact};
use lumina_models::text::{HiddenState, TextConfig, TextEncoder};

use super::type_of;
use crate::sizes::with_sizes;

/// A shared text encoder.
#[derive(Clone)]
pub struct TextEncoderValue {
    /// Tokenizer, if there is one, and network.
    pub encoder: Arc<TextEncoder>,
    /// Bytes of its weights.
    pub bytes: u64,
}

impl TextEncoderValue {
    /// Whether the encoder has a tokenizer, as a property of its fact.
    pub(crate) const TOKENIZER: &'static str = "tokenizer";

    /// The number of layers before the hidden state that counts, as a property of its fact.
    pub(crate) const STATE: &'static str = "hidden state";

    /// What is known of an encoder before it is loaded.
    pub(crate) fn fact(config: &TextConfig, state: HiddenState, has_tokenizer: bool) -> Fact {
        let fact = Fact::of(type_of::<Self>())
            .with("text width", config.width())
            .with(Self::TOKENIZER, if has_tokenizer { "yes" } else { "none" });
        let fact = match state.index(config.layers()) {
            Ok(index) => fact.with(Self::STATE, index),
            Err(_) => fact,
        };
        with_sizes(fact, config)
    }
}

impl Domain for TextEncoderValue {
    const NAME: &'static str = "TextEncoder";

    fn byte_size(&self) -> u64 {
        self.bytes
    }
}
