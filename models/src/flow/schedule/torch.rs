//! Grids in the f32 arithmetic of torch, bit by bit.

use super::uniform::uniform;
use super::{Count, Grid, Schedule, ScheduleKind, check_shift, shifted};
use crate::{ModelError, Result};

pub(super) const SHIFTED: ScheduleKind = ScheduleKind {
    name: "shifted_float32",
    about: "the grid of `shifted` as the original code computes it, in float32",
    parameters: &[shifted::SHIFT],
    build: |settings| Box::new(ShiftedFloat32 { shift: settings.number("shift") }),
};

pub(super) const RUNNING: ScheduleKind = ScheduleKind {
    name: "torchdyn",
    about: "equal distances, each time the sum of those before in float32: for the networks of sound",
    parameters: &[],
    build: |_| Box::new(Running),
};

/// [`shifted_float32`] as a schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShiftedFloat32 {
    /// More points near noise when above 1.
    pub shift: f64,
}

impl Schedule for ShiftedFloat32 {
    fn grid(&self, count: Count) -> Result<Grid> {
        Ok(Grid::new(shifted_float32(count.points()?, self.shift)?))
    }
}

/// [`running`] as a schedule, from the first point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Running;

impl Schedule for Running {
    fn grid(&self, count: Count) -> Result<Grid> {
        Ok(Grid::new(running(count.points()?, 0)?))
    }
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

/// As [`shifted`](super::shifted()), in the f32 arithmetic of torch, bit by bit: for a state that is rounded as well.
///
/// Source: `ODE.__init__` of Lumina-T2X `transport/integrators.py`, `linspace` of torch.
///
/// # Errors
/// As [`shifted`](super::shifted()).
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
}
