//! The `tokenizer_config.json` beside a tokenizer.

use std::path::Path;

use serde::Deserialize;

use crate::{ModelError, Result};

/// The fields that matter here.
#[derive(Default, Deserialize)]
pub(super) struct TokenizerConfig {
    pub(super) padding_side: Option<String>,
    pub(super) pad_token: Option<SpecialToken>,
    pub(super) bos_token: Option<SpecialToken>,
    pub(super) eos_token: Option<SpecialToken>,
    pub(super) add_bos_token: Option<bool>,
    pub(super) add_eos_token: Option<bool>,
    pub(super) tokenizer_class: Option<String>,
}

impl TokenizerConfig {
    /// Whether this is the tokenizer of a Gemma or a Llama, whose classes pad before the text and begin it with a token;
    /// so is one without a name.
    pub(super) fn is_of_decoder(&self) -> bool {
        let class = self.tokenizer_class.as_deref();
        class.is_none_or(|class| class.starts_with("Gemma") || class.starts_with("Llama"))
    }
}

/// Config files write a special token as its text or as an object with options.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum SpecialToken {
    Text(String),
    Object { content: String },
}

impl SpecialToken {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Object { content: text } => text,
        }
    }
}

/// Reads the file, if there is one.
pub(super) fn read_config(path: &Path) -> Result<TokenizerConfig> {
    if !path.is_file() {
        return Ok(TokenizerConfig::default());
    }
    let text = std::fs::read(path).map_err(|source| ModelError::read(path, source))?;
    serde_json::from_slice(&text)
        .map_err(|error| ModelError::Tokenizer { path: path.to_owned(), reason: error.to_string() })
}
