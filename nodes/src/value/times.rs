//! The times a sampler stops at.

use lumina_engine::Domain;

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
}
