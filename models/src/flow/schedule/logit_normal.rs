//! Times as a training with logit-normal times has them.

use candle_core::cpu::erf::erf_inv;

use super::uniform::uniform;
use super::{Count, Grid, Schedule, ScheduleKind};
use crate::Result;
use crate::flow::kinds::Parameter;

pub(super) const KIND: ScheduleKind = ScheduleKind {
    name: "logit_normal",
    about: "the quantiles of the logit-normal distribution: more points where such a training had more times",
    parameters: &[
        Parameter::number("mean", "towards data when above 0", 0.0, -10.0, 10.0),
        Parameter::number("deviation", "how far the times spread", 1.0, 0.01, 10.0),
    ],
    build: |settings| {
        Box::new(LogitNormal { mean: settings.number("mean"), deviation: settings.number("deviation") })
    },
};

/// `1 / (1 + e^-z)` for quantiles `z` of the normal distribution, at equal distances of probability.
///
/// Source: `snr_type` `lognorm` of Lumina-T2X `transport/transport.py` for the distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogitNormal {
    /// Of the normal distribution.
    pub mean: f64,
    /// Of the normal distribution.
    pub deviation: f64,
}

impl Schedule for LogitNormal {
    fn grid(&self, count: Count) -> Result<Grid> {
        let quantile = |share: f64| {
            if share == 0.0 || share == 1.0 {
                return share;
            }
            let normal = self.mean + self.deviation * std::f64::consts::SQRT_2 * erf_inv(2.0 * share - 1.0);
            1.0 / (1.0 + (-normal).exp())
        };
        Ok(Grid::new(uniform(count.points()?)?.into_iter().map(quantile).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_normal_distribution() {
        let points = LogitNormal { mean: 0.0, deviation: 1.0 }.grid(Count::Points(41)).unwrap().points;
        // The quantiles at 0.025, 0.25 and 0.5 are -1.959964, -0.674490 and 0.
        let logistic = |z: f64| 1.0 / (1.0 + (-z).exp());
        for (index, z) in [(1, -1.959_963_985), (10, -0.674_489_750), (20, 0.0), (39, 1.959_963_985)] {
            assert!((points[index] - logistic(z)).abs() < 1e-9, "{index}: {}", points[index]);
        }
    }
}
