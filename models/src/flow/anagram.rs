//! Sampling one latent that shows another picture under each of several views.

use std::ops::ControlFlow;

use candle_core::Tensor;

use super::{Solution, Step, View};
use crate::{ModelError, Result};

/// A latent that the sampling is held to while the picture is still noise, for the second phase at a larger size.
#[derive(Clone, Debug)]
pub struct Guide {
    /// The picture of the first phase, enlarged and encoded: `[batch, channels, height, width]`.
    pub data: Tensor,
    /// The latent that the sampling starts from.
    pub noise: Tensor,
}

impl Guide {
    /// `(1 - c) latent + c (time data + (1 - time) noise)` with `c = (1 + cos(pi time)) / 2`.
    fn mix(&self, latent: &Tensor, time: f64) -> Result<Tensor> {
        let share = 0.5 * (1.0 + (std::f64::consts::PI * time).cos());
        let path = ((&self.data * time)? + (&self.noise * (1.0 - time))?)?;
        Ok(((latent * (1.0 - share))? + (path * share)?)?)
    }
}

/// Follows the mean of the velocities under all `views` from `latent` along `times`, with the midpoint rule.
///
/// `velocity` is called with the number of a view, what is seen under it, and the time. Without a `guide`, both halves
/// of a step are made on what is seen; with one, the first is brought back before the mixture is made anew. `observe`
/// is called after every step and may stop.
///
/// Source: `visual_anagrams/generate.py` of Lumina-T2X, both phases.
///
/// # Errors
/// [`ModelError::Input`] without a view, and for less than two times or times that do not rise; those of `velocity`
/// and of [`View::apply`].
pub fn integrate_views(
    views: &[View],
    latent: &Tensor,
    times: &[f64],
    guide: Option<&Guide>,
    mut velocity: impl FnMut(usize, &Tensor, f64) -> Result<Tensor>,
    mut observe: impl FnMut(Step<'_>) -> ControlFlow<()>,
) -> Result<Solution> {
    if views.is_empty() {
        return Err(ModelError::input("the views", "at least one", "none"));
    }
    let steps = times.len().saturating_sub(1);
    let rises = times.windows(2).all(|pair| matches!(pair, [start, end] if start < end));
    if steps == 0 || !rises {
        return Err(ModelError::input("the times", "two or more that rise", format!("{times:?}")));
    }
    let mut state = latent.clone();
    let mut evaluations = 0;
    for (index, pair) in times.windows(2).enumerate() {
        let &[start, end] = pair else { continue };
        let (length, middle) = (end - start, start + 0.5 * (end - start));
        let mut sum = state.zeros_like()?;
        for (number, view) in views.iter().enumerate() {
            evaluations += 2;
            let last = match guide {
                None => {
                    let seen = view.apply(&state)?;
                    let half = (velocity(number, &seen, start)? * (0.5 * length))?;
                    velocity(number, &(seen + half)?, middle)?
                }
                Some(guide) => {
                    let seen = view.apply(&guide.mix(&state, start)?)?;
                    let half = (velocity(number, &seen, start)? * (0.5 * length))?;
                    let moved = (&state + view.undo(&half)?)?;
                    velocity(number, &view.apply(&guide.mix(&moved, middle)?)?, middle)?
                }
            };
            sum = (sum + view.undo(&(last * length)?)?)?;
        }
        state = (state + (sum / views.len() as f64)?)?;
        let step = Step { index, steps, time: end, latent: &state };
        if observe(step).is_break() {
            let (steps, stopped) = (index + 1, index + 1 < steps);
            return Ok(Solution { latent: state, steps, evaluations, rejected: 0, stopped });
        }
    }
    Ok(Solution { latent: state, steps, evaluations, rejected: 0, stopped: false })
}
