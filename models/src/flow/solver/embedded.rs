//! Runge-Kutta methods that choose their steps themselves.

use candle_core::{DType, Tensor};

use super::super::kinds::{Checked, Parameter};
use super::{Solver, Walk};
use crate::{ModelError, Result};

/// The coefficients of a method with an estimate of its error.
#[derive(Debug)]
pub struct Tableau {
    /// The name of the method.
    pub name: &'static str,
    /// The order that steps are chosen by.
    pub order: i32,
    /// Where each stage but the first is, in parts of a step.
    pub nodes: &'static [f64],
    /// For each stage but the first, the weights of the velocities before it.
    pub stages: &'static [&'static [f64]],
    /// The weights of the velocities in the result.
    pub weights: &'static [f64],
    /// The weights of the velocities in the estimate of the error.
    pub error: &'static [f64],
    /// The weights of the velocities in the state halfway, for values between the ends of a step.
    pub middle: &'static [f64],
}

/// The settings of every method of this sort.
pub(super) const PARAMETERS: &[Parameter] = &[
    Parameter::number("rtol", "allowed error in proportion to the state", 1e-3, 1e-12, 1.0),
    Parameter::number("atol", "allowed error beside that", 1e-6, 1e-12, 1.0),
    Parameter::count("max_steps", "steps after which it gives up", 10_000, 1, 1 << 30),
];

/// A method of a [`Tableau`]. Its steps are as long as the error allows, whatever the grid; a point of the grid gets the
/// value that a polynomial of degree 4 has there.
///
/// The error is the root of the mean square over the whole state, in proportion to `atol + rtol * |x|`. The last step
/// may ask for velocities beyond the end of the grid, and a stage at the end of a step is asked just before it.
///
/// Source: `RKAdaptiveStepsizeODESolver` of torchdiffeq 0.2.5 `rk_common.py`, with its `misc.py` and `interp.py`.
#[derive(Clone, Copy, Debug)]
pub struct Embedded {
    /// The method.
    pub tableau: &'static Tableau,
    /// The allowed error in proportion to the state.
    pub rtol: f64,
    /// The allowed error beside that.
    pub atol: f64,
    /// Steps, also rejected ones, after which it gives up.
    pub max_steps: usize,
}

/// A step that was made: `velocity` is the one at `end`.
struct Reached {
    state: Tensor,
    velocity: Tensor,
    start: f64,
    end: f64,
    /// From the constant term up.
    polynomial: Vec<Tensor>,
}

impl Embedded {
    pub(super) fn from(tableau: &'static Tableau, settings: &Checked<'_>) -> Box<dyn Solver> {
        Box::new(Self {
            tableau,
            rtol: settings.number("rtol"),
            atol: settings.number("atol"),
            max_steps: settings.count("max_steps"),
        })
    }

    /// The length of the first step.
    fn first_length(&self, walk: &mut Walk<'_>, at: &Reached) -> Result<f64> {
        let scale = self.allowed(&at.state, &at.state)?;
        let size = mean_square_root(&at.state, &scale)?;
        let speed = mean_square_root(&at.velocity, &scale)?;
        let tiny = size < 1e-5 || speed < 1e-5;
        let short = if tiny { 1e-6 } else { 0.01 * size / speed };
        let moved = (&at.state + (&at.velocity * short)?)?;
        let time = walk.narrow(at.end + short);
        let change = (walk.velocity(&moved, time)? - &at.velocity)?;
        let bend = mean_square_root(&change, &scale)? / short;
        let length = if speed <= 1e-15 && bend <= 1e-15 {
            (short * 1e-3).max(1e-6)
        } else {
            (0.01 / speed.max(bend)).powf(1.0 / f64::from(self.tableau.order))
        };
        Ok(length.min(100.0 * short))
    }

    /// `atol + rtol * max(|a|, |b|)`, in f64.
    fn allowed(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let largest = a.abs()?.maximum(&b.abs()?)?.to_dtype(DType::F64)?;
        Ok(largest.affine(self.rtol, self.atol)?)
    }

    /// One step, and how large its error is in proportion to what is allowed.
    fn attempt(&self, walk: &mut Walk<'_>, from: &Reached, length: f64) -> Result<(Reached, f64)> {
        let tableau = self.tableau;
        let end = from.end + length;
        let (start, step) = (walk.narrow(from.end), walk.narrow(length));
        let mut velocities = vec![from.velocity.clone()];
        let mut last = from.state.clone();
        for (&node, weights) in tableau.nodes.iter().zip(tableau.stages) {
            let time = if node == 1.0 {
                just_before(walk, end)
            } else {
                walk.narrow(start + walk.narrow(walk.narrow(node) * step))
            };
            last = (&from.state + weighted(walk, &velocities, weights, step)?)?;
            velocities.push(walk.velocity(&last, time)?);
        }
        let same_as_last = tableau.stages.last().is_some_and(|stage| {
            tableau.weights.split_last().is_some_and(|(used, rest)| *used == 0.0 && rest == *stage)
        });
        if !same_as_last {
            last = (&from.state + weighted(walk, &velocities, tableau.weights, step)?)?;
        }
        let error = weighted(walk, &velocities, tableau.error, step)?;
        let ratio = mean_square_root(&error, &self.allowed(&from.state, &last)?)?;
        let middle = (&from.state + weighted(walk, &velocities, tableau.middle, step)?)?;
        let velocity = velocities.pop().unwrap_or_else(|| from.velocity.clone());
        let polynomial = fit(from, &last, &middle, &velocity, step)?;
        Ok((Reached { state: last, velocity, start: from.end, end, polynomial }, ratio))
    }

    /// The length that fits an error, from a tenth of what is allowed to a fifth of the step.
    fn next_length(&self, length: f64, ratio: f64) -> f64 {
        if ratio == 0.0 {
            return 10.0 * length;
        }
        let least = if ratio < 1.0 { 1.0 } else { 0.2 };
        length * (0.9 / ratio.powf(1.0 / f64::from(self.tableau.order))).max(least).min(10.0)
    }

    fn refused(&self, what: &str, expected: String, time: f64) -> ModelError {
        ModelError::input(
            format!("{what} of `{}`", self.tableau.name),
            expected,
            format!("reached at time {time:.6}"),
        )
    }
}

impl Solver for Embedded {
    fn solve(&self, walk: &mut Walk<'_>) -> Result<Tensor> {
        walk.full_precision(self.tableau.name)?;
        let state = walk.start().clone();
        let times = walk.times().to_vec();
        let first = times.first().copied().unwrap_or(0.0);
        let velocity = walk.velocity(&state, first)?;
        let mut at = Reached { polynomial: vec![state.clone()], state, velocity, start: first, end: first };
        let mut length = self.first_length(walk, &at)?;
        let mut attempts = 0;
        let mut latent = at.state.clone();
        for &time in times.iter().skip(1) {
            while time > at.end {
                let grows = length.is_finite() && at.end + length > at.end;
                if attempts == self.max_steps || !grows {
                    let expected = format!("at most {} that time can tell apart", self.max_steps);
                    return Err(self.refused("the number of steps", expected, at.end));
                }
                attempts += 1;
                let (next, ratio) = self.attempt(walk, &at, length)?;
                if !ratio.is_finite() {
                    return Err(self.refused("the error", "a finite number".to_owned(), at.end));
                }
                if ratio <= 1.0 {
                    at = next;
                } else {
                    walk.reject();
                }
                length = self.next_length(length, ratio);
            }
            latent = between(&at, time)?;
            if walk.reach(&latent)? {
                break;
            }
        }
        Ok(latent)
    }
}

/// The time before `time` in the number format of the state.
fn just_before(walk: &Walk<'_>, time: f64) -> f64 {
    if walk.start().dtype() == DType::F64 { time.next_down() } else { f64::from((time as f32).next_down()) }
}

/// `length` times the sum of `velocities` with `weights`.
///
/// The weights are rounded as the reference rounds them: an error of a step is often so small that nothing but rounding is
/// left of it, and decides how long the next step is.
fn weighted(walk: &Walk<'_>, velocities: &[Tensor], weights: &[f64], length: f64) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for (velocity, &weight) in velocities.iter().zip(weights).filter(|(_, weight)| **weight != 0.0) {
        let term = (velocity * walk.narrow(walk.narrow(weight) * length))?;
        sum = Some(match sum {
            Some(sum) => (sum + term)?,
            None => term,
        });
    }
    match (sum, velocities.first()) {
        (Some(sum), _) => Ok(sum),
        (None, Some(velocity)) => Ok(velocity.zeros_like()?),
        (None, None) => Err(ModelError::input("the velocities", "at least one", "none")),
    }
}

fn mean_square_root(tensor: &Tensor, scale: &Tensor) -> Result<f64> {
    let ratio = (tensor.to_dtype(DType::F64)? / scale)?;
    Ok(ratio.sqr()?.mean_all()?.to_scalar::<f64>()?.sqrt())
}

/// The polynomial of degree 4 through both ends and the middle of a step, with the slopes of both ends.
fn fit(from: &Reached, end: &Tensor, middle: &Tensor, last: &Tensor, step: f64) -> Result<Vec<Tensor>> {
    let (start, first) = (&from.state, &from.velocity);
    let sum = |terms: [(&Tensor, f64); 5]| -> Result<Tensor> {
        let [(tensor, factor), rest @ ..] = terms;
        let mut sum = (tensor * factor)?;
        for (tensor, factor) in rest {
            sum = (sum + (tensor * factor)?)?;
        }
        Ok(sum)
    };
    let quartic =
        sum([(last, 2.0 * step), (first, -2.0 * step), (start, -8.0), (end, -8.0), (middle, 16.0)])?;
    let cubic = sum([(first, 5.0 * step), (last, -3.0 * step), (start, 18.0), (end, 14.0), (middle, -32.0)])?;
    let square = sum([(last, step), (first, -4.0 * step), (start, -11.0), (end, -5.0), (middle, 16.0)])?;
    Ok(vec![start.clone(), (first * step)?, square, cubic, quartic])
}

fn between(reached: &Reached, time: f64) -> Result<Tensor> {
    let share = (time - reached.start) / (reached.end - reached.start);
    let mut power = 1.0;
    let mut sum: Option<Tensor> = None;
    for coefficient in &reached.polynomial {
        let term = (coefficient * power)?;
        sum = Some(match sum {
            Some(sum) => (sum + term)?,
            None => term,
        });
        power *= share;
    }
    Ok(sum.unwrap_or_else(|| reached.state.clone()))
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use candle_core::Device;

    use super::super::StatePrecision;
    use super::super::walk::Calls;
    use super::*;
    use crate::flow::solver::{adaptive_heun, bosh3, dopri5, dopri8, fehlberg2};

    /// A turn faster and faster: dx/dt = 2 t (-y, x) from (1, 0) is at the angle t^2; here in equal steps up to time 2.
    fn error_of(tableau: &'static Tableau, steps: usize) -> f64 {
        let solver = Embedded { tableau, rtol: 1e-3, atol: 1e-6, max_steps: 1 };
        let mut velocity = |x: &Tensor, t: f64| {
            let (x, y) = (x.narrow(0, 0, 1)?, x.narrow(0, 1, 1)?);
            Ok((Tensor::cat(&[y.neg()?, x], 0)? * (2.0 * t))?)
        };
        let mut observe = |_: super::super::Step<'_>| ControlFlow::Continue(());
        let mut noise = |like: &Tensor| Ok(like.clone());
        let calls = Calls { velocity: &mut velocity, observe: &mut observe, noise: &mut noise };
        let state = Tensor::new(&[1.0_f64, 0.0], &Device::Cpu).unwrap();
        let mut walk = Walk::new(&state, &[0.0, 2.0], StatePrecision::Full, calls).unwrap();
        let velocity = walk.velocity(&state, 0.0).unwrap();
        let mut at = Reached { polynomial: Vec::new(), state, velocity, start: 0.0, end: 0.0 };
        for _ in 0..steps {
            at = solver.attempt(&mut walk, &at, 2.0 / steps as f64).unwrap().0;
        }
        let found = at.state.to_vec1::<f64>().unwrap();
        (found[0] - 4.0_f64.cos()).hypot(found[1] - 4.0_f64.sin())
    }

    #[test]
    fn equal_steps_have_the_order_of_each_method() {
        let orders = [
            (&adaptive_heun::TABLEAU, 2.0, 100),
            (&fehlberg2::TABLEAU, 2.0, 100),
            (&bosh3::TABLEAU, 3.0, 100),
            (&dopri5::TABLEAU, 5.0, 40),
            (&dopri8::TABLEAU, 8.0, 10),
        ];
        for (tableau, order, steps) in orders {
            let found = (error_of(tableau, steps) / error_of(tableau, 2 * steps)).log2();
            assert!((found - order).abs() < 0.3, "{}: order {found}, not {order}", tableau.name);
        }
    }
}
