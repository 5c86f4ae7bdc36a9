//! Paths from noise to data, and what a velocity says about the score and the noise on them.

use std::f64::consts::PI;

use candle_core::Tensor;

use crate::{ModelError, Result};

/// `x(t) = alpha(t) data + sigma(t) noise`. Everything released is made for [`Path::Linear`].
///
/// Source: `ICPlan`, `GVPCPlan` and `VPCPlan` of Lumina-T2X `lumina_next_t2i/transport/path.py`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Path {
    /// `alpha = t`, `sigma = 1 - t`.
    #[default]
    Linear,
    /// A quarter of a circle: `alpha = sin(pi t / 2)`, `sigma = cos(pi t / 2)`.
    Trigonometric,
    /// Variance preserving diffusion: `ln alpha = -(1 - t)^2 (20 - 0.1) / 4 - (1 - t) 0.1 / 2`, `sigma^2 = 1 - alpha^2`.
    VariancePreserving,
}

/// What a network predicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prediction {
    /// The velocity.
    #[default]
    Velocity,
    /// The gradient of the logarithm of the density.
    Score,
    /// The noise in the state.
    Noise,
}

/// The coefficients of a path at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// The share of data.
    pub alpha: f64,
    /// Its derivative.
    pub alpha_slope: f64,
    /// The share of noise.
    pub sigma: f64,
    /// Its derivative.
    pub sigma_slope: f64,
    /// `alpha_slope / alpha`.
    pub growth: f64,
    /// `growth * sigma^2 - sigma * sigma_slope`: what a score adds to the velocity.
    pub spread: f64,
}

const BETA_MIN: f64 = 0.1;
const BETA_MAX: f64 = 20.0;

impl Path {
    /// The coefficients at `time`; where the path begins some are infinite.
    pub fn at(self, time: f64) -> Coefficients {
        let (alpha, alpha_slope, sigma, sigma_slope, growth) = match self {
            Self::Linear => (time, 1.0, 1.0 - time, -1.0, 1.0 / time),
            Self::Trigonometric => {
                let (sine, cosine) = (0.5 * PI * time).sin_cos();
                (sine, 0.5 * PI * cosine, cosine, -0.5 * PI * sine, 0.5 * PI * cosine / sine)
            }
            Self::VariancePreserving => {
                let left = 1.0 - time;
                let log = -0.25 * left * left * (BETA_MAX - BETA_MIN) - 0.5 * left * BETA_MIN;
                let slope = 0.5 * left * (BETA_MAX - BETA_MIN) + 0.5 * BETA_MIN;
                let (alpha, sigma) = (log.exp(), (-(2.0 * log).exp_m1()).sqrt());
                (alpha, alpha * slope, sigma, -alpha * alpha * slope / sigma, slope)
            }
        };
        let spread = match self {
            // The general formula, in which the ends cancel.
            Self::VariancePreserving => growth,
            _ => growth * sigma * sigma - sigma * sigma_slope,
        };
        Coefficients { alpha, alpha_slope, sigma, sigma_slope, growth, spread }
    }

    /// The state at `time` between `noise` and `data`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn state(self, data: &Tensor, noise: &Tensor, time: f64) -> Result<Tensor> {
        let at = self.at(time);
        Ok(((data * at.alpha)? + (noise * at.sigma)?)?)
    }

    /// The velocity at `time` of the path between `noise` and `data`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn target(self, data: &Tensor, noise: &Tensor, time: f64) -> Result<Tensor> {
        let at = self.at(time);
        Ok(((data * at.alpha_slope)? + (noise * at.sigma_slope)?)?)
    }

    /// The velocity that a prediction at `state` means.
    ///
    /// # Errors
    /// Those of the device.
    pub fn velocity(
        self,
        prediction: Prediction,
        predicted: &Tensor,
        state: &Tensor,
        time: f64,
    ) -> Result<Tensor> {
        let at = self.at(time);
        let factor = match prediction {
            Prediction::Velocity => return Ok(predicted.clone()),
            Prediction::Score => at.spread,
            Prediction::Noise => -at.spread / at.sigma,
        };
        Ok(((state * at.growth)? + (predicted * factor)?)?)
    }

    /// The score that a velocity at `state` means.
    ///
    /// # Errors
    /// Those of the device.
    pub fn score(self, velocity: &Tensor, state: &Tensor, time: f64) -> Result<Tensor> {
        let at = self.at(time);
        let ratio = at.alpha / at.alpha_slope;
        let variance = at.sigma * at.sigma - ratio * at.sigma_slope * at.sigma;
        Ok((((velocity * ratio)? - state)? / variance)?)
    }

    /// The noise that a velocity at `state` means.
    ///
    /// # Errors
    /// Those of the device.
    pub fn noise(self, velocity: &Tensor, state: &Tensor, time: f64) -> Result<Tensor> {
        let at = self.at(time);
        let ratio = at.alpha / at.alpha_slope;
        Ok((((velocity * ratio)? - state)? / (ratio * at.sigma_slope - at.sigma))?)
    }
}

/// How much noise a stochastic sampler adds at each time.
///
/// Source: `compute_diffusion` of Lumina-T2X `transport/path.py`. That code fails with three of the forms: it takes the
/// square root of a plain number for `constant`, divides by zero at time 0 for `sbdm`, and misspells
/// `increasing-decreasing`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Diffusion {
    /// `norm * sigma`.
    #[default]
    Sigma,
    /// `norm * (1 - t)`.
    Linear,
    /// `(norm * cos(pi t) + 1)^2 / 4`.
    Decreasing,
    /// `norm * sin(pi t)^2`.
    IncreasingDecreasing,
    /// `norm`.
    Constant,
    /// `norm * spread`, which is infinite at time 0.
    Sbdm,
}

impl Diffusion {
    /// The names of all forms; `sigma` is the default.
    pub const NAMES: &'static [&'static str] =
        &["sigma", "linear", "decreasing", "increasing_decreasing", "constant", "sbdm"];

    /// The form of this name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sigma" => Self::Sigma,
            "linear" => Self::Linear,
            "decreasing" => Self::Decreasing,
            "increasing_decreasing" => Self::IncreasingDecreasing,
            "constant" => Self::Constant,
            "sbdm" => Self::Sbdm,
            _ => return None,
        })
    }

    /// The strength at `time`.
    ///
    /// # Errors
    /// [`ModelError::Input`] where it is infinite.
    pub fn at(self, path: Path, norm: f64, time: f64) -> Result<f64> {
        let strength = match self {
            Self::Sigma => norm * path.at(time).sigma,
            Self::Linear => norm * (1.0 - time),
            Self::Decreasing => 0.25 * (norm * (PI * time).cos() + 1.0).powi(2),
            Self::IncreasingDecreasing => norm * (PI * time).sin().powi(2),
            Self::Constant => norm,
            Self::Sbdm => norm * path.at(time).spread,
        };
        if strength.is_finite() {
            return Ok(strength);
        }
        Err(ModelError::input(
            "the diffusion `sbdm`",
            "a grid that begins above time 0",
            format!("{strength} at {time}"),
        ))
    }
}
