//! The Runge-Kutta method of torchdyn.

use candle_core::Tensor;

use super::{Solver, SolverKind, Walk};
use crate::Result;

pub(super) const KIND: SolverKind = SolverKind {
    name: "rk4_torchdyn",
    about: "rk4_classic with the times of torchdyn, one stage late; order 1 where the velocity depends on time",
    parameters: &[],
    build: |_| Box::new(TorchdynRungeKutta4),
};

/// The classic method, whose stages are told the times 0, 0, 1/2 and 1/2 of a step in place of 0, 1/2, 1/2 and 1.
///
/// A slip of that package, which the solver `rk4` of Lumina-T2X audio has: of order 4 only where the velocity does not
/// depend on time.
///
/// Source: `RungeKutta4` of torchdyn 1.0.6 `numerics/solvers/ode.py`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TorchdynRungeKutta4;

impl Solver for TorchdynRungeKutta4 {
    fn solve(&self, walk: &mut Walk<'_>) -> Result<Tensor> {
        let state = walk.precision();
        walk.each_span(|walk, latent, span| {
            let (length, half, middle) = (span.length, 0.5 * span.length, span.at(1.0, 2.0));
            let first = walk.velocity(latent, span.start)?;
            let second = walk.velocity(&state.moved(latent, &first, &[half])?, span.start)?;
            let third = walk.velocity(&state.moved(latent, &second, &[half])?, middle)?;
            let fourth = walk.velocity(&state.moved(latent, &third, &[length])?, middle)?;
            let outer = state.scaled(&state.sum(&first, &fourth)?, &[1.0 / 6.0])?;
            let inner = state.scaled(&state.sum(&second, &third)?, &[1.0 / 3.0])?;
            state.moved(latent, &state.sum(&outer, &inner)?, &[length])
        })
    }
}
