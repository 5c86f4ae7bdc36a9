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
        // As one contiguous matrix: candle 0.11 takes wrong numbers for a batch of transposed matrices times one matrix
        // repeated along the batch (its CPU product folds the batch into the rows without a look at their strides).
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

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_transposed_batch_gives_the_same_numbers() {
        let wave = |shape: (usize, usize, usize)| {
            let values: Vec<f32> = (0..shape.0 * shape.1 * shape.2).map(|k| (k as f32 * 0.7).sin()).collect();
            Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
        };
        let linear = Linear { weight: wave((1, 4, 3)).squeeze(0).unwrap(), bias: None };
        let transposed = wave((2, 3, 5)).transpose(1, 2).unwrap();
        let read = |tensor: Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let straight = linear.forward(&transposed.force_contiguous().unwrap()).unwrap();
        assert_eq!(read(linear.forward(&transposed).unwrap()), read(straight));
    }
}
