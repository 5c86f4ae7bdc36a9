//! The embedding of a time.

use candle_core::{Device, Tensor};

use super::Linear;
use crate::Result;
use crate::weights::Weights;

/// Width of the sinusoidal embedding in every Lumina system.
pub const FREQUENCIES: usize = 256;

/// `[cos(t f_k), sin(t f_k)]` with `f_k = exp(-ln(10000) k / (size / 2))`, in f32; cosines first.
///
/// Source: `TimestepEmbedder.timestep_embedding` of Lumina-T2X `models/model.py`. The time is used as it is.
///
/// # Shapes
/// `[times, size]`.
///
/// # Errors
/// [`crate::ModelError::Candle`] when memory runs out.
pub fn sinusoidal(times: &[f64], size: usize, device: &Device) -> Result<Tensor> {
    let half = size / 2;
    let frequencies: Vec<f32> =
        (0..half).map(|k| (-(10_000.0_f32.ln()) * k as f32 / half as f32).exp()).collect();
    let values: Vec<f32> = times
        .iter()
        .flat_map(|&time| {
            let phase = move |frequency: &f32| time as f32 * frequency;
            let cos = frequencies.iter().map(move |f| phase(f).cos());
            cos.chain(frequencies.iter().map(move |f| phase(f).sin()))
        })
        .collect();
    Ok(Tensor::from_vec(values, (times.len(), 2 * half), device)?)
}

/// Two linear layers over the sinusoidal embedding (`t_embedder` of Lumina-T2X).
#[derive(Clone, Debug)]
pub struct TimestepEmbedder {
    first: Linear,
    second: Linear,
}

impl TimestepEmbedder {
    /// Reads `mlp.0` and `mlp.2`.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, size: usize) -> Result<Self> {
        let mlp = weights.under("mlp");
        Ok(Self {
            first: Linear::load(&mlp.under(0), FREQUENCIES, size)?,
            second: Linear::load(&mlp.under(2), size, size)?,
        })
    }

    /// # Shapes
    /// Gives `[times, size]`.
    ///
    /// # Errors
    /// [`crate::ModelError::Candle`] when memory runs out.
    pub fn forward(&self, times: &[f64]) -> Result<Tensor> {
        let (device, dtype) = (self.first.device(), self.first.dtype());
        let waves = sinusoidal(times, FREQUENCIES, device)?.to_dtype(dtype)?;
        self.second.forward(&self.first.forward(&waves)?.silu()?)
    }
}
