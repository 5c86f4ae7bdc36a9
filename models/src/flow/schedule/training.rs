//! At which times a network was trained.

/// A distribution of training times.
///
/// Source: `snr_type` of Lumina-T2X `transport/transport.py`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum TrainingTimes {
    /// All alike.
    #[default]
    Uniform,
    /// All between two times alike.
    Between(f64, f64),
    /// `1 / (1 + e^-z)` with standard normal `z`.
    LogNormal,
    /// `s u / (1 + (s - 1) u)`: towards data for `s` above 1, the other way round than the shift of a sampling.
    Shifted(f64),
}

impl TrainingTimes {
    /// The time for a number of 0 to 1 and a standard normal one, of which one counts.
    pub fn at(self, uniform: f64, normal: f64) -> f64 {
        match self {
            Self::Uniform => uniform,
            Self::Between(from, to) => from + (to - from) * uniform,
            Self::LogNormal => 1.0 / (1.0 + (-normal).exp()),
            Self::Shifted(shift) => shift * uniform / (1.0 + (shift - 1.0) * uniform),
        }
    }
}
