//! Sampling along a flow: time 0 is noise, time 1 is data, the velocity points from noise to data.

mod anagram;
mod guidance;
mod schedule;
mod solver;
mod view;

pub use anagram::{Guide, integrate_views};
pub use guidance::{Guidance, GuidedChannels};
pub use schedule::{FlowMatchConfig, FlowMatchGrid, flow_match_euler, running, shifted, uniform};
pub use solver::{Solution, Solver, Step, integrate};
pub use view::View;
