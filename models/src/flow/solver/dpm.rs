//! DPM-Solver++, in the form that takes velocities of steps before.

use std::collections::VecDeque;

use candle_core::Tensor;

use super::super::kinds::Parameter;
use super::lambda::{Level, data};
use super::{Solver, SolverKind, Walk};
use crate::Result;

const FORM: Parameter = Parameter::choice("form", "how the second order is made", &["midpoint", "heun"]);

pub(super) const SECOND: SolverKind = SolverKind {
    name: "dpmpp_2m",
    about: "DPM-Solver++ of order 2: one velocity a step and that of the step before",
    parameters: &[FORM],
    build: |settings| {
        let heun = settings.word("form") == "heun";
        Box::new(Dpm { order: 2, heun, stochastic: false })
    },
};

pub(super) const THIRD: SolverKind = SolverKind {
    name: "dpmpp_3m",
    about: "DPM-Solver++ 3M as in diffusers: one velocity a step and those of two steps before, order 2",
    parameters: &[],
    build: |_| Box::new(Dpm { order: 3, heun: false, stochastic: false }),
};

pub(super) const STOCHASTIC: SolverKind = SolverKind {
    name: "dpmpp_2m_sde",
    about: "DPM-Solver++ of order 2 with fresh noise in every step",
    parameters: &[FORM],
    build: |settings| {
        let heun = settings.word("form") == "heun";
        Box::new(Dpm { order: 2, heun, stochastic: true })
    },
};

/// Below this number of steps the last but one is of order 2 at most, and the last of order 1.
const FEW: usize = 15;

/// Follows the data that velocities lead to, in `lambda = ln(t / (1 - t))`.
///
/// The first step is of order 1; so is the last one where it ends at data or where there are less than 15 steps.
///
/// With three velocities the weight of the bend is half of what the integral gives, there and so here: the order stays 2.
///
/// Source: `DPMSolverMultistepScheduler` of diffusers 0.42.1 with `use_flow_sigmas` and `flow_prediction`. Its grids do not
/// touch time 0; from there the first two steps are of order 1 here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dpm {
    /// Velocities that a step is made of, 1 to 3.
    pub order: usize,
    /// The second order in the form of Heun's method in place of the midpoint rule.
    pub heun: bool,
    /// With fresh noise in every step; up to order 2.
    pub stochastic: bool,
}

impl Dpm {
    /// Which order the step `index` of `steps` has.
    fn order_at(&self, index: usize, steps: usize, ends_at_data: bool) -> usize {
        let left = steps - index;
        let possible = if left == 1 && (ends_at_data || steps < FEW) {
            1
        } else if left == 2 && steps < FEW {
            2
        } else {
            3
        };
        self.order.min(possible).min(index + 1)
    }
}

impl Solver for Dpm {
    fn solve(&self, walk: &mut Walk<'_>) -> Result<Tensor> {
        walk.full_precision("dpmpp")?;
        let steps = walk.times().len() - 1;
        let ends_at_data = walk.times().last().is_some_and(|&time| time >= 1.0);
        // The newest first.
        let mut history: VecDeque<(Level, Tensor)> = VecDeque::new();
        walk.each_span(|walk, latent, span| {
            let (from, to) = (Level::at(span.start), Level::at(span.end));
            history.push_front((from, data(walk, latent, span.start)?));
            history.truncate(3);
            let order = self.order_at(span.index, steps, ends_at_data);
            let length = to.lambda - from.lambda;
            // Twice as fast where noise is added.
            let speed = if self.stochastic { 2.0 } else { 1.0 };
            let decay = (-speed * length).exp_m1();
            let kept = to.sigma / from.sigma * if self.stochastic { (-length).exp() } else { 1.0 };
            let mut moved = (latent * kept)?;
            let differences = Differences::of(&history, order, length)?;
            moved = (moved - (&differences.value * (to.alpha * decay))?)?;
            if let Some(slope) = &differences.slope {
                let weight = if self.heun || differences.bend.is_some() {
                    to.alpha * (decay / (speed * length) + 1.0)
                } else {
                    -0.5 * to.alpha * decay
                };
                moved = (moved + (slope * weight)?)?;
            }
            if let Some(bend) = &differences.bend {
                let weight = to.alpha * ((decay + length) / (length * length) - 0.5);
                moved = (moved - (bend * weight)?)?;
            }
            if self.stochastic {
                let strength = to.sigma * (-(-2.0 * length).exp_m1()).sqrt();
                moved = (moved + (walk.noise()? * strength)?)?;
            }
            Ok(moved)
        })
    }
}

/// The data, and how it changes and bends along a step, as the steps before tell.
struct Differences {
    value: Tensor,
    slope: Option<Tensor>,
    bend: Option<Tensor>,
}

impl Differences {
    fn of(history: &VecDeque<(Level, Tensor)>, order: usize, length: f64) -> Result<Self> {
        let mut known = history.iter().take(order);
        let Some((at, value)) = known.next() else {
            return Err(crate::ModelError::input("the history of the solver", "at least one value", "none"));
        };
        let (Some((before, second)), rest) = (known.next(), known.next()) else {
            return Ok(Self { value: value.clone(), slope: None, bend: None });
        };
        // Infinite where the step before began at time 0: then it tells nothing.
        let near = (at.lambda - before.lambda) / length;
        let slope = ((value - second)? / near)?;
        let Some((earlier, third)) = rest else {
            return Ok(Self { value: value.clone(), slope: Some(slope), bend: None });
        };
        let far = (before.lambda - earlier.lambda) / length;
        let change = (&slope - ((second - third)? / far)?)?;
        let bend = (&change / (near + far))?;
        let slope = (slope + (change * (near / (near + far)))?)?;
        Ok(Self { value: value.clone(), slope: Some(slope), bend: Some(bend) })
    }
}
