//! A shift by the size of the picture.

use super::shifted::shifted;
use super::{Count, Grid, Schedule, ScheduleKind};
use crate::Result;
use crate::flow::kinds::Parameter;

pub(super) const KIND: ScheduleKind = ScheduleKind {
    name: "resolution",
    about: "`shifted`, by more for larger pictures",
    parameters: &[
        Parameter::number("tokens", "tokens of the picture: its size over 16, squared", 4096.0, 1.0, 1e9),
        Parameter::number("base_tokens", "tokens at which the shift is e^base_shift", 256.0, 1.0, 1e9),
        Parameter::number("max_tokens", "tokens at which the shift is e^max_shift", 4096.0, 1.0, 1e9),
        Parameter::number("base_shift", "logarithm of the shift of small pictures", 0.5, -10.0, 10.0),
        Parameter::number("max_shift", "logarithm of the shift of large pictures", 1.15, -10.0, 10.0),
    ],
    build: |settings| {
        Box::new(DynamicShift {
            tokens: settings.number("tokens"),
            base: (settings.number("base_tokens"), settings.number("base_shift")),
            most: (settings.number("max_tokens"), settings.number("max_shift")),
        })
    },
};

/// [`shifted`] by `e^mu`, with `mu` of [`dynamic_shift`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DynamicShift {
    /// Tokens of the picture.
    pub tokens: f64,
    /// Tokens and `mu` of small pictures.
    pub base: (f64, f64),
    /// Tokens and `mu` of large pictures.
    pub most: (f64, f64),
}

impl Schedule for DynamicShift {
    fn grid(&self, count: Count) -> Result<Grid> {
        let mu = dynamic_shift(self.tokens, self.base, self.most);
        Ok(Grid::new(shifted(count.points()?, mu.exp())?))
    }
}

/// `mu` on the straight line through two pairs of tokens and `mu`, also beyond them.
///
/// Source: `calculate_shift` of diffusers 0.42.1 `pipelines/lumina2/pipeline_lumina2.py`; its pairs are (256, 0.5) and
/// (4096, 1.15).
pub fn dynamic_shift(tokens: f64, base: (f64, f64), most: (f64, f64)) -> f64 {
    let slope = (most.1 - base.1) / (most.0 - base.0);
    tokens * slope + (base.1 - slope * base.0)
}
