//! A picture, or frames, or sound, as a backbone sees it.

use candle_core::Tensor;
use lumina_engine::Domain;

use super::{Space, tensor_bytes};

/// A latent grid in the scale of the backbone.
#[derive(Clone, Debug)]
pub struct Latent {
    /// `[batch, channels, height, width]` in f32.
    pub tensor: Tensor,
    /// What the numbers mean.
    pub space: Space,
}

impl Domain for Latent {
    const NAME: &'static str = "Latent";

    fn byte_size(&self) -> u64 {
        tensor_bytes(&self.tensor)
    }
}
