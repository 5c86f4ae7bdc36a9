//! Heun's method as diffusers has it.

use candle_core::Tensor;

use super::{Solver, SolverKind, Walk};
use crate::Result;

pub(super) const KIND: SolverKind = SolverKind {
    name: "heun_diffusers",
    about: "heun2, but Euler's method in the last step",
    parameters: &[],
    build: |_| Box::new(HeunFlow),
};

/// [`Heun2`](super::Heun2), whose last step is one of Euler's: one velocity less.
///
/// Source: `FlowMatchHeunDiscreteScheduler` of diffusers 0.42.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeunFlow;

impl Solver for HeunFlow {
    fn solve(&self, walk: &mut Walk<'_>) -> Result<Tensor> {
        let (state, steps) = (walk.precision(), walk.times().len() - 1);
        walk.each_span(|walk, latent, span| {
            let first = walk.velocity(latent, span.start)?;
            let moved = state.moved(latent, &first, &[span.length])?;
            if span.index + 1 == steps {
                return Ok(moved);
            }
            let second = walk.velocity(&moved, span.end)?;
            state.moved(latent, &state.sum(&first, &second)?, &[0.5, span.length])
        })
    }
}
