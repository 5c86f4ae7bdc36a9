//! The grids of the multistep schedulers of diffusers.

use super::{Count, Grid, Schedule, ScheduleKind};
use crate::Result;
use crate::flow::kinds::Parameter;

const SHIFT: Parameter = super::shifted::SHIFT;
const LAST: Parameter = Parameter::choice(
    "final_sigmas_type",
    "where the grid ends: at data, or just before",
    &["zero", "sigma_min"],
);

pub(super) const DPM: ScheduleKind = ScheduleKind {
    name: "diffusers_dpm",
    about: "DPMSolverMultistepScheduler of diffusers with flow sigmas; the network is told whole timesteps",
    parameters: &[SHIFT, LAST],
    build: |settings| {
        let to_data = settings.word("final_sigmas_type") != "sigma_min";
        Box::new(DiffusersFlow { shift: settings.number("shift"), unipc: false, to_data })
    },
};

pub(super) const UNIPC: ScheduleKind = ScheduleKind {
    name: "diffusers_unipc",
    about: "UniPCMultistepScheduler of diffusers with flow sigmas; the network is told whole timesteps",
    parameters: &[SHIFT],
    build: |settings| Box::new(DiffusersFlow { shift: settings.number("shift"), unipc: true, to_data: true }),
};

/// Timesteps of the training.
const TRAIN: f64 = 1000.0;

/// Noise levels at equal distances, then shifted. The network is told the timestep of a level cut to a whole number, which
/// is a little nearer to data than the level itself.
///
/// Source: `set_timesteps` of `DPMSolverMultistepScheduler` and `UniPCMultistepScheduler` of diffusers 0.42.1 with
/// `use_flow_sigmas` and 1000 training timesteps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiffusersFlow {
    /// More points near noise when above 1.
    pub shift: f64,
    /// The levels of UniPC, from 0.999999 on, in place of those of DPM-Solver++, from 0.999 on.
    pub unipc: bool,
    /// Whether the grid ends at data. If not, it ends at the smallest level of the diffusion table of the scheduler, which
    /// has nothing to do with the flow.
    pub to_data: bool,
}

impl Schedule for DiffusersFlow {
    fn grid(&self, count: Count) -> Result<Grid> {
        super::check_shift(self.shift)?;
        let steps = count.steps()?;
        // linspace(1, 1 / 1000, steps + 1)
        let even = |index: usize| 1.0 + index as f64 * ((1.0 / TRAIN - 1.0) / steps as f64);
        let moved = |sigma: f64| self.shift * sigma / (1.0 + (self.shift - 1.0) * sigma);
        let level = |index: usize| {
            if !self.unipc {
                return moved(1.0 - if index == 0 { 1.0 / TRAIN } else { even(steps - index) });
            }
            let sigma = moved(even(index));
            // Where all is noise the logarithms of the solver are infinite.
            if (sigma - 1.0).abs() < 1e-6 { sigma - 1e-6 } else { sigma }
        };
        let levels: Vec<f64> = (0..steps).map(level).collect();
        let told = levels.iter().map(|level| f64::from(1.0 - (level * TRAIN).trunc() as f32 / TRAIN as f32));
        let told: Vec<f64> = told.collect();
        let last = if self.to_data { 0.0 } else { (1e-4_f64 / 0.9999).sqrt() };
        let points = levels.into_iter().chain([last]).map(|level| 1.0 - f64::from(level as f32)).collect();
        Ok(Grid { points, told: Some(told) })
    }
}
