//! DPM-Solver++ of order 2, in the form that takes two steps at a time.

use candle_core::Tensor;

use super::lambda::{Level, data};
use super::{Solver, SolverKind, Walk};
use crate::Result;

pub(super) const KIND: SolverKind = SolverKind {
    name: "dpmpp_2s",
    about: "DPM-Solver++ of order 2 in pairs of steps, the second made anew from where the first began",
    parameters: &[],
    build: |_| Box::new(DpmSingle),
};

/// Steps in pairs: the first is of order 1, the second goes over both with both velocities. The last step is of order 1.
///
/// Source: `DPMSolverSinglestepScheduler` of diffusers 0.42.1 with `use_flow_sigmas` and `flow_prediction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DpmSingle;

impl Solver for DpmSingle {
    fn solve(&self, walk: &mut Walk<'_>) -> Result<Tensor> {
        walk.full_precision("dpmpp_2s")?;
        let steps = walk.times().len() - 1;
        // Where the pair began: the level, the state, and the data there.
        let mut begun: Option<(Level, Tensor, Tensor)> = None;
        walk.each_span(|walk, latent, span| {
            let (from, to) = (Level::at(span.start), Level::at(span.end));
            let found = data(walk, latent, span.start)?;
            let pair = begun.take().filter(|_| span.index % 2 == 1 && span.index + 1 < steps);
            let Some((first, start, before)) = pair else {
                let decay = (from.lambda - to.lambda).exp_m1();
                let moved = ((latent * (to.sigma / from.sigma))? - (&found * (to.alpha * decay))?)?;
                begun = Some((from, latent.clone(), found));
                return Ok(moved);
            };
            let length = to.lambda - first.lambda;
            let share = (from.lambda - first.lambda) / length;
            // From time 0 the first half of the pair tells nothing about how the data changes, only what it is.
            let (base, slope) = if first.lambda.is_finite() {
                let slope = ((&found - &before)? / share)?;
                (before, slope)
            } else {
                let none = found.zeros_like()?;
                (found, none)
            };
            let decay = (-length).exp_m1();
            let moved = ((start * (to.sigma / first.sigma))? - (base * (to.alpha * decay))?)?;
            Ok((moved - (slope * (0.5 * to.alpha * decay))?)?)
        })
    }
}
