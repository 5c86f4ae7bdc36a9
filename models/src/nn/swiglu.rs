//! The gated feed-forward layer.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::Linear;
use crate::Result;
use crate::weights::Weights;

/// What the gate goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// GELU in its tanh approximation.
    GeluTanh,
    /// GELU with the error function.
    GeluExact,
}

/// The names of the three projections in a checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct SwiGluNames {
    /// The projection that goes through the activation.
    pub gate: &'static str,
    /// The projection that is multiplied with it.
    pub up: &'static str,
    /// The projection back.
    pub down: &'static str,
}

/// `down(activation(gate x) * (up x))`, without biases.
///
/// Source: `FeedForward` of Lumina-T2X `models/model.py`, `GemmaMLP` of transformers.
#[derive(Clone, Debug)]
pub struct SwiGlu {
    gate: Linear,
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl SwiGlu {
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(
        weights: &Weights,
        names: SwiGluNames,
        size: usize,
        hidden: usize,
        activation: Activation,
    ) -> Result<Self> {
        Ok(Self {
            gate: Linear::load_without_bias(&weights.under(names.gate), size, hidden)?,
            up: Linear::load_without_bias(&weights.under(names.up), size, hidden)?,
            down: Linear::load_without_bias(&weights.under(names.down), hidden, size)?,
            activation,
        })
    }

    /// # Shapes
    /// `[.., size]` to the same.
    ///
    /// # Errors
    /// As [`Linear::forward`].
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let gate = self.gate.forward(input)?;
        let gate = match self.activation {
            Activation::Silu => gate.silu()?,
            Activation::GeluTanh => gate.gelu()?,
            Activation::GeluExact => gate.gelu_erf()?,
        };
        self.down.forward(&(gate * self.up.forward(input)?)?)
    }
}
