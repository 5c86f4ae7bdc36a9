//! Heun's method of order 3.

use candle_core::Tensor;

use super::{Solver, SolverKind, Walk};
use crate::Result;

pub(super) const KIND: SolverKind = SolverKind {
    name: "heun3",
    about: "three velocities a step, order 3",
    parameters: &[],
    build: |_| Box::new(Heun3),
};

/// Velocities at 0, 1/3 and 2/3 of a step, weighted 1/4, 0 and 3/4: order 3.
///
/// Source: `Heun3` of torchdiffeq 0.2.5 `fixed_grid.py`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heun3;

impl Solver for Heun3 {
    fn solve(&self, walk: &mut Walk<'_>) -> Result<Tensor> {
        let state = walk.precision();
        walk.each_span(|walk, latent, span| {
            let length = span.length;
            let first = walk.velocity(latent, span.start)?;
            let moved = state.moved(latent, &first, &[length, 1.0 / 3.0])?;
            let second = walk.velocity(&moved, span.at(1.0, 3.0))?;
            let moved = state.moved(latent, &second, &[2.0 / 3.0, length])?;
            let third = walk.velocity(&moved, span.at(2.0, 3.0))?;
            let mean = state.sum(&state.scaled(&first, &[0.25])?, &state.scaled(&third, &[0.75])?)?;
            state.moved(latent, &mean, &[length])
        })
    }
}
