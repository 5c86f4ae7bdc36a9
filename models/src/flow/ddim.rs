//! DDIM, of the diffusion that the code of the audio networks still carries.
//!
//! No released pipeline samples with it: the networks are trained to predict velocities, and it reads them as noise.

use candle_core::Tensor;

use crate::{ModelError, Result};

/// How much noise each of the timesteps of a diffusion adds.
///
/// Source: `make_beta_schedule` of Lumina-T2X `lumina_audio/models/diffusion/util.py`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Betas {
    /// Equal distances of the square root, between two values.
    Linear(f64, f64),
    /// Equal distances, between two values; its name there is `sqrt_linear`.
    Plain(f64, f64),
    /// The square roots of equal distances between two values; its name there is `sqrt`.
    Root(f64, f64),
    /// By the squared cosine of what is left.
    Cosine,
}

impl Betas {
    /// The noise of each of `count` timesteps.
    pub fn values(self, count: usize) -> Vec<f64> {
        let even = |from: f64, to: f64, index: usize| {
            from + (to - from) * index as f64 / count.saturating_sub(1).max(1) as f64
        };
        match self {
            Self::Linear(from, to) => {
                (0..count).map(|index| even(from.sqrt(), to.sqrt(), index).powi(2)).collect()
            }
            Self::Plain(from, to) => (0..count).map(|index| even(from, to, index)).collect(),
            Self::Root(from, to) => (0..count).map(|index| even(from, to, index).sqrt()).collect(),
            Self::Cosine => {
                let left = |index: usize| {
                    let place = index as f64 / count as f64;
                    ((place + 8e-3) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2)
                };
                let beta = |index: usize| (1.0 - left(index + 1) / left(index)).clamp(0.0, 0.999);
                (0..count).map(beta).collect()
            }
        }
    }

    /// The share of the data's variance that is left after each of `count` timesteps.
    pub fn left(self, count: usize) -> Vec<f64> {
        let product = |left: &mut f64, beta: f64| {
            *left *= 1.0 - beta;
            Some(*left)
        };
        self.values(count).into_iter().scan(1.0, product).collect()
    }
}

/// Which timesteps are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DdimSteps {
    /// Equal distances, which can be one more than was asked for.
    #[default]
    Uniform,
    /// Squares of equal distances.
    Quadratic,
}

/// The coefficients of a sampling, from the first timestep to the last; it runs from the last to the first.
///
/// Source: `make_ddim_timesteps` and `make_ddim_sampling_parameters` of Lumina-T2X
/// `lumina_audio/models/diffusion/util.py`, `p_sample_ddim` of its `ddim.py`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ddim {
    /// What the network is told, up to the number of timesteps.
    pub timesteps: Vec<usize>,
    /// The share of the data's variance at each of them.
    pub alphas: Vec<f64>,
    /// The same one step nearer to data.
    pub alphas_before: Vec<f64>,
    /// How much noise is added.
    pub sigmas: Vec<f64>,
}

impl Ddim {
    /// For about `steps` steps over timesteps after each of which `left` of the data's variance is left. `eta` is how much
    /// noise is added, from none to that of the diffusion.
    ///
    /// # Errors
    /// [`ModelError::Input`] for no steps or more than timesteps, and for numbers of steps that reach beyond the last
    /// timestep, which the original fails on.
    pub fn new(steps: usize, how: DdimSteps, left: &[f64], eta: f64) -> Result<Self> {
        if steps == 0 || steps > left.len() {
            let expected = format!("1 to {}", left.len());
            return Err(ModelError::input("the number of steps", expected, steps.to_string()));
        }
        let count = left.len();
        let indices: Vec<usize> = match how {
            DdimSteps::Uniform => (0..count).step_by(count / steps).collect(),
            DdimSteps::Quadratic => {
                let last = (count as f64 * 0.8).sqrt();
                let gaps = steps.saturating_sub(1).max(1) as f64;
                (0..steps).map(|index| (last * index as f64 / gaps).powi(2) as usize).collect()
            }
        };
        let timesteps: Vec<usize> = indices.into_iter().map(|index| index + 1).collect();
        let at = |timestep: usize| {
            left.get(timestep).copied().ok_or_else(|| {
                let expected = "one whose last timestep is below the number of timesteps";
                ModelError::input("the number of steps", expected, steps.to_string())
            })
        };
        let alphas: Vec<f64> = timesteps.iter().map(|&timestep| at(timestep)).collect::<Result<_>>()?;
        let first = at(0)?;
        let alphas_before: Vec<f64> =
            [first].into_iter().chain(alphas.iter().copied()).take(alphas.len()).collect();
        let sigma = |(&alpha, &before): (&f64, &f64)| {
            eta * ((1.0 - before) / (1.0 - alpha) * (1.0 - alpha / before)).sqrt()
        };
        let sigmas = alphas.iter().zip(&alphas_before).map(sigma).collect();
        Ok(Self { timesteps, alphas, alphas_before, sigmas })
    }

    /// The step that begins at the `index`-th timestep: the state after it and the data that it expects.
    ///
    /// # Errors
    /// [`ModelError::Input`] for an index that is too large; those of the device.
    pub fn step(
        &self,
        index: usize,
        state: &Tensor,
        predicted_noise: &Tensor,
        noise: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let (Some(&alpha), Some(&before), Some(&sigma)) =
            (self.alphas.get(index), self.alphas_before.get(index), self.sigmas.get(index))
        else {
            let expected = format!("below {}", self.alphas.len());
            return Err(ModelError::input("the step", expected, index.to_string()));
        };
        let data = ((state - (predicted_noise * (1.0 - alpha).sqrt())?)? / alpha.sqrt())?;
        let direction = (predicted_noise * (1.0 - before - sigma * sigma).sqrt())?;
        let moved = (((&data * before.sqrt())? + direction)? + (noise * sigma)?)?;
        Ok((moved, data))
    }
}
