//! The activation on the CPU, in one pass.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape};
use rayon::prelude::*;

use super::filter::{DOWN_PADDING, RATIO, TAPS, UP_CUT, UP_PADDING};

/// The factors of every channel, and the two filters.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) alpha: Vec<f32>,
    pub(super) inverse_beta: Vec<f32>,
    pub(super) up: [f32; TAPS],
    pub(super) down: [f32; TAPS],
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
