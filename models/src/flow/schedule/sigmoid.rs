//! The sigmoid schedule of the Lumina-Next paper.

use super::uniform::uniform;
use super::{Count, Grid, Schedule, ScheduleKind};
use crate::Result;
use crate::flow::kinds::Parameter;

pub(super) const KIND: ScheduleKind = ScheduleKind {
    name: "sigmoid",
    about: "a logistic curve with one slope below `mu` and another above: more points near both ends",
    parameters: &[
        Parameter::number("mu", "where the slopes change", 0.6, 0.0, 1.0),
        Parameter::number("alpha", "the slope below `mu`", 6.0, 0.01, 100.0),
        Parameter::number("beta", "the slope above `mu`", 20.0, 0.01, 100.0),
    ],
    build: |settings| {
        Box::new(Sigmoid {
            mu: settings.number("mu"),
            alpha: settings.number("alpha"),
            beta: settings.number("beta"),
        })
    },
};

/// `t(u) = (g(u) - g(0)) / (g(1) - g(0))` with `g(u) = 1 / (1 + e^(-s (u - mu)))`, where `s` is `alpha` below `mu` and
/// `beta` above.
///
/// The paper (arXiv 2406.18583) names a piecewise sigmoid with `mu` 0.6, `alpha` 6 and `beta` 20 and no formula, and there
/// is no code of it. This is a reading: the logistic curve is continuous at `mu`, and scaled so that it runs from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sigmoid {
    /// Where the slopes change.
    pub mu: f64,
    /// The slope below.
    pub alpha: f64,
    /// The slope above.
    pub beta: f64,
}

impl Sigmoid {
    fn curve(&self, place: f64) -> f64 {
        let slope = if place < self.mu { self.alpha } else { self.beta };
        1.0 / (1.0 + (-slope * (place - self.mu)).exp())
    }
}

impl Schedule for Sigmoid {
    fn grid(&self, count: Count) -> Result<Grid> {
        let (first, last) = (self.curve(0.0), self.curve(1.0));
        let mut points: Vec<f64> = uniform(count.points()?)?
            .into_iter()
            .map(|place| (self.curve(place) - first) / (last - first))
            .collect();
        if let [start, .., end] = points.as_mut_slice() {
            (*start, *end) = (0.0, 1.0);
        }
        Ok(Grid::new(points))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_short_near_both_ends() {
        let points = Sigmoid { mu: 0.6, alpha: 6.0, beta: 20.0 }.grid(Count::Points(11)).unwrap().points;
        let steps: Vec<f64> = points.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps[0] < 0.05 && steps[9] < 0.05 && steps[6] > 0.3, "{steps:?}");
        // Half the way up the curve at `mu`, but for what the ends are cut off by.
        assert!((points[6] - 0.487).abs() < 1e-3, "{points:?}");
    }
}
