//! What a backbone is told to draw.

use lumina_engine::Domain;
use lumina_models::text::TextFeatures;

use super::tensor_bytes;

/// Text features of prompts, and those of the empty prompt to guide away from.
#[derive(Clone, Debug)]
pub struct Conditioning {
    /// One row for each prompt.
    pub features: TextFeatures,
    /// As many rows of the empty prompt, padded like the prompts.
    pub empty: TextFeatures,
}

impl Domain for Conditioning {
    const NAME: &'static str = "Conditioning";

    fn byte_size(&self) -> u64 {
        tensor_bytes(&self.features.features) + tensor_bytes(&self.empty.features)
    }
}
