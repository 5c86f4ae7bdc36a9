//! A mixture of feed-forward layers, of which each row uses two.

use candle_core::{DType, Tensor};

use super::DitSizes;
use super::block::feed_forward;
use crate::Result;
use crate::nn::{Linear, SwiGlu};
use crate::weights::Weights;

/// Experts that each row uses.
const CHOSEN: usize = 2;

/// What decides which experts are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoutedBy {
    /// The embedded time: one decision for each latent.
    Time,
    /// The token itself.
    Token,
}

/// `sum_i w_i expert_i(x)` over the two experts with the largest logits, `w` the softmax over these two alone.
///
/// Source: `MoeLayer` of Lumina-T2X `Next-DiT-MoE/models/models.py` (time), `models1.py` (token), `models2.py` (both).
/// Of equal logits the expert with the lower number is taken.
#[derive(Clone, Debug)]
pub(crate) struct Mixture {
    gate: Linear,
    experts: Vec<SwiGlu>,
    by: RoutedBy,
}

impl Mixture {
    pub(crate) fn load(weights: &Weights, sizes: &DitSizes, by: RoutedBy, experts: usize) -> Result<Self> {
        let inputs = match by {
            RoutedBy::Time => sizes.conditioning_size(),
            RoutedBy::Token => sizes.hidden_size,
        };
        let all = weights.under("experts");
        Ok(Self {
            experts: (0..experts)
                .map(|expert| feed_forward(&all.under(expert), sizes))
                .collect::<Result<_>>()?,
            gate: Linear::load_without_bias(&weights.under("gate"), inputs, experts)?,
            by,
        })
    }

    /// The output, and the logits that chose the experts.
    ///
    /// # Shapes
    /// `tokens` is `[batch, tokens, hidden_size]`, as the output; `time` `[batch, conditioning_size]`; the logits are
    /// `[batch, experts]` or `[batch * tokens, experts]`.
    pub(crate) fn forward(&self, tokens: &Tensor, time: &Tensor) -> Result<(Tensor, Tensor)> {
        let (batch, length, size) = tokens.dims3()?;
        let (rows, logits) = match self.by {
            RoutedBy::Time => (tokens.contiguous()?, self.gate.forward(time)?),
            RoutedBy::Token => {
                let rows = tokens.reshape((batch * length, 1, size))?;
                let logits = self.gate.forward(&rows.squeeze(1)?)?;
                (rows, logits)
            }
        };
        let routes = routes(&logits.to_dtype(DType::F32)?.to_vec2::<f32>()?, self.experts.len());
        let mut output = rows.zeros_like()?;
        for (expert, (indices, weights)) in self.experts.iter().zip(routes) {
            if indices.is_empty() {
                continue;
            }
            let count = indices.len();
            let indices = Tensor::from_vec(indices, count, rows.device())?;
            let weights = Tensor::from_vec(weights, (count, 1, 1), rows.device())?.to_dtype(rows.dtype())?;
            let made = expert.forward(&rows.index_select(&indices, 0)?)?.broadcast_mul(&weights)?;
            output = output.index_add(&indices, &made, 0)?;
        }
        Ok((output.reshape((batch, length, size))?, logits))
    }
}

/// For every expert the rows that use it, and how much.
fn routes(logits: &[Vec<f32>], experts: usize) -> Vec<(Vec<u32>, Vec<f32>)> {
    let mut routes = vec![(Vec::new(), Vec::new()); experts];
    for (row, logits) in (0_u32..).zip(logits) {
        let mut order: Vec<(usize, f32)> = logits.iter().copied().enumerate().collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1));
        order.truncate(CHOSEN);
        let largest = order.first().map_or(0.0, |(_, logit)| *logit);
        let sum: f32 = order.iter().map(|(_, logit)| (logit - largest).exp()).sum();
        for (expert, logit) in order {
            if let Some((rows, weights)) = routes.get_mut(expert) {
                rows.push(row);
                weights.push((logit - largest).exp() / sum);
            }
        }
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_a_softmax_over_the_chosen_two_and_ties_go_to_the_lower_number() {
        let routes = routes(&[vec![0.0, 3.0, 3.0, 3.0], vec![-1.0, -5.0, -9.0, 0.0]], 4);
        assert_eq!(routes[1], (vec![0], vec![0.5]));
        assert_eq!(routes[2], (vec![0], vec![0.5]));
        let (rows, weights) = &routes[0];
        assert_eq!(rows, &[1]);
        assert!((weights[0] - 1.0 / (1.0 + 1.0_f32.exp())).abs() < 1e-6, "{weights:?}");
        assert_eq!(routes[3].0, [1]);
    }
}
