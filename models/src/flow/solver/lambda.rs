//! What the solvers share that go by the logarithm of the ratio of data to noise.

use candle_core::Tensor;

use super::Walk;
use crate::Result;

/// A point of the grid, seen by those solvers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    /// The share of data.
    pub(super) alpha: f64,
    /// The share of noise.
    pub(super) sigma: f64,
    /// `ln(alpha / sigma)`: minus infinity where all is noise, infinity where all is data.
    pub(super) lambda: f64,
}

impl Level {
    pub(super) fn at(time: f64) -> Self {
        let (alpha, sigma) = (time, 1.0 - time);
        Self { alpha, sigma, lambda: alpha.ln() - sigma.ln() }
    }
}

/// The data that the velocity at `latent` leads to.
pub(super) fn data(walk: &mut Walk<'_>, latent: &Tensor, time: f64) -> Result<Tensor> {
    let velocity = walk.velocity(latent, time)?;
    Ok((latent + (velocity * (1.0 - time))?)?)
}
