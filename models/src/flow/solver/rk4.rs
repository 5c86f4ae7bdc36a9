//! The Runge-Kutta method of the 3/8 rule.

use candle_core::Tensor;

use super::{Solver, SolverKind, Span, Walk};
use crate::Result;

pub(super) const KIND: SolverKind = SolverKind {
    name: "rk4",
    about: "four velocities a step in the 3/8 rule, order 4",
    parameters: &[],
    build: |_| Box::new(RungeKutta4),
};

/// Velocities at 0, 1/3, 2/3 and 1 of a step, weighted 1/8, 3/8, 3/8 and 1/8: order 4.
///
/// Source: `rk4_alt_step_func` of torchdiffeq 0.2.5 `rk_common.py`, which is its `rk4`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RungeKutta4;

impl Solver for RungeKutta4 {
    fn solve(&self, walk: &mut Walk<'_>) -> Result<Tensor> {
        walk.each_span(|walk, latent, span| {
            let first = walk.velocity(latent, span.start)?;
            step(walk, latent, span, &first)
        })
    }
}

/// A step whose first velocity is known.
pub(super) fn step(walk: &mut Walk<'_>, latent: &Tensor, span: &Span, first: &Tensor) -> Result<Tensor> {
    let (state, length) = (walk.precision(), span.length);
    let moved = state.moved(latent, first, &[length, 1.0 / 3.0])?;
    let second = walk.velocity(&moved, span.at(1.0, 3.0))?;
    let change = state.difference(&second, &state.scaled(first, &[1.0 / 3.0])?)?;
    let third = walk.velocity(&state.moved(latent, &change, &[length])?, span.at(2.0, 3.0))?;
    let change = state.sum(&state.difference(first, &second)?, &third)?;
    let fourth = walk.velocity(&state.moved(latent, &change, &[length])?, span.end)?;
    let middle = state.scaled(&state.sum(&second, &third)?, &[3.0])?;
    let all = state.sum(&state.sum(first, &middle)?, &fourth)?;
    state.moved(latent, &all, &[length, 0.125])
}
