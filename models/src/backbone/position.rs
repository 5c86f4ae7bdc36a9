//! Where a token stands: rotary phases of a grid, and how they are stretched for larger pictures.

use candle_core::{Device, Tensor};

use crate::nn::rope::{RotaryTable, frequencies};
use crate::{ModelError, Result};

/// Base of the rotary frequencies.
const THETA: f64 = 10_000.0;

/// How rotary frequencies are changed in one evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeFactors {
    /// Frequencies are divided by this (position interpolation).
    pub linear: f64,
    /// The base is multiplied by this (NTK scaling).
    pub ntk: f64,
}

impl Default for RopeFactors {
    fn default() -> Self {
        Self { linear: 1.0, ntk: 1.0 }
    }
}

/// How rotary frequencies change over the sampling time, for pictures larger than those of the training.
///
/// Source: `forward_with_cfg` of Lumina-T2X `models/model.py` (`scale_factor`, `scale_watershed`), diffusers
/// `LuminaPipeline.__call__` (`scaling_watershed`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeScaling {
    /// Square root of the ratio of picture areas; 1 changes nothing.
    pub scale_factor: f64,
    /// Below this time positions are interpolated, from it on the base is scaled. diffusers' default is 1.
    pub watershed: f64,
}

impl Default for RopeScaling {
    fn default() -> Self {
        Self { scale_factor: 1.0, watershed: 1.0 }
    }
}

impl RopeScaling {
    /// The factors for one evaluation.
    pub fn factors_at(&self, time: f64) -> RopeFactors {
        // The reference compares the f32 time with a double: 0.7 as f32 lies below 0.7.
        if f64::from(time as f32) < self.watershed {
            RopeFactors { linear: self.scale_factor, ntk: 1.0 }
        } else {
            RopeFactors { linear: 1.0, ntk: self.scale_factor }
        }
    }
}

/// The rotary table of a grid of tokens, row by row.
///
/// Channel pair `2k` follows the row and pair `2k + 1` the column, both with frequency
/// `theta^(-4k / head_dim) / linear`, `theta = 10000 * ntk`; everything in f32 as the reference has it.
///
/// Source: `NextDiT.precompute_freqs_cis` of Lumina-T2X, `get_2d_rotary_pos_embed_lumina` of diffusers. The reference
/// builds a table of 384 x 384 positions; here there is no largest position.
///
/// # Shapes
/// Two tables `[rows * columns, head_dim / 2]`.
///
/// # Errors
/// [`ModelError::Input`] for factors that are not positive numbers.
pub fn grid_table(
    rows: usize,
    columns: usize,
    head_dim: usize,
    factors: RopeFactors,
    device: &Device,
) -> Result<RotaryTable> {
    check(factors)?;
    let frequencies: Vec<f32> = frequencies(head_dim / 4, THETA * factors.ntk)
        .into_iter()
        .map(|frequency| frequency / factors.linear as f32)
        .collect();
    // Rows and columns share one table of positions: sines are dear, the grid is only copies of them.
    let positions: Vec<Vec<(f32, f32)>> = (0..rows.max(columns))
        .map(|position| {
            let phase = |f: &f32| position as f32 * f;
            frequencies.iter().map(|f| (phase(f).cos(), phase(f).sin())).collect()
        })
        .collect();
    let size = rows * columns * (head_dim / 2);
    let (mut cos, mut sin) = (Vec::with_capacity(size), Vec::with_capacity(size));
    for row in positions.iter().take(rows) {
        for column in positions.iter().take(columns) {
            for (of_row, of_column) in row.iter().zip(column) {
                cos.extend([of_row.0, of_column.0]);
                sin.extend([of_row.1, of_column.1]);
            }
        }
    }
    let shape = (rows * columns, frequencies.len() * 2);
    Ok(RotaryTable { cos: Tensor::from_vec(cos, shape, device)?, sin: Tensor::from_vec(sin, shape, device)? })
}

/// The rotary table of tokens in one line: phases `position / linear * theta^(-2k / head_dim)`, `theta = 10000 * ntk`.
///
/// Source: `DiT_Llama.precompute_freqs_cis` of Lumina-T2X `lumina_t2i/models/model.py`. The reference builds a table of
/// 40000 positions; here there is no largest position.
///
/// # Shapes
/// Two tables `[tokens, head_dim / 2]`.
///
/// # Errors
/// [`ModelError::Input`] for factors that are not positive numbers.
pub fn line_table(
    tokens: usize,
    head_dim: usize,
    factors: RopeFactors,
    device: &Device,
) -> Result<RotaryTable> {
    check(factors)?;
    let frequencies = frequencies(head_dim / 2, THETA * factors.ntk);
    let phases = (0..tokens).flat_map(|token| {
        let position = token as f32 / factors.linear as f32;
        frequencies.iter().map(move |frequency| position * frequency)
    });
    RotaryTable::from_phases(phases, (tokens, head_dim / 2), device)
}

fn check(factors: RopeFactors) -> Result<()> {
    let positive = |value: f64| value.is_finite() && value > 0.0;
    if positive(factors.linear) && positive(factors.ntk) {
        return Ok(());
    }
    Err(ModelError::input("a rotary factor", "a positive number", format!("{factors:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watershed_is_compared_with_the_time_as_f32() {
        let scaling = |watershed| RopeScaling { scale_factor: 2.0, watershed };
        assert_eq!(scaling(0.7).factors_at(0.7).linear, 2.0); // 0.7 as f32 is below 0.7
        assert_eq!(scaling(0.3).factors_at(0.3).ntk, 2.0); // 0.3 as f32 is above 0.3
        assert_eq!(scaling(0.6).factors_at(0.6).ntk, 2.0);
    }

    #[test]
    fn factors_must_be_positive() {
        let factors = RopeFactors { linear: 0.0, ntk: 1.0 };
        assert!(matches!(grid_table(1, 1, 8, factors, &Device::Cpu), Err(ModelError::Input { .. })));
        let factors = RopeFactors { linear: 1.0, ntk: f64::NAN };
        assert!(matches!(line_table(1, 8, factors, &Device::Cpu), Err(ModelError::Input { .. })));
    }
}
