//! How much memory the parts of a model folder take once they are loaded.

use candle_core::{DType, Device};

use crate::text::Decoder;
use crate::vae::AutoencoderKl;
use crate::{PipelineFolder, Result};

/// Bytes of the parts of a model in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartBytes {
    /// The text encoder.
    pub text_encoder: u64,
    /// The backbone.
    pub backbone: u64,
    /// Encoder and decoder together.
    pub autoencoder: u64,
}

impl PartBytes {
    /// All of them.
    pub fn sum(&self) -> u64 {
        self.text_encoder + self.backbone + self.autoencoder
    }
}

impl PipelineFolder {
    /// Bytes that each part holds once it is loaded in `dtype`, found from configs and headers.
    ///
    /// # Errors
    /// [`ModelError::Candle`](crate::ModelError::Candle) when memory runs out.
    pub fn part_bytes(&self, device: &Device, dtype: DType) -> Result<PartBytes> {
        let count = |shape: &[usize]| shape.iter().product::<usize>() as u64;
        let element = dtype.size_in_bytes() as u64;
        let weights = self.text_encoder_weights();
        let keys = Decoder::key_map(weights);
        // The last layer is not read, and the table of tokens stays in the format that it is stored in.
        let text_encoder = Decoder::expected(&self.text_encoder)?
            .required
            .iter()
            .map(|(name, shape)| match keys.resolve(name, weights).and_then(|key| weights.get(&key)) {
                Some(table) if name.starts_with("embed_tokens.") => table.byte_size(),
                Some(stored) => stored.loaded_bytes(dtype, device),
                None => count(shape) * element,
            })
            .sum();
        let autoencoder = AutoencoderKl::compute_type(dtype, device).size_in_bytes() as u64;
        Ok(PartBytes {
            text_encoder,
            backbone: self.backbone_weights().loaded_bytes(dtype, device),
            autoencoder: self.autoencoder_weights().parameter_count() * autoencoder,
        })
    }
}
