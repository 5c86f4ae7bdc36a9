//! Sampling along a flow: time 0 is noise, time 1 is data, the velocity points from noise to data.

mod anagram;
mod guidance;
mod kinds;
mod schedule;
mod solver;
mod view;

pub use anagram::{Guide, integrate_views};
pub use guidance::{Guidance, GuidedChannels};
pub use kinds::{Checked, Domain, Kind, Kinds, Parameter, Setting, Settings};
pub use schedule::{
    FlowMatchConfig, FlowMatchGrid, flow_match_euler, running, shifted, shifted_float32, uniform,
};
pub use solver::{
    Adams, ClassicRungeKutta4, Corrections, Embedded, Euler, Heun2, Heun3, Integration, Midpoint,
    NoiseSource, RungeKutta4, Solution, Solver, SolverKind, Solvers, Span, StatePrecision, Step, Tableau,
    TorchdynRungeKutta4, Walk, integrate,
};
pub use view::View;
