//! Steps to the data and back to a little less noise.

use candle_core::Tensor;

use super::lambda::data;
use super::{Solver, SolverKind, Walk};
use crate::Result;

pub(super) const KIND: SolverKind = SolverKind {
    name: "lcm",
    about: "jumps to the data and adds fresh noise for the next time: for distilled networks",
    parameters: &[],
    build: |_| Box::new(Lcm),
};

/// `t' data + (1 - t') noise`, with the data that the velocity leads to and fresh noise.
///
/// Source: `FlowMatchLCMScheduler` of diffusers 0.42.1, and `FlowMatchEulerDiscreteScheduler` with `stochastic_sampling`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lcm;

impl Solver for Lcm {
    fn solve(&self, walk: &mut Walk<'_>) -> Result<Tensor> {
        walk.full_precision("lcm")?;
        walk.each_span(|walk, latent, span| {
            let found = data(walk, latent, span.start)?;
            // Drawn in the last step as well, where it counts for nothing.
            let noise = walk.noise()?;
            Ok(((found * span.end)? + (noise * (1.0 - span.end))?)?)
        })
    }
}
