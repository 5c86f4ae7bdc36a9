//! The times a sampler stops at.

use lumina_engine::{Digest, Digester, Domain, Storable, World};

/// Points from 0 (noise) to 1 (data): one more than there are steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Times {
    /// Rising.
    pub points: Vec<f64>,
    /// What the network is told at each point but the last, where that is another time.
    pub told: Option<Vec<f64>>,
}

impl Times {
    /// The number of steps.
    pub fn steps(&self) -> usize {
        self.points.len().saturating_sub(1)
    }

    /// All numbers; no time is a NaN, which stands before what the network is told.
    fn bytes(&self) -> Vec<u8> {
        let told = self.told.iter().flat_map(|told| std::iter::once(&f64::NAN).chain(told));
        self.points.iter().chain(told).flat_map(|number| number.to_le_bytes()).collect()
    }
}

impl Domain for Times {
    const NAME: &'static str = "Times";

    fn byte_size(&self) -> u64 {
        self.bytes().len() as u64
    }

    fn digest(&self) -> Option<Digest> {
        Some(Digester::new(Self::NAME).part(&self.bytes()).finish())
    }
}

impl Storable for Times {
    fn store(&self) -> Result<Vec<u8>, String> {
        Ok(self.bytes())
    }

    fn restore(bytes: &[u8], _: &dyn World) -> Result<Self, String> {
        let (points, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err("a part of a number is left".to_owned());
        }
        let mut numbers = points.iter().map(|bytes| f64::from_le_bytes(*bytes));
        let points = numbers.by_ref().take_while(|number| !number.is_nan()).collect();
        let told: Vec<f64> = numbers.collect();
        Ok(Self { points, told: Some(told).filter(|told| !told.is_empty()) })
    }
}
