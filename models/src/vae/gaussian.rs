//! What the encoder says about a latent.

use candle_core::Tensor;

use crate::{ModelError, Result};

/// A normal distribution for every latent number.
///
/// Source: `DiagonalGaussianDistribution` of diffusers.
#[derive(Clone, Debug)]
pub struct Gaussian {
    /// `[batch, latent_channels, height, width]`, of a sound `[batch, latent_channels, frames]`.
    pub mean: Tensor,
    /// Logarithm of the variance, within -30..20; of the same shape.
    pub logvar: Tensor,
}

impl Gaussian {
    /// From the output of the encoder, mean and log-variance one after the other.
    pub(crate) fn from_moments(moments: &Tensor) -> Result<Self> {
        let half = moments.dim(1)? / 2;
        let mean = moments.narrow(1, 0, half)?.contiguous()?;
        let logvar = moments.narrow(1, half, half)?.contiguous()?.clamp(-30_f32, 20_f32)?;
        Ok(Self { mean, logvar })
    }

    /// `mean + exp(logvar / 2) * noise`.
    ///
    /// # Errors
    /// [`ModelError::Input`] when the noise has another shape.
    pub fn sample(&self, noise: &Tensor) -> Result<Tensor> {
        if noise.dims() != self.mean.dims() {
            let (expected, found) = (format!("{:?}", self.mean.dims()), format!("{:?}", noise.dims()));
            return Err(ModelError::input("the noise", expected, found));
        }
        Ok((&self.mean + ((&self.logvar * 0.5)?.exp()? * noise)?)?)
    }
}
