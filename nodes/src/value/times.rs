//! The times a sampler stops at.

use lumina_engine::{Digest, Digester, Domain, Storable, World};

/// Points from 0 (noise) to 1 (data): one more than there are steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Times {
    /// Rising.
    pub points: Vec<f64>,
}

impl Times {
    /// The number of steps.
    pub fn steps(&self) -> usize {
        self.points.len().saturating_sub(1)
    }
}

impl Domain for Times {
    const NAME: &'static str = "Times";

    fn byte_size(&self) -> u64 {
        8 * self.points.len() as u64
    }

    fn digest(&self) -> Option<Digest> {
        let points: Vec<u8> = self.points.iter().flat_map(|point| point.to_le_bytes()).collect();
        Some(Digester::new(Self::NAME).part(&points).finish())
    }
}

impl Storable for Times {
    fn store(&self) -> Result<Vec<u8>, String> {
        Ok(self.points.iter().flat_map(|point| point.to_le_bytes()).collect())
    }

    fn restore(bytes: &[u8], _: &dyn World) -> Result<Self, String> {
        let (points, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err("a part of a number is left".to_owned());
        }
        Ok(Self { points: points.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect() })
    }
}
