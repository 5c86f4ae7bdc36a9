//! Rotary scaling that is the same for all frequencies, and how it switches over the sampling time.

/// How rotary frequencies are changed in one evaluation, all to the same degree or the slow ones alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeFactors {
    /// Frequencies are divided by this (position interpolation).
    pub linear: f64,
    /// The base is multiplied by this (NTK scaling).
    pub ntk: f64,
}

impl Default for RopeFactors {
    fn default() -> Self {
        Self { linear: 1.0, ntk: 1.0 }
    }
}

/// How rotary frequencies change over the sampling time, for pictures larger than those of the training.
///
/// Source: `forward_with_cfg` of Lumina-T2X `models/model.py` (`scale_factor`, `scale_watershed`), diffusers
/// `LuminaPipeline.__call__` (`scaling_watershed`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeScaling {
    /// Square root of the ratio of picture areas; 1 changes nothing.
    pub scale_factor: f64,
    /// Below this time positions are interpolated, from it on the base is scaled. diffusers' default is 1.
    pub watershed: f64,
}

impl Default for RopeScaling {
    fn default() -> Self {
        Self { scale_factor: 1.0, watershed: 1.0 }
    }
}

impl RopeScaling {
    /// The factors for one evaluation.
    pub fn factors_at(&self, time: f64) -> RopeFactors {
        // The reference compares the f32 time with a double: 0.7 as f32 lies below 0.7.
        if f64::from(time as f32) < self.watershed {
            RopeFactors { linear: self.scale_factor, ntk: 1.0 }
        } else {
            RopeFactors { linear: 1.0, ntk: self.scale_factor }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watershed_is_compared_with_the_time_as_f32() {
        let scaling = |watershed| RopeScaling { scale_factor: 2.0, watershed };
        assert_eq!(scaling(0.7).factors_at(0.7).linear, 2.0); // 0.7 as f32 is below 0.7
        assert_eq!(scaling(0.3).factors_at(0.3).ntk, 2.0); // 0.3 as f32 is above 0.3
        assert_eq!(scaling(0.6).factors_at(0.6).ntk, 2.0);
    }
}
