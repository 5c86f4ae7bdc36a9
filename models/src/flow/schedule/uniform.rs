//! Equal distances.

use super::{Count, Grid, MAX_STEPS, Schedule, ScheduleKind};
use crate::{ModelError, Result};

pub(super) const KIND: ScheduleKind = ScheduleKind {
    name: "uniform",
    about: "equal distances from 0 to 1",
    parameters: &[],
    build: |_| Box::new(Uniform),
};

/// Equal distances from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uniform;

impl Schedule for Uniform {
    fn grid(&self, count: Count) -> Result<Grid> {
        Ok(Grid::new(uniform(count.points()?)?))
    }
}

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
