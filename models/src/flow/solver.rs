//! Solvers with fixed steps.

use std::ops::ControlFlow;

use candle_core::Tensor;

use crate::{ModelError, Result};

/// A solver.
///
/// Source: the fixed-grid solvers of torchdiffeq that Lumina-T2X `transport/integrators.py` calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Solver {
    /// One velocity a step.
    Euler,
    /// Two velocities a step, the second halfway between the grid points.
    Midpoint,
    /// Two velocities a step, at both ends (`heun2`).
    Heun,
    /// Four velocities a step, in the 3/8 rule (`rk4`).
    RungeKutta,
}

impl Solver {
    /// Velocities asked for in each step.
    pub fn evaluations(self) -> usize {
        match self {
            Self::Euler => 1,
            Self::Midpoint | Self::Heun => 2,
            Self::RungeKutta => 4,
        }
    }

    fn step(
        self,
        latent: &Tensor,
        (start, end): (f64, f64),
        velocity: &mut dyn FnMut(&Tensor, f64) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let length = end - start;
        let first = velocity(latent, start)?;
        let moved =
            |sum: &Tensor, factor: f64| -> Result<Tensor> { Ok((latent + (sum * (length * factor))?)?) };
        match self {
            Self::Euler => moved(&first, 1.0),
            Self::Midpoint => {
                let middle = velocity(&moved(&first, 0.5)?, start + 0.5 * length)?;
                moved(&middle, 1.0)
            }
            Self::Heun => {
                let last = velocity(&moved(&first, 1.0)?, end)?;
                moved(&(first + last)?, 0.5)
            }
            Self::RungeKutta => {
                let second = velocity(&moved(&first, 1.0 / 3.0)?, start + length / 3.0)?;
                let third =
                    velocity(&moved(&(&second - (&first / 3.0)?)?, 1.0)?, start + 2.0 * length / 3.0)?;
                let fourth = velocity(&moved(&((&first - &second)? + &third)?, 1.0)?, end)?;
                let middle = ((second + third)? * 3.0)?;
                moved(&((first + middle)? + fourth)?, 0.125)
            }
        }
    }
}

/// What an observer sees after a step.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Counted from 0.
    pub index: usize,
    /// Number of steps in all.
    pub steps: usize,
    /// The time that was reached.
    pub time: f64,
    /// The state at that time.
    pub latent: &'a Tensor,
}

/// Where a solver ended.
#[derive(Clone, Debug)]
pub struct Solution {
    /// The last state.
    pub latent: Tensor,
    /// Steps that were made.
    pub steps: usize,
    /// Whether the observer stopped it before the last step.
    pub stopped: bool,
}

/// Follows `velocity` from `latent` along `times`; `observe` is called after every step and may stop.
///
/// # Errors
/// [`ModelError::Input`] for less than two times or times that do not rise, and those of `velocity`.
pub fn integrate(
    solver: Solver,
    latent: &Tensor,
    times: &[f64],
    mut velocity: impl FnMut(&Tensor, f64) -> Result<Tensor>,
    mut observe: impl FnMut(Step<'_>) -> ControlFlow<()>,
) -> Result<Solution> {
    let steps = times.len().saturating_sub(1);
    let rises = times.windows(2).all(|pair| matches!(pair, [start, end] if start < end));
    if steps == 0 || !rises {
        return Err(ModelError::input("the times", "two or more that rise", format!("{times:?}")));
    }
    let mut state = latent.clone();
    for (index, pair) in times.windows(2).enumerate() {
        let &[start, end] = pair else { continue };
        state = solver.step(&state, (start, end), &mut velocity)?;
        let step = Step { index, steps, time: end, latent: &state };
        if observe(step).is_break() {
            return Ok(Solution { latent: state, steps: index + 1, stopped: index + 1 < steps });
        }
    }
    Ok(Solution { latent: state, steps, stopped: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// dx/dt = x from 1: the exact end is e.
    fn error_of(solver: Solver, points: usize) -> f64 {
        let start = Tensor::new(&[1.0_f64], &Device::Cpu).unwrap();
        let times = super::super::uniform(points).unwrap();
        let solution =
            integrate(solver, &start, &times, |x, _| Ok(x.clone()), |_| ControlFlow::Continue(())).unwrap();
        (solution.latent.to_vec1::<f64>().unwrap()[0] - 1.0_f64.exp()).abs()
    }

    #[test]
    fn each_solver_has_its_order() {
        let orders = [(Solver::Euler, 1), (Solver::Midpoint, 2), (Solver::Heun, 2), (Solver::RungeKutta, 4)];
        for (solver, order) in orders {
            let gain = error_of(solver, 11) / error_of(solver, 21);
            let expected = 2.0_f64.powi(order);
            assert!((gain / expected - 1.0).abs() < 0.15, "{solver:?}: {gain}");
        }
    }

    #[test]
    fn the_observer_can_stop() {
        let start = Tensor::new(&[0.0_f32], &Device::Cpu).unwrap();
        let stop =
            |step: Step<'_>| if step.index == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let solution =
            integrate(Solver::Euler, &start, &[0.0, 0.25, 0.5, 1.0], |x, _| Ok(x.ones_like()?), stop)
                .unwrap();
        assert_eq!((solution.steps, solution.stopped), (2, true));
        assert_eq!(solution.latent.to_vec1::<f32>().unwrap(), [0.5]);
    }

    #[test]
    fn falling_times_are_refused() {
        let start = Tensor::new(&[0.0_f32], &Device::Cpu).unwrap();
        let result = integrate(
            Solver::Euler,
            &start,
            &[1.0, 0.0],
            |x, _| Ok(x.clone()),
            |_| ControlFlow::Continue(()),
        );
        assert!(matches!(result, Err(ModelError::Input { .. })));
    }
}
