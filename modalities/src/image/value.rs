//! A picture, or a batch of them.

use candle_core::Tensor;
use lumina_engine::Domain;
use lumina_nodes::value::tensor_bytes;

/// Pictures of one size.
#[derive(Clone, Debug)]
pub struct Image {
    /// `[batch, 3, height, width]` in f32: -1 is black, 1 is full colour. Decoders may go beyond; files are clamped.
    pub tensor: Tensor,
}

impl Domain for Image {
    const NAME: &'static str = "Image";

    fn byte_size(&self) -> u64 {
        tensor_bytes(&self.tensor)
    }
}
