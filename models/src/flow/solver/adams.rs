//! The multistep methods of Adams.

use std::collections::VecDeque;

use candle_core::{DType, Tensor};

use super::super::kinds::{Checked, Parameter};
use super::{Solver, SolverKind, Span, Walk, rk4};
use crate::Result;

const ORDER: Parameter = Parameter::count("order", "velocities that a step is made of", 4, 1, 8);

pub(super) const EXPLICIT: SolverKind = SolverKind {
    name: "explicit_adams",
    about: "Adams-Bashforth: one velocity a step and those of the steps before",
    parameters: &[ORDER],
    build: |settings| Box::new(Adams { order: settings.count("order"), corrections: None }),
};

pub(super) const IMPLICIT: SolverKind = SolverKind {
    name: "implicit_adams",
    about: "Adams-Bashforth-Moulton: a step is corrected with the velocity at its end, until it stays",
    parameters: &[
        ORDER,
        Parameter::count("corrections", "corrections of a step at most", 4, 1, 16),
        Parameter::number("rtol", "change at which a step stays, in proportion to it", 1e-3, 0.0, 1.0),
        Parameter::number("atol", "change at which a step stays, beside that", 1e-6, 0.0, 1.0),
    ],
    build: |settings: &Checked<'_>| {
        let corrections = Corrections {
            most: settings.count("corrections"),
            rtol: settings.number("rtol"),
            atol: settings.number("atol"),
        };
        Box::new(Adams { order: settings.count("order"), corrections: Some(corrections) })
    },
};

/// How the implicit method corrects a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Corrections {
    /// How often at most.
    pub most: usize,
    /// It stays when every element changes by less than this part of it,
    pub rtol: f64,
    /// and this beside.
    pub atol: f64,
}

/// Integrates the polynomial through the velocities of the steps before, Adams-Bashforth, and with `corrections` also
/// through that at the end of the step, Adams-Bashforth-Moulton. The first steps are those of the 3/8 rule.
///
/// Source: `fixed_adams.py` of torchdiffeq 0.2.5, whose weights are for steps of equal length. Here they are those of the
/// grid as it is, and the same where its steps are equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adams {
    /// Velocities that a step is made of, without that at its end.
    pub order: usize,
    /// For the implicit method.
    pub corrections: Option<Corrections>,
}

impl Solver for Adams {
    fn solve(&self, walk: &mut Walk<'_>) -> Result<Tensor> {
        walk.full_precision("adams")?;
        let order = self.order.max(1);
        // The newest first.
        let mut history: VecDeque<(f64, Tensor)> = VecDeque::new();
        walk.each_span(|walk, latent, span| {
            history.push_front((span.start, walk.velocity(latent, span.start)?));
            history.truncate(order);
            match history.front() {
                Some((_, first)) if history.len() < order => rk4::step(walk, latent, span, first),
                _ => self.step(walk, latent, span, &history),
            }
        })
    }
}

impl Adams {
    fn step(
        &self,
        walk: &mut Walk<'_>,
        latent: &Tensor,
        span: &Span,
        history: &VecDeque<(f64, Tensor)>,
    ) -> Result<Tensor> {
        let nodes: Vec<f64> = history.iter().map(|(time, _)| (time - span.start) / span.length).collect();
        let weighted = |weights: &[f64]| -> Result<Tensor> {
            let mut sum = latent.zeros_like()?;
            for ((_, velocity), weight) in history.iter().zip(weights) {
                sum = (sum + (velocity * (weight * span.length))?)?;
            }
            Ok(sum)
        };
        let mut change = weighted(&weights(&nodes))?;
        let Some(corrections) = self.corrections else { return Ok((latent + change)?) };
        let mut nodes = nodes;
        nodes.push(1.0);
        let mut weights = weights(&nodes);
        let last = weights.pop().unwrap_or(0.0);
        let known = weighted(&weights)?;
        for _ in 0..corrections.most {
            let velocity = walk.velocity(&(latent + &change)?, span.end)?;
            let corrected = (&known + (velocity * (last * span.length))?)?;
            let stays = corrections.stays(&change, &corrected)?;
            change = corrected;
            if stays {
                break;
            }
        }
        Ok((latent + change)?)
    }
}

impl Corrections {
    fn stays(&self, before: &Tensor, after: &Tensor) -> Result<bool> {
        let allowed = before.abs()?.maximum(&after.abs()?)?.affine(self.rtol, self.atol)?;
        let change = (after - before)?.abs()?;
        let excess = (change - allowed)?.max_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        Ok(excess < 0.0)
    }
}

/// The weights with which values at `nodes` give the integral from 0 to 1 of the polynomial through them.
fn weights(nodes: &[f64]) -> Vec<f64> {
    let mut weights = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        // The polynomial that is 1 at this node and 0 at the others, from the constant term up.
        let mut polynomial = vec![1.0];
        for (_, other) in nodes.iter().enumerate().filter(|(position, _)| *position != index) {
            let scale = 1.0 / (node - other);
            let mut product = vec![0.0; polynomial.len() + 1];
            for (power, coefficient) in polynomial.iter().enumerate() {
                if let [low, high, ..] = &mut product[power..] {
                    *low -= coefficient * other * scale;
                    *high += coefficient * scale;
                }
            }
            polynomial = product;
        }
        let integral = polynomial.iter().enumerate().map(|(power, value)| value / (power + 1) as f64);
        weights.push(integral.sum());
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn weights_of_equal_steps_are_those_of_the_tables() {
        close(&weights(&[0.0, -1.0, -2.0, -3.0]), &[55.0, -59.0, 37.0, -9.0].map(|weight| weight / 24.0));
        close(&weights(&[0.0, -1.0, -2.0, 1.0]), &[19.0, -5.0, 1.0, 9.0].map(|weight| weight / 24.0));
    }
}
