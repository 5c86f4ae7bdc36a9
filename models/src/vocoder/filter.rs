//! Low-pass filters, and changing the rate of a sound without aliases.
//!
//! Source: `alias_free_torch` of BigVGAN, in Lumina-T2X `lumina_audio/models/vocoder/bigvgan`.

use std::f64::consts::PI;

use candle_core::Tensor;

use crate::{ModelError, Result};

/// How many times longer the activations make the sequence for a while.
pub(super) const RATIO: usize = 2;
/// Taps of their filters: `6 * RATIO`, rounded down to an even number.
pub(super) const TAPS: usize = 12;
/// Samples repeated on both ends before the sequence is made longer.
pub(super) const UP_PADDING: usize = TAPS / RATIO - 1;
/// Samples cut off the longer sequence on both ends.
pub(super) const UP_CUT: usize = UP_PADDING * RATIO + (TAPS - RATIO) / 2;
/// Samples repeated before the longer sequence; one more behind it.
pub(super) const DOWN_PADDING: usize = TAPS / 2 - 1;

/// A low-pass filter: a sinc function in a Kaiser window, of sum 1. `cutoff` and `half_width` are fractions of the
/// sample rate.
pub fn kaiser_sinc(cutoff: f64, half_width: f64, taps: usize) -> Vec<f64> {
    let half = (taps / 2) as f64;
    let attenuation = 2.285 * (half - 1.0) * PI * 4.0 * half_width + 7.95;
    let beta = if attenuation > 50.0 {
        0.1102 * (attenuation - 8.7)
    } else if attenuation >= 21.0 {
        0.5842 * (attenuation - 21.0).powf(0.4) + 0.078_86 * (attenuation - 21.0)
    } else {
        0.0
    };
    let centre = (taps as f64 - 1.0) / 2.0;
    let offset = if taps.is_multiple_of(2) { 0.5 } else { 0.0 };
    let filter: Vec<f64> = (0..taps)
        .map(|tap| {
            let place = (tap as f64 - centre) / centre.max(1.0);
            let window = bessel_i0(beta * (1.0 - place * place).max(0.0).sqrt()) / bessel_i0(beta);
            let phase = 2.0 * cutoff * (tap as f64 - half + offset) * PI;
            window * if phase == 0.0 { 1.0 } else { phase.sin() / phase }
        })
        .collect();
    let sum: f64 = filter.iter().sum();
    filter.into_iter().map(|value| value / sum).collect()
}

/// The modified Bessel function of order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..200 {
        term *= quarter / f64::from(k * k);
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    sum
}

/// Twice as many samples.
///
/// # Shapes
/// `[batch, channels, length]` to `[batch, channels, 2 * length]`; `filter` is `[1, 1, 12]`.
///
/// # Errors
/// [`ModelError::Input`] for another shape.
pub fn upsample(input: &Tensor, filter: &Tensor) -> Result<Tensor> {
    let (rows, (batch, channels, length)) = as_rows(input, filter)?;
    let padded = rows.pad_with_same(2, UP_PADDING, UP_PADDING)?;
    // With one input channel, candle's product of a batch is right (see `ConvTranspose1d`).
    let long = padded.conv_transpose1d(filter, 0, 0, RATIO, 1, 1)?;
    let cut = long.narrow(2, UP_CUT, RATIO * length)?.contiguous()?;
    Ok((cut * RATIO as f64)?.reshape((batch, channels, RATIO * length))?)
}

/// Half as many samples, of which none is an alias.
///
/// # Shapes
/// `[batch, channels, length]` to half the length, rounded up; `filter` is `[1, 1, 12]`.
///
/// # Errors
/// [`ModelError::Input`] for another shape.
pub fn downsample(input: &Tensor, filter: &Tensor) -> Result<Tensor> {
    let (rows, (batch, channels, length)) = as_rows(input, filter)?;
    let padded = rows.pad_with_same(2, DOWN_PADDING, DOWN_PADDING + 1)?;
    let short = padded.conv1d(filter, 0, RATIO, 1, 1)?;
    Ok(short.reshape((batch, channels, length.div_ceil(RATIO)))?)
}

/// Every channel as a batch row of its own, since all have the same filter.
fn as_rows(input: &Tensor, filter: &Tensor) -> Result<(Tensor, (usize, usize, usize))> {
    match (input.dims(), filter.dims()) {
        (&[batch, channels, length], [1, 1, TAPS]) if batch * channels * length > 0 => {
            let rows = input.contiguous()?.reshape((batch * channels, 1, length))?;
            Ok((rows, (batch, channels, length)))
        }
        (found, filter) => {
            let expected = format!("[batch, channels, length] and [1, 1, {TAPS}]");
            Err(ModelError::input("the input of a filter", expected, format!("{found:?} and {filter:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_filter_of_the_activations_is_the_published_one() {
        let published = [0.002_028_96, 0.009_389_47, -0.025_543_46, -0.057_657_38, 0.128_572_58, 0.443_209_8];
        let filter = kaiser_sinc(0.25, 0.3, TAPS);
        for (tap, expected) in published.into_iter().enumerate() {
            assert!((filter[tap] - expected).abs() < 1e-7 && (filter[11 - tap] - expected).abs() < 1e-7);
        }
    }

    #[test]
    fn a_constant_stays_one() {
        let filter: Vec<f32> = kaiser_sinc(0.25, 0.3, TAPS).into_iter().map(|value| value as f32).collect();
        let filter = Tensor::from_vec(filter, (1, 1, TAPS), &Device::Cpu).unwrap();
        let input = Tensor::full(3.0_f32, (1, 2, 7), &Device::Cpu).unwrap();
        let long = upsample(&input, &filter).unwrap();
        assert_eq!(long.dims(), [1, 2, 14]);
        let back = downsample(&long, &filter).unwrap();
        assert_eq!(back.dims(), [1, 2, 7]);
        for value in back.flatten_all().unwrap().to_vec1::<f32>().unwrap() {
            assert!((value - 3.0).abs() < 0.02, "{value}");
        }
    }
}
