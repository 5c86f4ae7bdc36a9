//! What a backbone is told to draw.

use candle_core::Tensor;
use lumina_engine::{Digest, Digester, Domain, Storable, World};
use lumina_models::text::TextFeatures;

use super::packed::{pack, take, unpack};
use super::{digest_tensor, tensor_bytes};

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

    fn digest(&self) -> Option<Digest> {
        let mut digester = Digester::new(Self::NAME);
        for TextFeatures { features, mask, ids } in [&self.features, &self.empty] {
            digest_tensor(&mut digester, features)?;
            digest_tensor(&mut digester, mask)?;
            digester.part(&(ids.len() as u64).to_le_bytes());
            for row in ids {
                let row: Vec<u8> = row.iter().flat_map(|id| id.to_le_bytes()).collect();
                digester.part(&row);
            }
        }
        Some(digester.finish())
    }
}

impl Storable for Conditioning {
    fn store(&self) -> Result<Vec<u8>, String> {
        let tensors: [(&str, &Tensor); 4] = [
            ("features", &self.features.features),
            ("mask", &self.features.mask),
            ("empty", &self.empty.features),
            ("empty_mask", &self.empty.mask),
        ];
        pack(&tensors, String::new())
    }

    fn restore(bytes: &[u8], world: &dyn World) -> Result<Self, String> {
        let (mut tensors, _) = unpack(bytes, world)?;
        let mut features = |features: &str, mask: &str| {
            let (features, mask) = (take(&mut tensors, features)?, take(&mut tensors, mask)?);
            TextFeatures::new(features, &mask).map_err(|error| error.to_string())
        };
        Ok(Self { features: features("features", "mask")?, empty: features("empty", "empty_mask")? })
    }
}
