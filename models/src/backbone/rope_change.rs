//! How rotary frequencies are stretched for pictures larger than those of the training.

use std::f64::consts::TAU;

use crate::nn::rope::frequencies;
use crate::{ModelError, Result};

/// Base of the rotary frequencies.
const THETA: f64 = 10_000.0;

/// How rotary frequencies are changed in one evaluation, all to the same degree or the slow ones alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeFactors {
    /// Frequencies are divided by this (position interpolation).
    pub linear: f64,
    /// The base is multiplied by this (NTK scaling).
    pub ntk: f64,
}

impl Default for RopeFactors {
    fn default() -> Self {
        Self { linear: 1.0, ntk: 1.0 }
    }
}

/// How rotary frequencies change over the sampling time, for pictures larger than those of the training.
///
/// Source: `forward_with_cfg` of Lumina-T2X `models/model.py` (`scale_factor`, `scale_watershed`), diffusers
/// `LuminaPipeline.__call__` (`scaling_watershed`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeScaling {
    /// Square root of the ratio of picture areas; 1 changes nothing.
    pub scale_factor: f64,
    /// Below this time positions are interpolated, from it on the base is scaled. diffusers' default is 1.
    pub watershed: f64,
}

impl Default for RopeScaling {
    fn default() -> Self {
        Self { scale_factor: 1.0, watershed: 1.0 }
    }
}

impl RopeScaling {
    /// The factors for one evaluation.
    pub fn factors_at(&self, time: f64) -> RopeFactors {
        // The reference compares the f32 time with a double: 0.7 as f32 lies below 0.7.
        if f64::from(time as f32) < self.watershed {
            RopeFactors { linear: self.scale_factor, ntk: 1.0 }
        } else {
            RopeFactors { linear: 1.0, ntk: self.scale_factor }
        }
    }
}

/// The forms of rotary scaling that an evaluation can have.
///
/// The two aware forms (Lumina-Next, arXiv 2406.18583) take of each frequency the larger of two values: the one that
/// interpolates positions, `f / scale`, and the one of a scaled base, `(theta * scale^(head_dim / target))^(-..)`. They
/// meet at channel `target` of a head; slower frequencies are interpolated, faster ones less and less, and the fastest
/// not at all. The paper has `scale > 1` in mind; below 1 the smaller value is taken here, so that it still is the
/// slow frequencies that change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeChange {
    /// The same factors for all frequencies.
    Factors(RopeFactors),
    /// `target = head_dim * ln(trained_length / 2 pi) / ln(theta)`: interpolates those frequencies of whose waves the
    /// training did not see a whole one. If it saw no whole wave at all, all are interpolated.
    FrequencyAware {
        /// Square root of the ratio of picture areas; 1 changes nothing.
        scale: f64,
        /// Positions along an axis in the training: `sample_size / patch_size` of a Next-DiT.
        ///
        /// Source: `ntk_v2` of Lumina-T2X `visual_anagrams/models/nextdit.py` has 128 for a network trained with 64,
        /// and leaves interpolation out.
        trained_length: f64,
    },
    /// `target = (head_dim - 1) * time + 1`: interpolates at time 0 all frequencies but the fastest, which no base
    /// changes, and scales the base at time 1 as [`RopeFactors::ntk`] does.
    ///
    /// Source: `ntk_v3` of Lumina-T2X `visual_anagrams/models/nextdit.py`.
    TimeAware {
        /// Square root of the ratio of picture areas; 1 changes nothing.
        scale: f64,
        /// Time of the evaluation, 0 for noise to 1 for data; what lies outside counts as the nearer end.
        time: f64,
    },
}

impl Default for RopeChange {
    fn default() -> Self {
        Self::Factors(RopeFactors::default())
    }
}

impl From<RopeFactors> for RopeChange {
    fn from(factors: RopeFactors) -> Self {
        Self::Factors(factors)
    }
}

impl RopeChange {
    /// The `count` frequencies of one axis, fastest first, and what positions are divided by.
    ///
    /// `head_dim` counts the channels of all axes together, as the paper's `d` does.
    pub(crate) fn frequencies(self, count: usize, head_dim: usize) -> Result<(Vec<f32>, f32)> {
        self.check()?;
        Ok(match self {
            Self::Factors(RopeFactors { linear, ntk }) => (frequencies(count, THETA * ntk), linear as f32),
            Self::FrequencyAware { scale, trained_length } => {
                (aware(count, scale, (trained_length / TAU).ln() / THETA.ln()), 1.0)
            }
            Self::TimeAware { scale, time } => {
                let channels = head_dim as f64;
                (aware(count, scale, ((channels - 1.0) * time.clamp(0.0, 1.0) + 1.0) / channels), 1.0)
            }
        })
    }

    fn check(self) -> Result<()> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let (what, fits) = match self {
            Self::Factors(factors) => ("a rotary factor", positive(factors.linear) && positive(factors.ntk)),
            Self::FrequencyAware { scale, trained_length } => {
                ("the rotary scale or length", positive(scale) && positive(trained_length))
            }
            Self::TimeAware { scale, time } => {
                ("the rotary scale or time", positive(scale) && time.is_finite())
            }
        };
        if fits { Ok(()) } else { Err(ModelError::input(what, "a positive number", format!("{self:?}"))) }
    }
}

/// Interpolated below `target`, a share of the channels, and of a scaled base above it.
fn aware(count: usize, scale: f64, target: f64) -> Vec<f32> {
    let interpolated = frequencies(count, THETA).into_iter().map(|frequency| frequency / scale as f32);
    if target <= 0.0 {
        return interpolated.collect();
    }
    // The base may grow beyond all numbers (`scale^72`): its frequencies are then 0, and the others are taken.
    let extended = frequencies(count, THETA * scale.powf(1.0 / target));
    let nearer = if scale < 1.0 { f32::min } else { f32::max };
    interpolated.zip(extended).map(|(a, b)| nearer(a, b)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COUNT: usize = 18;
    const HEAD_DIM: usize = 72;

    fn of(change: RopeChange) -> Vec<f32> {
        change.frequencies(COUNT, HEAD_DIM).unwrap().0
    }

    fn interpolated(scale: f64) -> Vec<f32> {
        frequencies(COUNT, THETA).into_iter().map(|frequency| frequency / scale as f32).collect()
    }

    #[test]
    fn the_watershed_is_compared_with_the_time_as_f32() {
        let scaling = |watershed| RopeScaling { scale_factor: 2.0, watershed };
        assert_eq!(scaling(0.7).factors_at(0.7).linear, 2.0); // 0.7 as f32 is below 0.7
        assert_eq!(scaling(0.3).factors_at(0.3).ntk, 2.0); // 0.3 as f32 is above 0.3
        assert_eq!(scaling(0.6).factors_at(0.6).ntk, 2.0);
    }

    #[test]
    fn at_time_0_all_frequencies_but_the_fastest_are_interpolated_also_where_the_base_overflows() {
        for scale in [0.5, 1.5, 2.0, 3.5, 16.0] {
            let found = of(RopeChange::TimeAware { scale, time: 0.0 });
            assert_eq!(found[0], 1.0);
            assert_eq!(found[1..], interpolated(scale)[1..], "{scale}");
        }
    }

    #[test]
    fn at_time_1_the_base_is_scaled() {
        for scale in [0.5, 2.0, 16.0] {
            let ntk = RopeFactors { linear: 1.0, ntk: scale };
            assert_eq!(of(RopeChange::TimeAware { scale, time: 1.0 }), of(ntk.into()), "{scale}");
            let beyond = RopeChange::TimeAware { scale, time: 1.01 };
            assert_eq!(of(beyond), of(ntk.into()), "{scale}");
        }
    }

    #[test]
    fn waves_longer_than_the_training_are_interpolated_and_the_fastest_is_kept() {
        let (scale, trained_length) = (2.0, 64.0);
        let found = of(RopeChange::FrequencyAware { scale, trained_length });
        assert_eq!(found[0], 1.0);
        let plain = frequencies(COUNT, THETA);
        for (frequency, (found, interpolated)) in plain.iter().zip(found.iter().zip(interpolated(scale))) {
            let seen_whole = TAU / f64::from(*frequency) < trained_length;
            assert_eq!(*found > interpolated, seen_whole, "{frequency}");
        }
        // 2 pi / 64 lies between the frequencies of channels 4 and 5.
        assert!(found[4] > interpolated(scale)[4] && found[5] == interpolated(scale)[5]);
    }

    #[test]
    fn a_training_shorter_than_every_wave_interpolates_all() {
        for trained_length in [1.0, TAU] {
            let change = RopeChange::FrequencyAware { scale: 2.0, trained_length };
            assert_eq!(of(change), interpolated(2.0));
        }
    }

    #[test]
    fn what_is_no_positive_number_is_refused() {
        let wrong = [
            RopeFactors { linear: 0.0, ntk: 1.0 }.into(),
            RopeFactors { linear: 1.0, ntk: f64::NAN }.into(),
            RopeChange::FrequencyAware { scale: -1.0, trained_length: 64.0 },
            RopeChange::FrequencyAware { scale: 1.0, trained_length: 0.0 },
            RopeChange::TimeAware { scale: f64::INFINITY, time: 0.5 },
            RopeChange::TimeAware { scale: 1.0, time: f64::NAN },
        ];
        for change in wrong {
            let result = change.frequencies(4, 16);
            assert!(matches!(result, Err(ModelError::Input { .. })), "{change:?}");
        }
    }

    proptest! {
        #[test]
        fn a_scale_of_1_changes_no_bit(
            count in 1_usize..40, axes in 1_usize..4, time in -0.5_f64..1.5, trained_length in 0.5_f64..5000.0,
        ) {
            let head_dim = 2 * axes * count;
            let of = |change: RopeChange| change.frequencies(count, head_dim).unwrap();
            let plain = of(RopeChange::default());
            prop_assert_eq!(&of(RopeChange::TimeAware { scale: 1.0, time }), &plain);
            prop_assert_eq!(&of(RopeChange::FrequencyAware { scale: 1.0, trained_length }), &plain);
        }

        #[test]
        fn the_slower_a_frequency_the_more_it_is_stretched_up_to_the_scale(
            scale in 0.2_f64..8.0, time in 0.0_f64..1.0, trained_length in 1.0_f64..1000.0,
        ) {
            let plain = frequencies(COUNT, THETA);
            for change in
                [RopeChange::TimeAware { scale, time }, RopeChange::FrequencyAware { scale, trained_length }]
            {
                let found = of(change);
                // Logarithms of the stretch, in units of that of the scale.
                let stretch: Vec<f64> = plain.iter().zip(&found).map(|(p, f)| f64::from(p / f).ln()).collect();
                let most = scale.ln();
                for pair in stretch.windows(2) {
                    prop_assert!((pair[1] - pair[0]) * most.signum() > -1e-6, "{:?} {:?}", change, stretch);
                }
                prop_assert!(stretch.iter().all(|s| s * most.signum() < most.abs() + 1e-6));
                // They keep their order where they become slower; where they become faster, the fastest is overtaken.
                let ordered = found.windows(2).all(|pair| pair[1] <= pair[0]);
                prop_assert!(ordered || scale < 1.0, "{:?} {:?}", change, found);
            }
        }

        #[test]
        fn frequencies_only_rise_with_the_time(scale in 1.0_f64..8.0, early in 0.0_f64..1.0, later in 0.0_f64..1.0) {
            let (early, later) = (early.min(later), early.max(later));
            let [early, later] = [early, later].map(|time| of(RopeChange::TimeAware { scale, time }));
            prop_assert!(early.iter().zip(&later).all(|(early, later)| early <= later));
        }
    }
}
