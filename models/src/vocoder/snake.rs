//! The periodic activation, computed at twice the sample rate so that it adds no aliases.
//!
//! Source: `Activation1d`, `Snake` and `SnakeBeta` of BigVGAN.

use candle_core::{DType, Tensor};

use super::SnakeKind;
use super::filter::{RATIO, TAPS, downsample, kaiser_sinc, upsample};
use super::snake_cpu::Host;
use crate::weights::Weights;
use crate::{ModelError, Result};

/// Added to what is divided by.
const TINY: f64 = 1e-9;

/// Which activation it is, and how it is stored.
#[derive(Clone, Copy, Debug)]
pub struct SnakeOptions {
    /// With or without a `beta` of its own.
    pub kind: SnakeKind,
    /// Whether `alpha` and `beta` are stored as logarithms.
    pub logscale: bool,
}

/// `x + sin^2(alpha x) / beta` between two changes of the rate.
#[derive(Clone, Debug)]
pub struct Snake {
    /// `[1, channels, 1]`.
    alpha: Tensor,
    /// `1 / (beta + 1e-9)`, `[1, channels, 1]`.
    inverse_beta: Tensor,
    up: Tensor,
    down: Tensor,
    /// The same for the CPU; none for a plan.
    host: Option<Host>,
}

impl Snake {
    /// Reads `act.alpha` and `act.beta`, and the two filters where they are stored.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, channels: usize, options: SnakeOptions) -> Result<Self> {
        let stored = weights.under("act");
        let (up, down) = (filter(weights, "upsample")?, filter(weights, "downsample.lowpass")?);
        let alpha = stored.tensor("alpha", &[channels])?;
        let beta = match options.kind {
            SnakeKind::Snake => alpha.clone(),
            SnakeKind::SnakeBeta => stored.tensor("beta", &[channels])?,
        };
        if weights.is_plan() {
            return Ok(Self { alpha, inverse_beta: beta, up, down, host: None });
        }
        let spread = |stored: Tensor| -> Result<Tensor> {
            let wide = stored.to_dtype(DType::F32)?.reshape((1, channels, 1))?;
            Ok(if options.logscale { wide.exp()? } else { wide })
        };
        let (alpha, inverse_beta) = (spread(alpha)?, (spread(beta)? + TINY)?.recip()?);
        let list = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let host = Host {
            alpha: list(&alpha)?,
            inverse_beta: list(&inverse_beta)?,
            up: taps(&list(&up)?),
            down: taps(&list(&down)?),
        };
        Ok(Self { alpha, inverse_beta, up, down, host: Some(host) })
    }

    /// The activation alone, at the rate of its input.
    ///
    /// # Shapes
    /// `[batch, channels, length]` to the same, in f32.
    ///
    /// # Errors
    /// [`ModelError::Candle`] when the channels do not fit.
    pub fn plain(&self, input: &Tensor) -> Result<Tensor> {
        let wave = input.broadcast_mul(&self.alpha)?.sin()?.sqr()?;
        Ok((input + wave.broadcast_mul(&self.inverse_beta)?)?)
    }

    /// Makes the sequence twice as long, activates, and makes it as short as it was.
    ///
    /// # Shapes
    /// `[batch, channels, length]` to the same, in f32.
    ///
    /// # Errors
    /// [`ModelError::Input`] for another shape.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let channels = self.alpha.elem_count();
        match input.dims() {
            [batch, found, length] if *found == channels && batch * length > 0 => {}
            found => {
                let expected = format!("[batch, {channels}, length]");
                return Err(ModelError::input("the input of an activation", expected, format!("{found:?}")));
            }
        }
        match &self.host {
            Some(host) if input.device().is_cpu() && input.dtype() == DType::F32 => {
                Ok(input.contiguous()?.apply_op1_no_bwd(host)?)
            }
            _ => self.forward_in_steps(input),
        }
    }

    /// The three steps of [`forward`](Self::forward) one after the other, with candle's operations.
    fn forward_in_steps(&self, input: &Tensor) -> Result<Tensor> {
        downsample(&self.plain(&upsample(input, &self.up)?)?, &self.down)
    }
}

/// Reads a filter, or computes it where the checkpoint has none.
fn filter(weights: &Weights, name: &str) -> Result<Tensor> {
    if let Some(stored) = weights.under(name).optional("filter", &[1, 1, TAPS])? {
        return Ok(stored.to_dtype(DType::F32)?);
    }
    let (cutoff, half_width) = (0.5 / RATIO as f64, 0.6 / RATIO as f64);
    let filter: Vec<f32> = kaiser_sinc(cutoff, half_width, TAPS).into_iter().map(|tap| tap as f32).collect();
    Ok(Tensor::from_vec(filter, (1, 1, TAPS), weights.device())?)
}

fn taps(filter: &[f32]) -> [f32; TAPS] {
    let mut taps = [0.0; TAPS];
    for (tap, value) in taps.iter_mut().zip(filter) {
        *tap = *value;
    }
    taps
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn snake(channels: usize) -> Snake {
        let list = |step: f32| (0..channels).map(|k| (k as f32 * step).cos() + 1.2).collect::<Vec<f32>>();
        // Not symmetric, so that a filter read backwards shows.
        let taps = |step: f32| std::array::from_fn(|k| (k as f32 * step + 0.3).sin() * 0.2);
        let host = Host { alpha: list(0.7), inverse_beta: list(1.3), up: taps(0.9), down: taps(0.5) };
        let tensor = |values: &[f32], shape: (usize, usize, usize)| {
            Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
        };
        Snake {
            alpha: tensor(&host.alpha, (1, channels, 1)),
            inverse_beta: tensor(&host.inverse_beta, (1, channels, 1)),
            up: tensor(&host.up, (1, 1, TAPS)),
            down: tensor(&host.down, (1, 1, TAPS)),
            host: Some(host),
        }
    }

    #[test]
    fn one_pass_gives_what_the_three_steps_give() {
        for length in [1, 2, 7, 100, 1001] {
            let values: Vec<f32> = (0..2 * 3 * length).map(|k| (k as f32 * 0.37).sin() * 3.0).collect();
            let input = Tensor::from_vec(values, (2, 3, length), &Device::Cpu).unwrap();
            let snake = snake(3);
            let one = snake.forward(&input).unwrap();
            let three = snake.forward_in_steps(&input).unwrap();
            let difference = (one - three).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
            let difference = difference.to_scalar::<f32>().unwrap();
            assert!(difference < 1e-5, "length {length}: {difference}");
        }
    }

    #[test]
    fn other_channels_are_refused() {
        let input = Tensor::zeros((1, 4, 9), DType::F32, &Device::Cpu).unwrap();
        assert!(matches!(snake(3).forward(&input), Err(ModelError::Input { .. })));
    }
}
