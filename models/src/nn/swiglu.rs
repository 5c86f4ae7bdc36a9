//! The gated feed-forward layer.

use candle_core::{DType, Tensor};
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
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    /// # Errors
    /// [`crate::ModelError::Candle`] when memory runs out.
    pub fn apply(self, input: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Silu => input.silu()?,
            Self::GeluTanh => input.gelu()?,
            Self::GeluExact => input.gelu_erf()?,
            Self::Relu => input.relu()?,
        })
    }
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
/// Source: `FeedForward` of Lumina-T2X `models/model.py`, `GemmaMLP` and `T5DenseGatedActDense` of transformers.
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

    /// As [`load`](Self::load), the projection back in f32. It gives f32 then, whatever the number format of the input.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load_with_wide_down(
        weights: &Weights,
        names: SwiGluNames,
        size: usize,
        hidden: usize,
        activation: Activation,
    ) -> Result<Self> {
        let narrow = |name: &str| Linear::load_without_bias(&weights.under(name), size, hidden);
        let wide = weights.with_dtype(DType::F32).under(names.down);
        Ok(Self {
            gate: narrow(names.gate)?,
            up: narrow(names.up)?,
            down: Linear::load_without_bias(&wide, hidden, size)?,
            activation,
        })
    }

    /// # Shapes
    /// `[.., size]` to the same.
    ///
    /// # Errors
    /// As [`Linear::forward`].
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let gate = self.activation.apply(&self.gate.forward(input)?)?;
        let product = (gate * self.up.forward(input)?)?;
        self.down.forward(&product.to_dtype(self.down.dtype())?)
    }
}
