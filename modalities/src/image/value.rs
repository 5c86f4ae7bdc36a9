//! A picture, or a batch of them.

use candle_core::Tensor;
use lumina_engine::{Digest, Digester, Domain, Storable, World};
use lumina_nodes::value::packed::{pack, take, unpack};
use lumina_nodes::value::{digest_tensor, tensor_bytes};

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

    fn digest(&self) -> Option<Digest> {
        let mut digester = Digester::new(Self::NAME);
        digest_tensor(&mut digester, &self.tensor)?;
        Some(digester.finish())
    }
}

impl Storable for Image {
    fn store(&self) -> Result<Vec<u8>, String> {
        pack(&[("image", &self.tensor)], String::new())
    }

    fn restore(bytes: &[u8], world: &dyn World) -> Result<Self, String> {
        Ok(Self { tensor: take(&mut unpack(bytes, world)?.0, "image")? })
    }
}
