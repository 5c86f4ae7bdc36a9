//! Sampling along a flow: time 0 is noise, time 1 is data, the velocity points from noise to data.

mod anagram;
mod ddim;
mod guidance;
mod kinds;
mod noise_source;
mod path;
mod schedule;
mod solver;
mod view;

pub use anagram::{Guide, integrate_views};
pub use ddim::{Betas, Ddim, DdimSteps};
pub use guidance::{Guidance, GuidedChannels};
pub use kinds::{Checked, Domain, Kind, Kinds, Parameter, Setting, Settings};
pub use noise_source::seeded;
pub use path::{Coefficients, Diffusion, Path, Prediction};
pub use schedule::{
    Count, DiffusersFlow, DynamicShift, Explicit, FlowMatch, FlowMatchConfig, FlowMatchGrid, Grid,
    LogitNormal, Running, Schedule, ScheduleKind, Schedules, Shifted, ShiftedFloat32, Sigmoid, Spacing,
    TimeShift, TrainingTimes, Uniform, dynamic_shift, flow_match_euler, kept, running, shifted,
    shifted_float32, uniform,
};
pub use solver::{
    Adams, ClassicRungeKutta4, Corrections, Dpm, DpmSingle, Embedded, Euler, Heun2, Heun3, HeunFlow,
    Integration, LastStep, Lcm, Midpoint, NoiseSource, RungeKutta4, Sde, Solution, Solver, SolverKind,
    Solvers, Span, StatePrecision, Step, Tableau, TorchdynRungeKutta4, UniPc, Walk, integrate,
};
pub use view::View;
