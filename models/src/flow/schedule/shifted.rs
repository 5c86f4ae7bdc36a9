//! More points near noise, or near data.

use super::uniform::uniform;
use super::{Count, Grid, Schedule, ScheduleKind, check_shift};
use crate::Result;
use crate::flow::kinds::Parameter;

/// The setting that all shifted grids have.
pub(super) const SHIFT: Parameter =
    Parameter::number("shift", "more points near noise when above 1", 1.0, 1e-4, 1e4);

pub(super) const KIND: ScheduleKind = ScheduleKind {
    name: "shifted",
    about: "t / (t + shift * (1 - t)): the rational schedule of the papers, the shift of SD3",
    parameters: &[SHIFT],
    build: |settings| Box::new(Shifted { shift: settings.number("shift") }),
};

/// [`shifted`] as a schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shifted {
    /// More points near noise when above 1.
    pub shift: f64,
}

impl Schedule for Shifted {
    fn grid(&self, count: Count) -> Result<Grid> {
        Ok(Grid::new(shifted(count.points()?, self.shift)?))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_of_one_changes_nothing() {
        assert_eq!(shifted(5, 1.0).unwrap(), uniform(5).unwrap());
        assert!(shifted(5, 0.0).is_err());
    }
}
