//! UniPC: a predictor and a corrector that share their velocities.

use std::collections::VecDeque;

use candle_core::Tensor;

use super::super::kinds::Parameter;
use super::lambda::{Level, data};
use super::{Solver, SolverKind, Walk};
use crate::{ModelError, Result};

pub(super) const KIND: SolverKind = SolverKind {
    name: "unipc",
    about: "UniPC: one velocity a step, which first corrects the step before",
    parameters: &[
        Parameter::count("order", "order of the prediction; the correction adds one", 2, 1, 3),
        Parameter::choice("form", "the function B(h) of the method", &["bh2", "bh1"]),
    ],
    build: |settings| {
        Box::new(UniPc { order: settings.count("order"), plain: settings.word("form") == "bh1" })
    },
};

/// Predicts with the data that velocities led to, as [`Dpm`](super::Dpm) does, and corrects each prediction with the
/// velocity there, before the next one.
///
/// Source: `UniPCMultistepScheduler` of diffusers 0.42.1 with `use_flow_sigmas`, `flow_prediction` and `predict_x0`. A step
/// that begins at time 0 is not corrected here; the grids there begin at 1e-6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UniPc {
    /// 1 to 3.
    pub order: usize,
    /// `B(h) = h` in place of `e^h - 1`.
    pub plain: bool,
}

/// What was known at a point of the grid: the corrected state, and the data its velocity led to.
struct Known {
    level: Level,
    state: Tensor,
    data: Tensor,
}

impl Solver for UniPc {
    fn solve(&self, walk: &mut Walk<'_>) -> Result<Tensor> {
        walk.full_precision("unipc")?;
        let steps = walk.times().len() - 1;
        // The newest first.
        let mut history: VecDeque<Known> = VecDeque::new();
        let mut order = 0;
        walk.each_span(|walk, latent, span| {
            let level = Level::at(span.start);
            let found = data(walk, latent, span.start)?;
            let state = if order > 0 && history.front().is_some_and(|known| known.level.lambda.is_finite()) {
                self.step(&history, level, order, Some(&found))?
            } else {
                latent.clone()
            };
            history.push_front(Known { level, state, data: found });
            history.truncate(self.order.max(1));
            // Velocities from before a step that began at time 0 tell nothing.
            let useful = history.iter().skip(1).take_while(|known| known.level.lambda.is_finite()).count();
            order = self.order.min(steps - span.index).min(useful + 1);
            self.step(&history, Level::at(span.end), order, None)
        })
    }
}

impl UniPc {
    /// From the newest of `history` to the level `to`; with the data there it is a correction.
    fn step(
        &self,
        history: &VecDeque<Known>,
        to: Level,
        order: usize,
        there: Option<&Tensor>,
    ) -> Result<Tensor> {
        let Some(from) = history.front() else {
            return Err(ModelError::input("the history of the solver", "at least one value", "none"));
        };
        let length = to.lambda - from.level.lambda;
        let back = -length;
        let decay = back.exp_m1();
        let scale = if self.plain { back } else { decay };
        let mut moved =
            ((&from.state * (to.sigma / from.level.sigma))? - (&from.data * (to.alpha * decay))?)?;

        let mut ratios = Vec::new();
        let mut slopes = Vec::new();
        for known in history.iter().skip(1).take(order.saturating_sub(1)) {
            let ratio = (known.level.lambda - from.level.lambda) / length;
            slopes.push(((&known.data - &from.data)? / ratio)?);
            ratios.push(ratio);
        }
        if let Some(there) = there {
            slopes.push((there - &from.data)?);
            ratios.push(1.0);
        }
        let weights = match (ratios.len(), there) {
            (0, _) => return Ok(moved),
            // One difference is weighted by half, as the method was published.
            (1, _) => vec![0.5],
            _ => solve(&ratios, &moments(back, decay, scale, ratios.len())),
        };
        for (slope, weight) in slopes.iter().zip(weights) {
            moved = (moved - (slope * (to.alpha * scale * weight))?)?;
        }
        Ok(moved)
    }
}

/// The right side of the equations for the weights.
fn moments(back: f64, decay: f64, scale: f64, count: usize) -> Vec<f64> {
    let (mut phi, mut factorial) = (decay / back - 1.0, 1.0);
    (1..=count)
        .map(|index| {
            let moment = phi * factorial / scale;
            factorial *= (index + 1) as f64;
            phi = phi / back - 1.0 / factorial;
            moment
        })
        .collect()
}

/// The weights whose sums with the powers 0, 1, .. of `ratios` are `right`: a Vandermonde system, by elimination.
fn solve(ratios: &[f64], right: &[f64]) -> Vec<f64> {
    let count = ratios.len();
    let mut rows: Vec<Vec<f64>> = (0..count)
        .zip(right)
        .map(|(power, &right)| {
            let powers = ratios.iter().map(|ratio| ratio.powi(power as i32));
            powers.chain([right]).collect()
        })
        .collect();
    for column in 0..count {
        let best = (column..count).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()));
        rows.swap(column, best.unwrap_or(column));
        let pivot = rows[column].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(index, _)| *index != column) {
            let factor = row[column] / pivot[column];
            row.iter_mut().zip(&pivot).for_each(|(value, pivot)| *value -= factor * pivot);
        }
    }
    rows.iter().enumerate().map(|(index, row)| row[count] / row[index]).collect()
}
