//! The grid of diffusers' `FlowMatchEulerDiscreteScheduler`, with its quirks.

use std::path::Path;

use serde::Deserialize;

use super::spacing::Spacing;
use super::{Count, Grid, MAX_STEPS, Schedule, ScheduleKind};
use crate::flow::kinds::Parameter;
use crate::{ModelError, Result};

/// The settings of diffusers' `FlowMatchEulerDiscreteScheduler` that change its grid.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct FlowMatchConfig {
    /// Time shift.
    pub shift: f64,
    /// Number of training timesteps; the smallest sigma is one over it, before the shift.
    pub num_train_timesteps: usize,
}

impl Default for FlowMatchConfig {
    fn default() -> Self {
        Self { shift: 1.0, num_train_timesteps: 1000 }
    }
}

/// The file, with the settings that are refused.
#[derive(Deserialize)]
struct Stored {
    #[serde(rename = "_class_name")]
    class_name: Option<String>,
    #[serde(flatten)]
    config: FlowMatchConfig,
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

/// Settings that lead to another grid or another step, unless they are off.
const UNSUPPORTED: [&str; 7] = [
    "use_dynamic_shifting",
    "shift_terminal",
    "invert_sigmas",
    "use_karras_sigmas",
    "use_exponential_sigmas",
    "use_beta_sigmas",
    "stochastic_sampling",
];

impl FlowMatchConfig {
    /// Reads a diffusers `scheduler/scheduler_config.json`.
    ///
    /// # Errors
    /// [`ModelError::FileNotFound`]; [`ModelError::Config`] with the name of a field that is wrong or unsupported.
    pub fn read(path: &Path) -> Result<Self> {
        crate::config_file::read(path, Self::parse)
    }

    /// As [`read`](Self::read), from the text of the file.
    ///
    /// # Errors
    /// What is wrong, with the name of the field.
    pub fn parse(text: &[u8]) -> std::result::Result<Self, String> {
        let stored: Stored = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if let Some(name) = stored.class_name.filter(|name| name != "FlowMatchEulerDiscreteScheduler") {
            return Err(format!("`_class_name` is `{name}`, expected `FlowMatchEulerDiscreteScheduler`"));
        }
        let off = |value: &serde_json::Value| {
            value.is_null() || value.as_bool() == Some(false) || value.as_f64() == Some(0.0)
        };
        let set = UNSUPPORTED.iter().find(|name| stored.rest.get(**name).is_some_and(|value| !off(value)));
        if let Some(name) = set {
            return Err(format!("`{name}` is set, which is not supported"));
        }
        stored.config.check()?;
        Ok(stored.config)
    }

    fn check(&self) -> std::result::Result<(), String> {
        // Beyond these bounds the formulas lose all digits in f32.
        if !(1e-4..=1e4).contains(&self.shift) {
            return Err(format!("`shift` is {}, expected 0.0001 to 10000", self.shift));
        }
        if self.num_train_timesteps == 0 {
            return Err("`num_train_timesteps` is 0".to_owned());
        }
        Ok(())
    }
}

/// The grid of diffusers' `FlowMatchEulerDiscreteScheduler`.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowMatchGrid {
    /// `steps + 1` noise levels, the last one 0.
    pub sigmas: Vec<f32>,
    /// `sigma * num_train_timesteps` of every step.
    pub timesteps: Vec<f32>,
    /// `1 - timestep / num_train_timesteps` of every step: what the network gets as its time.
    pub times: Vec<f64>,
}

impl FlowMatchGrid {
    /// The times as a grid for [`integrate`](crate::flow::integrate): those of the steps, then 1.
    pub fn points(&self) -> Vec<f64> {
        self.times.iter().copied().chain([1.0]).collect()
    }
}

/// The grid for `steps` steps, or for noise levels of one's own.
///
/// Two quirks are kept. The smallest level before the final 0 is about `1 / num_train_timesteps`, so the last step does
/// almost nothing. And with a shift other than 1 that level is shifted twice.
///
/// Source: `set_timesteps` of diffusers `schedulers/scheduling_flow_match_euler_discrete.py`, `LuminaPipeline.__call__`
/// for the time of the network.
///
/// # Errors
/// [`ModelError::Input`] for no steps, unsupported settings, or levels that do not fit `steps` or 0..1.
pub fn flow_match_euler(
    steps: usize,
    config: &FlowMatchConfig,
    sigmas: Option<&[f64]>,
) -> Result<FlowMatchGrid> {
    config
        .check()
        .map_err(|reason| ModelError::input("the scheduler config", "supported settings", reason))?;
    let scheduler = FlowMatch {
        shift: TimeShift::Fixed(config.shift),
        terminal: None,
        spacing: Spacing::Even,
        train_steps: config.num_train_timesteps,
    };
    scheduler.levels(steps, sigmas)
}

/// How noise levels are moved towards noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TimeShift {
    /// `s sigma / (1 + (s - 1) sigma)`.
    Fixed(f64),
    /// As with `s = e^mu`, for a `mu` that [`dynamic_shift`](super::dynamic_shift) gives for the size of a picture.
    Exponential(f64),
    /// As with `s = mu`.
    Linear(f64),
}

/// `FlowMatchEulerDiscreteScheduler` with all settings that change its grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowMatch {
    /// How noise levels are moved towards noise.
    pub shift: TimeShift,
    /// Stretches the levels so that the last before 0 is this one.
    pub terminal: Option<f64>,
    /// How levels lie between the first and the last.
    pub spacing: Spacing,
    /// Number of training timesteps; the smallest level is one over it.
    pub train_steps: usize,
}

impl FlowMatch {
    /// The grid for `steps` steps, or for noise levels of one's own.
    ///
    /// # Errors
    /// [`ModelError::Input`] for no steps, or levels that do not fit `steps` or 0..1.
    pub fn levels(&self, steps: usize, sigmas: Option<&[f64]>) -> Result<FlowMatchGrid> {
        if !(1..=MAX_STEPS).contains(&steps) {
            let expected = format!("1 to {MAX_STEPS}");
            return Err(ModelError::input("the number of steps", expected, steps.to_string()));
        }
        let train = self.train_steps as f64;
        let levels: Vec<f64> = match sigmas {
            Some(own) => {
                if own.len() != steps || own.iter().any(|sigma| !(0.0..=1.0).contains(sigma)) {
                    let expected = format!("{steps} values of 0..1");
                    return Err(ModelError::input("the sigmas", expected, format!("{own:?}")));
                }
                own.iter().map(|&sigma| f64::from(sigma as f32)).collect()
            }
            None => {
                let (first, last) = (self.bound(1.0) * train, self.bound(1.0 / train as f32) * train);
                let gap = if steps > 1 { (last - first) / (steps - 1) as f64 } else { 0.0 };
                (0..steps).map(|index| (first + gap * index as f64) / train).collect()
            }
        };
        let mut levels: Vec<f64> = levels.into_iter().map(|level| self.shift.moved(level)).collect();
        if let (Some(terminal), Some(&last)) = (self.terminal, levels.last()) {
            let scale = (1.0 - last) / (1.0 - terminal);
            levels.iter_mut().for_each(|level| *level = 1.0 - (1.0 - *level) / scale);
        }
        let levels = self.spacing.between(levels);
        let mut sigmas: Vec<f32> = levels.into_iter().map(|level| level as f32).collect();
        let timesteps: Vec<f32> = sigmas.iter().map(|sigma| sigma * train as f32).collect();
        let times = timesteps.iter().map(|step| f64::from(1.0 - step / train as f32)).collect();
        sigmas.push(0.0);
        Ok(FlowMatchGrid { sigmas, timesteps, times })
    }

    /// An end of the table that the levels lie in: it is shifted already, unless the shift is by the size of a picture.
    fn bound(&self, sigma: f32) -> f64 {
        match self.shift {
            TimeShift::Fixed(shift) => {
                let shift = shift as f32;
                f64::from(shift * sigma / (1.0 + (shift - 1.0) * sigma))
            }
            TimeShift::Exponential(_) | TimeShift::Linear(_) => f64::from(sigma),
        }
    }
}

impl TimeShift {
    fn moved(self, sigma: f64) -> f64 {
        let by = |factor: f64| factor / (factor + (1.0 / sigma - 1.0));
        match self {
            Self::Fixed(shift) => shift * sigma / (1.0 + (shift - 1.0) * sigma),
            Self::Exponential(mu) => by(mu.exp()),
            Self::Linear(mu) => by(mu),
        }
    }
}

impl Schedule for FlowMatch {
    fn grid(&self, count: Count) -> Result<Grid> {
        Ok(Grid::new(self.levels(count.steps()?, None)?.points()))
    }
}

pub(super) const KIND: ScheduleKind = ScheduleKind {
    name: "diffusers",
    about: "FlowMatchEulerDiscreteScheduler of diffusers, whose last step is a small one",
    parameters: &[
        super::shifted::SHIFT,
        Parameter::number(
            "mu",
            "a shift by the size of the picture in place of `shift`; 0 is none",
            0.0,
            0.0,
            10.0,
        ),
        Parameter::choice("time_shift_type", "what `mu` means", &["exponential", "linear"]),
        Parameter::number("shift_terminal", "the last noise level before 0; 0 leaves it", 0.0, 0.0, 0.99),
        Parameter::choice("spacing", "how noise levels lie", Spacing::NAMES),
    ],
    build: |settings| {
        let (mu, terminal) = (settings.number("mu"), settings.number("shift_terminal"));
        let shift = match (mu > 0.0, settings.word("time_shift_type")) {
            (false, _) => TimeShift::Fixed(settings.number("shift")),
            (true, "linear") => TimeShift::Linear(mu),
            (true, _) => TimeShift::Exponential(mu),
        };
        Box::new(FlowMatch {
            shift,
            terminal: Some(terminal).filter(|terminal| *terminal > 0.0),
            spacing: Spacing::named(settings.word("spacing")).unwrap_or_default(),
            train_steps: FlowMatchConfig::default().num_train_timesteps,
        })
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_one_more_than_steps() {
        let grid = flow_match_euler(4, &FlowMatchConfig::default(), None).unwrap();
        assert_eq!((grid.sigmas.len(), grid.times.len(), grid.points().len()), (5, 4, 5));
    }

    #[test]
    fn unsupported_settings_are_named() {
        let error = FlowMatchConfig::parse(br#"{"shift": 3.0, "use_karras_sigmas": true}"#).unwrap_err();
        assert!(error.contains("use_karras_sigmas"), "{error}");
        let config = FlowMatchConfig::parse(br#"{"shift": 3.0, "shift_terminal": null}"#).unwrap();
        assert_eq!(config, FlowMatchConfig { shift: 3.0, num_train_timesteps: 1000 });
    }
}
