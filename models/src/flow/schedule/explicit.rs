//! Times of one's own.

use super::{Count, Grid, Schedule, ScheduleKind};
use crate::flow::kinds::{Domain, Parameter};
use crate::{ModelError, Result};

pub(super) const KIND: ScheduleKind = ScheduleKind {
    name: "explicit",
    about: "the times that `times` lists",
    parameters: &[Parameter { name: "times", about: "from noise to data", domain: Domain::Numbers }],
    build: |settings| Box::new(Explicit { times: settings.numbers("times").to_vec() }),
};

/// A list of times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explicit {
    /// Two or more that rise, of 0 to 1.
    pub times: Vec<f64>,
}

impl Schedule for Explicit {
    fn grid(&self, count: Count) -> Result<Grid> {
        let rises = self.times.windows(2).all(|pair| matches!(pair, [start, end] if start < end));
        if !rises || self.times.len() < 2 || self.times.iter().any(|time| !(0.0..=1.0).contains(time)) {
            let found = format!("{:?}", self.times);
            return Err(ModelError::input("`times`", "two or more of 0 to 1 that rise", found));
        }
        if self.times.len() != count.points()? {
            let (expected, found) = (format!("{} points", count.points()?), self.times.len().to_string());
            return Err(ModelError::input("the number of `times`", expected, found));
        }
        Ok(Grid::new(self.times.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_do_not_rise_or_fit_are_refused() {
        for times in
            [vec![0.0, 0.5, 0.4], vec![0.0, 0.5, 1.5], vec![0.0, f64::NAN, 1.0], vec![0.0, 1.0], vec![0.5]]
        {
            let result = Explicit { times: times.clone() }.grid(Count::Points(3));
            assert!(matches!(result, Err(ModelError::Input { .. })), "{times:?}");
        }
    }
}
