//! How noise levels lie between the first and the last.

/// The spacing of noise levels.
///
/// Source: `_convert_to_karras`, `_convert_to_exponential` and `_convert_to_beta` of diffusers 0.42.1
/// `schedulers/scheduling_flow_match_euler_discrete.py`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spacing {
    /// As they are.
    #[default]
    Even,
    /// Equal distances of the seventh root (arXiv 2206.00364).
    Karras,
    /// Equal distances of the logarithm.
    Exponential,
    /// The quantiles of the beta distribution with both parameters 0.6 (arXiv 2407.12173).
    Beta,
}

impl Spacing {
    /// The names of all spacings; `even` is the default.
    pub const NAMES: &'static [&'static str] = &["even", "karras", "exponential", "beta"];

    /// The spacing of this name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "even" => Self::Even,
            "karras" => Self::Karras,
            "exponential" => Self::Exponential,
            "beta" => Self::Beta,
            _ => return None,
        })
    }

    /// As many levels as these, between the first and the last of them.
    pub(super) fn between(self, levels: Vec<f64>) -> Vec<f64> {
        let (Some(&first), Some(&last)) = (levels.first(), levels.last()) else { return levels };
        let gaps = levels.len().saturating_sub(1).max(1) as f64;
        let share = |index: usize| index as f64 / gaps;
        let indices = 0..levels.len();
        match self {
            Self::Even => levels,
            Self::Karras => {
                let (from, to) = (first.powf(1.0 / 7.0), last.powf(1.0 / 7.0));
                indices.map(|index| (from + share(index) * (to - from)).powi(7)).collect()
            }
            Self::Exponential => {
                let (from, to) = (first.ln(), last.ln());
                indices.map(|index| (from + share(index) * (to - from)).exp()).collect()
            }
            Self::Beta => {
                indices.map(|index| last + beta_quantile(1.0 - share(index)) * (first - last)).collect()
            }
        }
    }
}

/// Both parameters of the beta distribution.
const SHAPE: f64 = 0.6;

/// Where the beta distribution has this probability below.
fn beta_quantile(probability: f64) -> f64 {
    if probability <= 0.0 || probability >= 1.0 {
        return probability.clamp(0.0, 1.0);
    }
    if probability > 0.5 {
        return 1.0 - beta_quantile_low(1.0 - probability);
    }
    beta_quantile_low(probability)
}

/// For probabilities up to a half, by halving.
fn beta_quantile_low(probability: f64) -> f64 {
    let whole = 2.0 * beta_integral(0.5);
    let (mut low, mut high) = (0.0, 0.5);
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        if beta_integral(middle) < probability * whole {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// The integral of `(u (1 - u))^(SHAPE - 1)` up to `place`, which is at most a half: the series of the binomial in powers
/// of `u`.
fn beta_integral(place: f64) -> f64 {
    let (mut power, mut coefficient, mut sum) = (place.powf(SHAPE), 1.0, 0.0);
    for index in 0..200_u32 {
        let index = f64::from(index);
        sum += coefficient * power / (SHAPE + index);
        coefficient *= (index + 1.0 - SHAPE) / (index + 1.0);
        power *= place;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_beta_distribution_are_symmetric() {
        for probability in [0.01, 0.2, 0.4, 0.5] {
            let sum = beta_quantile(probability) + beta_quantile(1.0 - probability);
            assert!((sum - 1.0).abs() < 1e-12, "{probability}: {sum}");
        }
        // The whole integral is B(0.6, 0.6) = gamma(0.6)^2 / gamma(1.2).
        assert!((2.0 * beta_integral(0.5) - 1.489_192_248_8_f64.powi(2) / 0.918_168_742_4).abs() < 1e-8);
    }
}
