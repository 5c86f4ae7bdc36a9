//! A fully connected layer.

use candle_core::Tensor;

use crate::weights::Weights;
use crate::{ModelError, Result};

/// `y = x W^T + b`, with `W` stored as `[outputs, inputs]`.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// Reads `weight` and `bias`.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, inputs: usize, outputs: usize) -> Result<Self> {
        let bias = weights.tensor("bias", &[outputs])?;
        Ok(Self { bias: Some(bias), ..Self::load_without_bias(weights, inputs, outputs)? })
    }

    /// Reads `weight`; there is no bias.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load_without_bias(weights: &Weights, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self { weight: weights.tensor("weight", &[outputs, inputs])?, bias: None })
    }

    /// As [`load_without_bias`](Self::load_without_bias), or none when there is no `weight`.
    ///
    /// # Errors
    /// As [`Weights::tensor`], but for a missing one.
    pub fn load_optional(weights: &Weights, inputs: usize, outputs: usize) -> Result<Option<Self>> {
        let weight = weights.optional("weight", &[outputs, inputs])?;
        Ok(weight.map(|weight| Self { weight, bias: None }))
    }

    /// The weight, `[outputs, inputs]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// # Shapes
    /// `[.., inputs]` to `[.., outputs]`.
    ///
    /// # Errors
    /// [`ModelError::Input`] when the last dimension is not `inputs`.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let (outputs, inputs) = self.weight.dims2()?;
        let mut shape = input.dims().to_vec();
        match shape.last_mut() {
            Some(last) if *last == inputs => *last = outputs,
            _ => {
                let found = format!("{:?}", input.dims());
                return Err(ModelError::input(
                    "the input of a linear layer",
                    format!("[.., {inputs}]"),
                    found,
                ));
            }
        }
        // As one matrix: a batched product with the same weight for every row would copy the weight.
        let rows = input.elem_count().checked_div(inputs).unwrap_or(0);
        let flat = input.contiguous()?.reshape((rows, inputs))?;
        let product = flat.matmul(&self.weight.t()?)?;
        let output = match &self.bias {
            Some(bias) => product.broadcast_add(bias)?,
            None => product,
        };
        Ok(output.reshape(shape)?)
    }
}
