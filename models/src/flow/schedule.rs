//! At which times the velocity is asked for.
//!
//! Two ways of counting exist. The original code counts **points**: n points are n - 1 steps. diffusers counts
//! **steps**: n steps are n evaluations and n + 1 points. Arguments here say which one they mean.

use std::path::Path;

use serde::Deserialize;

use crate::{ModelError, Result};

/// More steps than anyone has time for.
const MAX_STEPS: usize = 1 << 20;

/// `points` times from 0 to 1 at equal distances: `points - 1` steps.
///
/// # Errors
/// [`ModelError::Input`] for less than two points.
pub fn uniform(points: usize) -> Result<Vec<f64>> {
    if !(2..=MAX_STEPS).contains(&points) {
        let expected = format!("2 to {MAX_STEPS}");
        return Err(ModelError::input("the number of grid points", expected, points.to_string()));
    }
    let last = (points - 1) as f64;
    Ok((0..points).map(|index| index as f64 / last).collect())
}

/// The times that torchdyn's solvers reach on a uniform grid of `points`, without the `first` of them: each is the one
/// before plus the distance to the next point, all in f32. They differ from [`uniform`] in the last bit, which shows
/// where a network is told whole thousandths.
///
/// Source: `_fixed_odeint` of torchdyn 1.0.6 and `linspace` of torch, as Lumina-T2X `lumina_audio` calls them.
///
/// # Errors
/// [`ModelError::Input`] for less than two points, or less than two that are left.
pub fn running(points: usize, first: usize) -> Result<Vec<f64>> {
    let grid = linspace(points)?;
    let mut left = grid.iter().skip(first);
    let (Some(&start), true) = (left.next(), first + 2 <= grid.len()) else {
        let expected = format!("at most {}", grid.len() - 2);
        return Err(ModelError::input("the number of grid points left out", expected, first.to_string()));
    };
    let mut time = start;
    let mut times = vec![f64::from(time)];
    for point in left {
        time += point - time;
        times.push(f64::from(time));
    }
    Ok(times)
}

/// As [`shifted`], in the f32 arithmetic of torch, bit by bit: for a state that is rounded as well.
///
/// Source: `ODE.__init__` of Lumina-T2X `transport/integrators.py`, `linspace` of torch.
///
/// # Errors
/// As [`shifted`].
pub fn shifted_float32(points: usize, shift: f64) -> Result<Vec<f64>> {
    check_shift(shift)?;
    let shift = shift as f32;
    Ok(linspace(points)?.into_iter().map(|t| f64::from(t / (t + shift - shift * t))).collect())
}

/// `linspace(0, 1, points)` of torch in f32: from both ends to the middle.
fn linspace(points: usize) -> Result<Vec<f32>> {
    let count = uniform(points)?.len();
    let step = 1.0 / (count - 1) as f32;
    let point = |index: usize| {
        if index < count / 2 {
            step * index as f32
        } else {
            // The product is not rounded before it is subtracted.
            (-step).mul_add((count - 1 - index) as f32, 1.0)
        }
    };
    Ok((0..count).map(point).collect())
}

/// As [`uniform`], each time `t` moved to `t / (t + shift (1 - t))`: more of them near noise for a shift above 1.
///
/// Source: `ODE.__init__` of Lumina-T2X `transport/integrators.py` (`time_shifting_factor`).
///
/// # Errors
/// [`ModelError::Input`] for less than two points or a shift that is not a positive number.
pub fn shifted(points: usize, shift: f64) -> Result<Vec<f64>> {
    check_shift(shift)?;
    let mut times: Vec<f64> = uniform(points)?.into_iter().map(|t| t / (t + shift * (1.0 - t))).collect();
    // 0 / shift and 1 / 1 are exact, but only as long as nobody changes the formula.
    if let [first, .., last] = times.as_mut_slice() {
        (*first, *last) = (0.0, 1.0);
    }
    Ok(times)
}

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
    /// The times as a grid for [`integrate`](super::integrate): those of the steps, then 1.
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
    if !(1..=MAX_STEPS).contains(&steps) {
        return Err(ModelError::input("the number of steps", format!("1 to {MAX_STEPS}"), steps.to_string()));
    }
    let shift = |sigma: f64| config.shift * sigma / (1.0 + (config.shift - 1.0) * sigma);
    let train = config.num_train_timesteps as f64;
    let levels: Vec<f64> = match sigmas {
        Some(own) => {
            if own.len() != steps || own.iter().any(|sigma| !(0.0..=1.0).contains(sigma)) {
                return Err(ModelError::input(
                    "the sigmas",
                    format!("{steps} values of 0..1"),
                    format!("{own:?}"),
                ));
            }
            own.iter().map(|&sigma| f64::from(sigma as f32)).collect()
        }
        None => {
            let shifted_f32 = |sigma: f32| {
                let shift = config.shift as f32;
                f64::from(shift * sigma / (1.0 + (shift - 1.0) * sigma))
            };
            let (first, last) = (shifted_f32(1.0) * train, shifted_f32(1.0 / train as f32) * train);
            let gap = if steps > 1 { (last - first) / (steps - 1) as f64 } else { 0.0 };
            (0..steps).map(|index| (first + gap * index as f64) / train).collect()
        }
    };
    let mut sigmas: Vec<f32> = levels.into_iter().map(|level| shift(level) as f32).collect();
    let timesteps: Vec<f32> = sigmas.iter().map(|sigma| sigma * train as f32).collect();
    let times = timesteps.iter().map(|step| f64::from(1.0 - step / train as f32)).collect();
    sigmas.push(0.0);
    Ok(FlowMatchGrid { sigmas, timesteps, times })
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

    #[test]
    fn running_times_are_a_last_bit_away_from_the_grid() {
        let times = running(31, 18).unwrap();
        assert_eq!((times.len(), times[12]), (13, 1.0));
        // 0.6 in f32 is above it; what torch has there is below.
        assert!(times[0] < f64::from(0.6_f32) && (times[0] - 0.6).abs() < 1e-7);
        let told: Vec<f32> = running(16, 0).unwrap().iter().map(|&t| (t as f32 * 1000.0).trunc()).collect();
        assert_eq!(told[7..10], [466.0, 533.0, 599.0]);
        for (points, first) in [(1, 0), (5, 4), (5, 9)] {
            assert!(matches!(running(points, first), Err(ModelError::Input { .. })));
        }
    }

    #[test]
    fn points_are_one_more_than_steps() {
        assert_eq!(uniform(3).unwrap(), [0.0, 0.5, 1.0]);
        assert!(uniform(1).is_err());
        let grid = flow_match_euler(4, &FlowMatchConfig::default(), None).unwrap();
        assert_eq!((grid.sigmas.len(), grid.times.len(), grid.points().len()), (5, 4, 5));
    }

    #[test]
    fn a_shift_of_one_changes_nothing() {
        assert_eq!(shifted(5, 1.0).unwrap(), uniform(5).unwrap());
        assert!(shifted(5, 0.0).is_err());
    }

    #[test]
    fn unsupported_settings_are_named() {
        let error = FlowMatchConfig::parse(br#"{"shift": 3.0, "use_karras_sigmas": true}"#).unwrap_err();
        assert!(error.contains("use_karras_sigmas"), "{error}");
        let config = FlowMatchConfig::parse(br#"{"shift": 3.0, "shift_terminal": null}"#).unwrap();
        assert_eq!(config, FlowMatchConfig { shift: 3.0, num_train_timesteps: 1000 });
    }
}
