//! The periodic activation, computed at twice the sample rate so that it adds no aliases.
//!
//! Source: `Activation1d`, `Snake` and `SnakeBeta` of BigVGAN.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};
use rayon::prelude::*;

use super::SnakeKind;
use super::filter::{DOWN_PADDING, RATIO, TAPS, UP_CUT, UP_PADDING, downsample, kaiser_sinc, upsample};
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

/// Everything in memory of the processor.
#[derive(Clone, Debug)]
struct Host {
    alpha: Vec<f32>,
    inverse_beta: Vec<f32>,
    up: [f32; TAPS],
    down: [f32; TAPS],
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

/// One channel after the other, each through all steps while it is near the processor. The loops over samples are inner
/// loops without branches, which the compiler turns into vector instructions.
impl CustomOp1 for Host {
    fn name(&self) -> &'static str {
        "snake"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (_, channels, length) = layout.shape().dims3()?;
        let contiguous = layout.contiguous_offsets().and_then(|(start, end)| {
            let all = storage.as_slice::<f32>().ok()?;
            all.get(start..end)
        });
        let Some(input) = contiguous else { candle_core::bail!("snake needs a contiguous f32 tensor") };
        let mut output = vec![0.0_f32; input.len()];
        let rows = output.par_chunks_mut(length).zip(input.par_chunks(length)).enumerate();
        rows.for_each_init(Scratch::default, |scratch, (row, (output, input))| {
            let channel = row % channels;
            let parameters = self.alpha.get(channel).zip(self.inverse_beta.get(channel));
            if let Some((&alpha, &inverse_beta)) = parameters {
                self.channel(input, (alpha, inverse_beta), scratch, output);
            }
        });
        Ok((CpuStorage::F32(output), layout.shape().clone()))
    }
}

/// Memory that a thread uses again for every channel.
#[derive(Default)]
struct Scratch {
    padded: Vec<f32>,
    /// The even and the odd samples of the longer sequence, with the samples repeated on both ends.
    even: Vec<f32>,
    odd: Vec<f32>,
}

impl Host {
    fn channel(
        &self,
        input: &[f32],
        (alpha, inverse_beta): (f32, f32),
        scratch: &mut Scratch,
        output: &mut [f32],
    ) {
        let (Some(&first), Some(&last)) = (input.first(), input.last()) else { return };
        let Scratch { padded, even, odd } = scratch;
        padded.clear();
        padded.resize(UP_PADDING, first);
        padded.extend_from_slice(input);
        padded.resize(UP_PADDING + input.len() + UP_PADDING, last);

        // Sample 2 m + p of the longer sequence is the sum over t of
        // up[(p + UP_CUT) % 2 + 2 t] * padded[m + (p + UP_CUT) / 2 - t].
        for (phase, samples) in [(0, &mut *even), (1, &mut *odd)] {
            let place = phase + UP_CUT;
            samples.clear();
            samples.resize(input.len(), 0.0);
            for t in 0..TAPS / RATIO {
                let tap = self.up[place % RATIO + RATIO * t] * RATIO as f32;
                add_scaled(samples, &padded[place / RATIO - t..], tap);
            }
            for sample in samples.iter_mut() {
                let wave = (*sample * alpha).sin();
                *sample += wave * wave * inverse_beta;
            }
        }

        // Sample m of the result is the sum over t of down[t] * long[2 m + t - DOWN_PADDING]. With an odd padding, the
        // even taps meet the odd samples.
        let (first, last) = (even.first().copied().unwrap_or(0.0), odd.last().copied().unwrap_or(0.0));
        const { assert!(DOWN_PADDING % 2 == 1) };
        let half = DOWN_PADDING.div_ceil(RATIO);
        pad_ends(odd, (half, first), (half, last));
        pad_ends(even, (half - 1, first), (half + 1, last));
        for t in 0..TAPS / RATIO {
            add_scaled(output, &odd[t..], self.down[RATIO * t]);
            add_scaled(output, &even[t..], self.down[RATIO * t + 1]);
        }
    }
}

/// `target += source * factor`, as far as both go.
fn add_scaled(target: &mut [f32], source: &[f32], factor: f32) {
    for (target, source) in target.iter_mut().zip(source) {
        *target += source * factor;
    }
}

/// Puts `(count, value)` before and behind.
fn pad_ends(samples: &mut Vec<f32>, before: (usize, f32), behind: (usize, f32)) {
    samples.splice(0..0, std::iter::repeat_n(before.1, before.0));
    samples.resize(samples.len() + behind.0, behind.1);
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
