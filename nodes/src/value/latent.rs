//! A picture, or frames, or sound, as a backbone sees it.

use candle_core::Tensor;
use lumina_engine::{Digest, Digester, Domain, Storable, World};

use super::packed::{pack, take, unpack};
use super::{Space, digest_tensor, tensor_bytes};

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

    fn digest(&self) -> Option<Digest> {
        let mut digester = Digester::new(Self::NAME);
        digest_tensor(&mut digester, &self.tensor)?;
        Some(digester.part(self.space.digest()?.bytes()).finish())
    }
}

impl Storable for Latent {
    fn store(&self) -> Result<Vec<u8>, String> {
        pack(&[("latent", &self.tensor)], self.space.to_text())
    }

    fn restore(bytes: &[u8], world: &dyn World) -> Result<Self, String> {
        let (mut tensors, space) = unpack(bytes, world)?;
        Ok(Self { tensor: take(&mut tensors, "latent")?, space: Space::from_text(&space)? })
    }
}
