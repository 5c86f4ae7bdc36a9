//! Rotary position embedding: pairs of channels turned by an angle that grows with the position.

use candle_core::{DType, Device, Tensor};

use crate::Result;

/// Cosines and sines for the tokens of a sequence, in f32.
///
/// # Shapes
/// Each `[tokens, head_dim / 2]`, or `[batch, tokens, head_dim / 2]` when the rows of a batch have other positions.
#[derive(Clone, Debug)]
pub struct RotaryTable {
    /// Cosine of every phase.
    pub cos: Tensor,
    /// Sine of every phase.
    pub sin: Tensor,
}

impl RotaryTable {
    /// Positions 0, 1, 2.. with phases `position / theta^(2 i / head_dim)`.
    ///
    /// Source: `GemmaRotaryEmbedding` of transformers, which has the frequencies and phases in f32.
    ///
    /// # Errors
    /// [`crate::ModelError::Candle`] when memory runs out.
    pub fn sequence(tokens: usize, head_dim: usize, theta: f64, device: &Device) -> Result<Self> {
        let frequencies = frequencies(head_dim / 2, theta);
        let phases = (0..tokens).flat_map(|token| frequencies.iter().map(move |f| token as f32 * f));
        Self::from_phases(phases, (tokens, head_dim / 2), device)
    }

    /// # Errors
    /// [`crate::ModelError::Candle`] when the number of phases does not fit the shape.
    pub fn from_phases(
        phases: impl Iterator<Item = f32>,
        shape: (usize, usize),
        device: &Device,
    ) -> Result<Self> {
        let (cos, sin): (Vec<f32>, Vec<f32>) = phases.map(|phase| (phase.cos(), phase.sin())).unzip();
        Ok(Self { cos: Tensor::from_vec(cos, shape, device)?, sin: Tensor::from_vec(sin, shape, device)? })
    }
}

/// `theta^(-k / count)` for k = 0..count, rounded to f32 at each step as torch does.
pub fn frequencies(count: usize, theta: f64) -> Vec<f32> {
    let theta = f64::from(theta as f32);
    (0..count)
        .map(|k| {
            let exponent = k as f32 / count as f32;
            1.0 / theta.powf(f64::from(exponent)) as f32
        })
        .collect()
}

/// Turns neighbouring channels (2i, 2i + 1), as Lumina's backbones do (`apply_rotary_emb` of `models/model.py`).
///
/// # Shapes
/// `[batch, heads, tokens, head_dim]` to the same, rotated in f32.
///
/// # Errors
/// [`crate::ModelError::Candle`] when the table does not fit.
pub fn rotate_pairs(input: &Tensor, table: &RotaryTable) -> Result<Tensor> {
    let wide = input.contiguous()?.to_dtype(DType::F32)?;
    Ok(candle_nn::rotary_emb::rope_i(&wide, &table.cos, &table.sin)?.to_dtype(input.dtype())?)
}

/// Turns channel i with channel i + head_dim / 2, as Gemma does (`rotate_half` of transformers).
///
/// # Shapes
/// `[batch, heads, tokens, head_dim]` to the same, rotated in f32.
///
/// # Errors
/// [`crate::ModelError::Candle`] when the table does not fit.
pub fn rotate_halves(input: &Tensor, table: &RotaryTable) -> Result<Tensor> {
    let wide = input.contiguous()?.to_dtype(DType::F32)?;
    Ok(candle_nn::rotary_emb::rope(&wide, &table.cos, &table.sin)?.to_dtype(input.dtype())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_layouts_pair_different_channels() {
        let table =
            RotaryTable::from_phases([std::f32::consts::FRAC_PI_2, 0.0].into_iter(), (1, 2), &Device::Cpu)
                .unwrap();
        let input =
            Tensor::new(&[1.0_f32, 2.0, 3.0, 4.0], &Device::Cpu).unwrap().reshape((1, 1, 1, 4)).unwrap();
        let read = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let near = |a: Vec<f32>, b: [f32; 4]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near(read(rotate_pairs(&input, &table).unwrap()), [-2.0, 1.0, 3.0, 4.0]));
        assert!(near(read(rotate_halves(&input, &table).unwrap()), [-3.0, 2.0, 1.0, 4.0]));
    }
}
