//! What a solver asks for and what it tells while it goes along a grid.

use std::ops::ControlFlow;

use candle_core::{DType, Tensor};

use super::StatePrecision;
use crate::{ModelError, Result};

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

/// From one point of the grid to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Counted from 0.
    pub index: usize,
    /// Where it begins.
    pub start: f64,
    /// Where it ends.
    pub end: f64,
    /// `end - start`.
    pub length: f64,
    precision: StatePrecision,
}

impl Span {
    /// The time at `numerator / denominator` of the way.
    pub fn at(&self, numerator: f64, denominator: f64) -> f64 {
        match self.precision {
            StatePrecision::Full => self.start + numerator * self.length / denominator,
            StatePrecision::Bfloat16 => {
                let share = (numerator / denominator) as f32;
                f64::from(self.start as f32 + share * self.length as f32)
            }
        }
    }
}

/// The functions that a walk calls.
pub(super) struct Calls<'a> {
    pub(super) velocity: &'a mut dyn FnMut(&Tensor, f64) -> Result<Tensor>,
    pub(super) observe: &'a mut dyn FnMut(Step<'_>) -> ControlFlow<()>,
    pub(super) noise: &'a mut dyn FnMut(&Tensor) -> Result<Tensor>,
}

/// One integration: a solver gets velocities and noise here, and reports what it reached.
pub struct Walk<'a> {
    start: Tensor,
    times: Vec<f64>,
    precision: StatePrecision,
    calls: Calls<'a>,
    pub(super) evaluations: usize,
    pub(super) rejected: usize,
    pub(super) reached: usize,
    pub(super) stopped: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        latent: &Tensor,
        times: &[f64],
        precision: StatePrecision,
        calls: Calls<'a>,
    ) -> Result<Self> {
        let clock: Vec<f64> = times.iter().map(|&time| precision.clock(time)).collect();
        let rises = clock.windows(2).all(|pair| matches!(pair, [start, end] if start < end));
        if clock.len() < 2 || !rises || clock.iter().any(|time| !time.is_finite()) {
            return Err(ModelError::input("the times", "two or more that rise", format!("{times:?}")));
        }
        let start = precision.rounded(latent.clone())?;
        let (evaluations, rejected, reached, stopped) = (0, 0, 0, false);
        Ok(Self { start, times: clock, precision, calls, evaluations, rejected, reached, stopped })
    }

    /// Where it begins.
    pub fn start(&self) -> &Tensor {
        &self.start
    }

    /// The grid: two or more times that rise.
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// The parts of the grid.
    pub fn spans(&self) -> Vec<Span> {
        let precision = self.precision;
        let pairs = self.times.windows(2).enumerate();
        pairs
            .filter_map(|(index, pair)| match *pair {
                [start, end] => {
                    let length = precision.clock(end - start);
                    Some(Span { index, start, end, length, precision })
                }
                _ => None,
            })
            .collect()
    }

    /// How states are rounded; its methods are the arithmetic of a step.
    pub fn precision(&self) -> StatePrecision {
        self.precision
    }

    /// For a solver that has no form in which states are rounded.
    ///
    /// # Errors
    /// [`ModelError::Input`] when they are to be.
    pub fn full_precision(&self, solver: &str) -> Result<()> {
        match self.precision {
            StatePrecision::Full => Ok(()),
            StatePrecision::Bfloat16 => {
                let what = format!("the precision of the state of `{solver}`");
                Err(ModelError::input(what, "full precision", "bfloat16"))
            }
        }
    }

    /// The velocity at a state and a time.
    ///
    /// # Errors
    /// Those of the field; [`ModelError::Input`] for a velocity of another shape.
    pub fn velocity(&mut self, latent: &Tensor, time: f64) -> Result<Tensor> {
        self.evaluations += 1;
        let velocity = (self.calls.velocity)(latent, self.precision.told(time))?;
        if velocity.dims() != latent.dims() {
            let (expected, found) = (format!("{:?}", latent.dims()), format!("{:?}", velocity.dims()));
            return Err(ModelError::input("the shape of the velocity", expected, found));
        }
        self.precision.rounded(velocity)
    }

    /// The next tensor of standard normal numbers, in the shape of the state.
    ///
    /// # Errors
    /// [`ModelError::Input`] when the integration was given no noise or noise of another shape; those of the source.
    pub fn noise(&mut self) -> Result<Tensor> {
        let expected = self.start.dims();
        let drawn = (self.calls.noise)(&self.start)?;
        if drawn.dims() != expected {
            let found = format!("{:?}", drawn.dims());
            return Err(ModelError::input("the shape of the noise", format!("{expected:?}"), found));
        }
        self.precision.rounded(drawn)
    }

    /// Notes that a step was made anew because its error was too large.
    pub fn reject(&mut self) {
        self.rejected += 1;
    }

    /// Tells the observer the state at the next point of the grid; the solver must end when this is true.
    ///
    /// # Errors
    /// Those of the device.
    pub fn reach(&mut self, latent: &Tensor) -> Result<bool> {
        let (index, steps) = (self.reached, self.times.len() - 1);
        let time = self.times.get(index + 1).copied().unwrap_or(1.0);
        self.reached += 1;
        let stop = (self.calls.observe)(Step { index, steps, time, latent }).is_break();
        self.stopped = stop && self.reached < steps;
        Ok(stop)
    }

    /// Makes one step along each part of the grid.
    ///
    /// # Errors
    /// Those of `step`.
    pub fn each_span(
        &mut self,
        mut step: impl FnMut(&mut Self, &Tensor, &Span) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let mut latent = self.start.clone();
        for span in self.spans() {
            latent = step(self, &latent, &span)?;
            if self.reach(&latent)? {
                break;
            }
        }
        Ok(latent)
    }

    /// As the state holds it: time in the number format of the state.
    pub(super) fn narrow(&self, time: f64) -> f64 {
        if self.start.dtype() == DType::F64 { time } else { f64::from(time as f32) }
    }
}
