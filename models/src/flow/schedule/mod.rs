//! At which times the velocity is asked for.
//!
//! Two ways of counting exist. The original code counts **points**: n points are n - 1 steps. diffusers counts
//! **steps**: n steps are n evaluations and n + 1 points. Functions here say which one they mean, and a [`Schedule`] is
//! given a [`Count`].
//!
//! A schedule is a type with a [`Schedule::grid`] and a [`ScheduleKind`] that names it: a file here and a line in
//! [`BUILT_IN`], or anything that is added to a [`Schedules`] with [`Kinds::with`].

use std::fmt;

use super::kinds::{Kind, Kinds};
use crate::{ModelError, Result};

mod diffusers_flow;
mod dynamic;
mod explicit;
mod flow_match;
mod logit_normal;
mod shifted;
mod sigmoid;
mod spacing;
mod strength;
mod torch;
mod training;
mod uniform;

pub use diffusers_flow::DiffusersFlow;
pub use dynamic::{DynamicShift, dynamic_shift};
pub use explicit::Explicit;
pub use flow_match::{FlowMatch, FlowMatchConfig, FlowMatchGrid, TimeShift, flow_match_euler};
pub use logit_normal::LogitNormal;
pub use shifted::{Shifted, shifted};
pub use sigmoid::Sigmoid;
pub use spacing::Spacing;
pub use strength::kept;
pub use torch::{Running, ShiftedFloat32, running, shifted_float32};
pub use training::TrainingTimes;
pub use uniform::{Uniform, uniform};

/// More steps than anyone has time for.
const MAX_STEPS: usize = 1 << 20;

/// How long a grid is, in either way of counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// One step from each point to the next: as diffusers counts.
    Steps(usize),
    /// One more than there are steps: as the original code counts.
    Points(usize),
}

impl Count {
    /// The number of steps.
    ///
    /// # Errors
    /// [`ModelError::Input`] for none, or more than 1048576.
    pub fn steps(self) -> Result<usize> {
        Ok(self.points()? - 1)
    }

    /// The number of points.
    ///
    /// # Errors
    /// As [`steps`](Self::steps).
    pub fn points(self) -> Result<usize> {
        let (what, least, number) = match self {
            Self::Steps(steps) => ("the number of steps", 1, steps),
            Self::Points(points) => ("the number of grid points", 2, points),
        };
        if !(least..=MAX_STEPS).contains(&number) {
            let expected = format!("{least} to {MAX_STEPS}");
            return Err(ModelError::input(what, expected, number.to_string()));
        }
        Ok(if least == 1 { number + 1 } else { number })
    }
}

/// The times of a sampling.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Two or more that rise, from noise to data.
    pub points: Vec<f64>,
    /// What the network is told at each point but the last, where that is another time.
    pub told: Option<Vec<f64>>,
}

impl Grid {
    /// With a network that is told the times themselves.
    pub fn new(points: Vec<f64>) -> Self {
        Self { points, told: None }
    }

    /// What the network is told at `time`: between the points, the time itself.
    pub fn told(&self, time: f64) -> f64 {
        let index = self.points.iter().position(|&point| point == time);
        let told = index.zip(self.told.as_ref()).and_then(|(index, told)| told.get(index));
        told.copied().unwrap_or(time)
    }
}

/// A way of laying out the times of a sampling.
pub trait Schedule: fmt::Debug + Send + Sync {
    /// The grid of this length.
    ///
    /// # Errors
    /// [`ModelError::Input`] for no steps, and what the schedule itself refuses.
    fn grid(&self, count: Count) -> Result<Grid>;
}

/// A kind of schedule.
pub type ScheduleKind = Kind<dyn Schedule>;

/// All kinds of schedules that can be asked for by name.
pub type Schedules = Kinds<dyn Schedule>;

/// The registration: one line a kind.
const BUILT_IN: &[ScheduleKind] = &[
    uniform::KIND,
    shifted::KIND,
    sigmoid::KIND,
    logit_normal::KIND,
    dynamic::KIND,
    explicit::KIND,
    flow_match::KIND,
    diffusers_flow::DPM,
    diffusers_flow::UNIPC,
    torch::SHIFTED,
    torch::RUNNING,
];

impl Schedules {
    /// Those of this crate.
    pub fn built_in() -> Self {
        Self::of("schedule", BUILT_IN)
    }
}

fn check_shift(shift: f64) -> Result<()> {
    if shift.is_finite() && shift > 0.0 {
        return Ok(());
    }
    Err(ModelError::input("the time shift", "a positive number", shift.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Setting, Settings};

    fn build(name: &str, settings: Settings) -> Box<dyn Schedule> {
        Schedules::built_in().build(name, &settings).unwrap()
    }

    #[test]
    fn points_are_one_more_than_steps() {
        assert_eq!(uniform(3).unwrap(), [0.0, 0.5, 1.0]);
        for (count, points) in [(Count::Steps(4), 5), (Count::Points(4), 4)] {
            assert_eq!(build("uniform", Settings::new()).grid(count).unwrap().points.len(), points);
        }
        for count in [Count::Steps(0), Count::Points(1), Count::Steps(usize::MAX), Count::Points(usize::MAX)]
        {
            assert!(matches!(count.points(), Err(ModelError::Input { .. })), "{count:?}");
        }
    }

    #[test]
    fn every_schedule_rises_from_noise_to_data() {
        for kind in Schedules::built_in().iter() {
            let settings = match kind.name {
                "explicit" => {
                    Settings::new().with("times", Setting::Numbers(vec![0.0, 0.1, 0.3, 0.6, 0.9, 1.0]))
                }
                _ => Settings::new(),
            };
            let grid = build(kind.name, settings).grid(Count::Steps(5)).unwrap();
            let rises = grid.points.windows(2).all(|pair| pair[0] < pair[1]);
            let (first, last) = (grid.points[0], grid.points[5]);
            assert!(rises && grid.points.len() == 6, "{}: {:?}", kind.name, grid.points);
            assert!((0.0..0.002).contains(&first) && last == 1.0, "{}: {:?}", kind.name, grid.points);
        }
    }

    #[test]
    fn an_unknown_schedule_and_a_wrong_setting_are_named() {
        let message = |name: &str, settings: Settings| {
            Schedules::built_in().build(name, &settings).unwrap_err().to_string()
        };
        assert!(
            message("unifrm", Settings::new())
                .starts_with("the schedule is `unifrm`, expected one of `uniform`")
        );
        assert_eq!(
            message("shifted", Settings::new().number("shift", 0.0)),
            "`shift` of `shifted` is 0, expected 0.0001 to 10000"
        );
        assert_eq!(
            message("explicit", Settings::new()),
            "`times` of `explicit` is not set, expected a list of numbers"
        );
        assert_eq!(
            message("diffusers", Settings::new().word("spacing", "karas")),
            "`spacing` of `diffusers` is `karas`, expected one of `even`, `karras`, `exponential`, `beta`"
        );
    }
}
