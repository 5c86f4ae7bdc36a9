//! Heun's method of order 2.

use candle_core::Tensor;

use super::{Solver, SolverKind, Walk};
use crate::Result;

pub(super) const KIND: SolverKind = SolverKind {
    name: "heun2",
    about: "two velocities a step, at both ends, order 2",
    parameters: &[],
    build: |_| Box::new(Heun2),
};

/// The mean of the velocities at both ends of a step, the far one reached with Euler's method: order 2.
///
/// Source: `Heun2` of torchdiffeq 0.2.5 `fixed_grid.py`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heun2;

impl Solver for Heun2 {
    fn solve(&self, walk: &mut Walk<'_>) -> Result<Tensor> {
        let state = walk.precision();
        walk.each_span(|walk, latent, span| {
            let first = walk.velocity(latent, span.start)?;
            let second = walk.velocity(&state.moved(latent, &first, &[span.length])?, span.end)?;
            state.moved(latent, &state.sum(&first, &second)?, &[0.5, span.length])
        })
    }
}
