//! What one evaluation may be told besides its inputs.

use super::RopeChange;
use crate::{Interrupt, ModelError, Result};

/// Options of one evaluation. The default is the plain network.
#[derive(Clone, Debug, Default)]
pub struct ForwardOptions {
    /// Change of the rotary frequencies.
    pub rope: RopeChange,
    /// The sequence length of the training size, for proportional attention; none for plain attention.
    pub base_sequence_length: Option<usize>,
    /// Asked before every block.
    pub interrupt: Interrupt,
}

/// How the scale of proportional attention grows with the length of the sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttentionGrowth {
    /// `sqrt(ln(tokens) / ln(base))`: all networks but one.
    #[default]
    SquareRoot,
    /// `ln(tokens) / ln(base)`: the copy of Next-DiT in `visual_anagrams/models/nextdit.py`.
    Linear,
}

impl ForwardOptions {
    /// The scale of self-attention: `1 / sqrt(head_dim)`, with proportional attention times what `growth` says.
    ///
    /// Source: `Attention.forward` of Lumina-T2X `models/model.py`.
    pub(crate) fn attention_scale(
        &self,
        tokens: usize,
        head_dim: usize,
        growth: AttentionGrowth,
    ) -> Result<f64> {
        let ratio = match self.base_sequence_length {
            None => 1.0,
            Some(base) if base > 1 => (tokens as f64).ln() / (base as f64).ln(),
            Some(base) => {
                return Err(ModelError::input("the base sequence length", "at least 2", base.to_string()));
            }
        };
        Ok(match growth {
            AttentionGrowth::SquareRoot => (ratio / head_dim as f64).sqrt(),
            AttentionGrowth::Linear => ratio / (head_dim as f64).sqrt(),
        })
    }
}
