//! Euler's method.

use candle_core::Tensor;

use super::{Solver, SolverKind, Walk};
use crate::Result;

pub(super) const KIND: SolverKind = SolverKind {
    name: "euler",
    about: "one velocity a step, order 1",
    parameters: &[],
    build: |_| Box::new(Euler),
};

/// `x + length * velocity(x, start)`: one velocity a step, order 1.
///
/// Source: `Euler` of torchdiffeq 0.2.5 `fixed_grid.py`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Euler;

impl Solver for Euler {
    fn solve(&self, walk: &mut Walk<'_>) -> Result<Tensor> {
        let state = walk.precision();
        walk.each_span(|walk, latent, span| {
            let velocity = walk.velocity(latent, span.start)?;
            state.moved(latent, &velocity, &[span.length])
        })
    }
}
