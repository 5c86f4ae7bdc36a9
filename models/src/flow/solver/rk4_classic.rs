//! The classic Runge-Kutta method.

use candle_core::Tensor;

use super::{Solver, SolverKind, Walk};
use crate::Result;

pub(super) const KIND: SolverKind = SolverKind {
    name: "rk4_classic",
    about: "four velocities a step, two of them halfway, order 4",
    parameters: &[],
    build: |_| Box::new(ClassicRungeKutta4),
};

/// Velocities at 0, 1/2, 1/2 and 1 of a step, weighted 1/6, 1/3, 1/3 and 1/6: order 4.
///
/// Source: `rk4_step_func` of torchdiffeq 0.2.5 `rk_common.py`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassicRungeKutta4;

impl Solver for ClassicRungeKutta4 {
    fn solve(&self, walk: &mut Walk<'_>) -> Result<Tensor> {
        let state = walk.precision();
        walk.each_span(|walk, latent, span| {
            let (length, half, middle) = (span.length, 0.5 * span.length, span.at(1.0, 2.0));
            let first = walk.velocity(latent, span.start)?;
            let second = walk.velocity(&state.moved(latent, &first, &[half])?, middle)?;
            let third = walk.velocity(&state.moved(latent, &second, &[half])?, middle)?;
            let fourth = walk.velocity(&state.moved(latent, &third, &[length])?, span.end)?;
            let inner = state.scaled(&state.sum(&second, &third)?, &[2.0])?;
            let all = state.sum(&state.sum(&first, &inner)?, &fourth)?;
            state.moved(latent, &all, &[length, 1.0 / 6.0])
        })
    }
}
