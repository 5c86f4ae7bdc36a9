//! Noise for the steps of a stochastic sampler.

use candle_core::Tensor;

use crate::Result;
use crate::noise::Generator;

/// How far apart the seeds of two draws are: the golden ratio in 64 bits, so that the noise of seeds next to each other,
/// such as those of the start and of another picture, is not met again.
const APART: u64 = 0x9E37_79B9_7F4A_7C15;

/// A source of standard normal numbers for [`Integration::with_noise`](super::Integration::with_noise): draw `k` has the
/// seed `seed + (k + 1) 0x9E3779B97F4A7C15`, so that none repeats the noise that the sampling starts from.
///
/// The numbers do not depend on the device. They are not those of a run in torch, whose generator goes on from the start.
pub fn seeded(generator: Generator, seed: u64) -> impl FnMut(&Tensor) -> Result<Tensor> {
    let mut next = seed;
    move |like| {
        next = next.wrapping_add(APART);
        Ok(generator.normal(next, like.dims(), like.device())?.to_dtype(like.dtype())?)
    }
}
