//! Solvers: how a latent follows a velocity along a grid of times.
//!
//! A solver is a type with a [`Solver::solve`] and a [`SolverKind`] that names it. One of the built-in ones is a file here
//! and a line in [`BUILT_IN`]; one from elsewhere is added to a [`Solvers`] with [`Kinds::with`].

use std::fmt;
use std::ops::ControlFlow;

use candle_core::Tensor;

use super::kinds::{Kind, Kinds};
use crate::{ModelError, Result};

mod adams;
mod adaptive_heun;
mod bosh3;
mod dopri5;
mod dopri8;
mod dpm;
mod dpm_single;
mod embedded;
mod euler;
mod fehlberg2;
mod heun2;
mod heun3;
mod heun_flow;
mod lambda;
mod lcm;
mod midpoint;
mod precision;
mod rk4;
mod rk4_classic;
mod rk4_torchdyn;
mod sde;
mod unipc;
mod walk;

pub use adams::{Adams, Corrections};
pub use dpm::Dpm;
pub use dpm_single::DpmSingle;
pub use embedded::{Embedded, Tableau};
pub use euler::Euler;
pub use heun_flow::HeunFlow;
pub use heun2::Heun2;
pub use heun3::Heun3;
pub use lcm::Lcm;
pub use midpoint::Midpoint;
pub use precision::StatePrecision;
pub use rk4::RungeKutta4;
pub use rk4_classic::ClassicRungeKutta4;
pub use rk4_torchdyn::TorchdynRungeKutta4;
pub use sde::{LastStep, Sde};
pub use unipc::UniPc;
pub use walk::{Span, Step, Walk};

/// A way of solving `dx/dt = velocity(x, t)`.
pub trait Solver: fmt::Debug + Send + Sync {
    /// Goes along the grid of `walk`, calls [`Walk::reach`] at each of its points but the first and ends where that
    /// says so. Returns the last state.
    ///
    /// # Errors
    /// Those of [`Walk::velocity`], and what the solver itself refuses.
    fn solve(&self, walk: &mut Walk<'_>) -> Result<Tensor>;
}

/// A kind of solver.
pub type SolverKind = Kind<dyn Solver>;

/// All kinds of solvers that can be asked for by name.
pub type Solvers = Kinds<dyn Solver>;

/// The registration: one line a kind.
const BUILT_IN: &[SolverKind] = &[
    euler::KIND,
    midpoint::KIND,
    heun2::KIND,
    heun3::KIND,
    rk4::KIND,
    rk4_classic::KIND,
    rk4_torchdyn::KIND,
    adaptive_heun::KIND,
    fehlberg2::KIND,
    bosh3::KIND,
    dopri5::KIND,
    dopri8::KIND,
    adams::EXPLICIT,
    adams::IMPLICIT,
    heun_flow::KIND,
    dpm::SECOND,
    dpm::THIRD,
    dpm_single::KIND,
    unipc::KIND,
    dpm::STOCHASTIC,
    lcm::KIND,
    sde::KIND,
];

impl Solvers {
    /// Those of this crate.
    pub fn built_in() -> Self {
        Self::of("solver", BUILT_IN)
    }
}

/// Where a solver ended.
#[derive(Clone, Debug)]
pub struct Solution {
    /// The last state.
    pub latent: Tensor,
    /// Steps along the grid that were made.
    pub steps: usize,
    /// Velocities that were asked for.
    pub evaluations: usize,
    /// Steps that an adaptive solver made anew because their error was too large.
    pub rejected: usize,
    /// Whether the observer stopped it before the last step.
    pub stopped: bool,
}

/// A source of standard normal numbers: called with the state, whose shape, number format and device they must have.
pub type NoiseSource<'a> = &'a mut dyn FnMut(&Tensor) -> Result<Tensor>;

/// An integration before it runs.
pub struct Integration<'a> {
    solver: &'a dyn Solver,
    times: &'a [f64],
    precision: StatePrecision,
    noise: Option<NoiseSource<'a>>,
}

impl<'a> Integration<'a> {
    /// With `solver` along `times`, which are two or more that rise.
    pub fn new(solver: &'a dyn Solver, times: &'a [f64]) -> Self {
        Self { solver, times, precision: StatePrecision::Full, noise: None }
    }

    /// With states that are rounded.
    #[must_use]
    pub fn with_precision(mut self, precision: StatePrecision) -> Self {
        self.precision = precision;
        self
    }

    /// With noise for a stochastic solver.
    #[must_use]
    pub fn with_noise(mut self, noise: NoiseSource<'a>) -> Self {
        self.noise = Some(noise);
        self
    }

    /// Follows `velocity` from `latent`; `observe` is called at every point of the grid but the first and may stop.
    ///
    /// # Errors
    /// [`ModelError::Input`] for less than two times or times that do not rise; those of
    /// `velocity` and of the solver.
    pub fn run(
        self,
        latent: &Tensor,
        mut velocity: impl FnMut(&Tensor, f64) -> Result<Tensor>,
        mut observe: impl FnMut(Step<'_>) -> ControlFlow<()>,
    ) -> Result<Solution> {
        let mut source = self.noise;
        let mut noise = |latent: &Tensor| match &mut source {
            Some(source) => source(latent),
            None => Err(ModelError::input("the noise of a stochastic solver", "a source", "missing")),
        };
        let calls = walk::Calls { velocity: &mut velocity, observe: &mut observe, noise: &mut noise };
        let mut walk = Walk::new(latent, self.times, self.precision, calls)?;
        let latent = self.solver.solve(&mut walk)?;
        let (steps, evaluations, rejected, stopped) =
            (walk.reached, walk.evaluations, walk.rejected, walk.stopped);
        Ok(Solution { latent, steps, evaluations, rejected, stopped })
    }
}

/// [`Integration::run`] in full precision and without noise.
///
/// # Errors
/// As [`Integration::run`].
pub fn integrate(
    solver: &dyn Solver,
    latent: &Tensor,
    times: &[f64],
    velocity: impl FnMut(&Tensor, f64) -> Result<Tensor>,
    observe: impl FnMut(Step<'_>) -> ControlFlow<()>,
) -> Result<Solution> {
    Integration::new(solver, times).run(latent, velocity, observe)
}

#[cfg(test)]
mod tests;
