//! The midpoint rule.

use candle_core::Tensor;

use super::{Solver, SolverKind, Walk};
use crate::Result;

pub(super) const KIND: SolverKind = SolverKind {
    name: "midpoint",
    about: "two velocities a step, the second halfway, order 2",
    parameters: &[],
    build: |_| Box::new(Midpoint),
};

/// The velocity halfway between two points of the grid, reached with Euler's method: order 2.
///
/// Source: `Midpoint` of torchdiffeq 0.2.5 `fixed_grid.py`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Midpoint;

impl Solver for Midpoint {
    fn solve(&self, walk: &mut Walk<'_>) -> Result<Tensor> {
        let state = walk.precision();
        walk.each_span(|walk, latent, span| {
            let first = walk.velocity(latent, span.start)?;
            let middle = state.moved(latent, &first, &[0.5 * span.length])?;
            let second = walk.velocity(&middle, span.at(1.0, 2.0))?;
            state.moved(latent, &second, &[span.length])
        })
    }
}
