//! A fully connected layer.

use candle_core::{DType, Device, Tensor};

use super::quantized::Quantized;
use crate::weights::{Matrix, Weights};
use crate::{ModelError, Result};

/// `y = x W^T + b`, with `W` stored as `[outputs, inputs]`.
///
/// A weight that a GGUF file has quantised stays so in memory.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
}

#[derive(Clone, Debug)]
enum Weight {
    Plain(Tensor),
    Quantized(Quantized),
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
        let matrix = weights.matrix("weight", &[outputs, inputs])?;
        Ok(Self { weight: Weight::of(matrix, weights.dtype()), bias: None })
    }

    /// As [`load_without_bias`](Self::load_without_bias), or none when there is no `weight`.
    ///
    /// # Errors
    /// As [`Weights::tensor`], but for a missing one.
    pub fn load_optional(weights: &Weights, inputs: usize, outputs: usize) -> Result<Option<Self>> {
        let matrix = weights.optional_matrix("weight", &[outputs, inputs])?;
        Ok(matrix.map(|matrix| Self { weight: Weight::of(matrix, weights.dtype()), bias: None }))
    }

    /// The number format that it was loaded in: of its weight, or what a quantised one was asked for in.
    pub fn dtype(&self) -> DType {
        match &self.weight {
            Weight::Plain(weight) => weight.dtype(),
            Weight::Quantized(weight) => weight.dtype(),
        }
    }

    /// The device of its weight.
    pub fn device(&self) -> &Device {
        match &self.weight {
            Weight::Plain(weight) => weight.device(),
            Weight::Quantized(weight) => weight.device(),
        }
    }

    /// Whether its weight is kept quantised.
    pub fn is_quantized(&self) -> bool {
        matches!(self.weight, Weight::Quantized(_))
    }

    /// Bytes that its weight and bias take in memory.
    pub fn byte_size(&self) -> usize {
        let bytes = |tensor: &Tensor| tensor.elem_count() * tensor.dtype().size_in_bytes();
        let weight = match &self.weight {
            Weight::Plain(weight) => bytes(weight),
            Weight::Quantized(weight) => weight.byte_size(),
        };
        weight + self.bias.as_ref().map_or(0, bytes)
    }

    /// The weight in numbers, `[outputs, inputs]`.
    ///
    /// # Errors
    /// [`ModelError::Candle`] when memory runs out.
    pub fn weight(&self) -> Result<Tensor> {
        match &self.weight {
            Weight::Plain(weight) => Ok(weight.clone()),
            Weight::Quantized(weight) => weight.dequantize(),
        }
    }

    /// # Shapes
    /// `[.., inputs]` to `[.., outputs]`.
    ///
    /// # Errors
    /// [`ModelError::Input`] when the last dimension is not `inputs`.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let (outputs, inputs) = self.weight.dims()?;
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
        let product = match &self.weight {
            Weight::Plain(weight) => flat.matmul(&weight.t()?)?,
            Weight::Quantized(weight) => weight.forward(&flat)?,
        };
        let output = match &self.bias {
            Some(bias) => product.broadcast_add(&bias.to_dtype(product.dtype())?)?,
            None => product,
        };
        Ok(output.reshape(shape)?)
    }
}

impl Weight {
    fn of(matrix: Matrix, dtype: DType) -> Self {
        match matrix {
            Matrix::Plain(weight) => Self::Plain(weight),
            Matrix::Quantized(weight) => Self::Quantized(Quantized::new(weight, dtype)),
        }
    }

    /// Outputs and inputs.
    fn dims(&self) -> Result<(usize, usize)> {
        Ok(match self {
            Self::Plain(weight) => weight.dims2()?,
            Self::Quantized(weight) => weight.dims()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_batch_gives_the_same_numbers() {
        let wave = |shape: (usize, usize, usize)| {
            let values: Vec<f32> = (0..shape.0 * shape.1 * shape.2).map(|k| (k as f32 * 0.7).sin()).collect();
            Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
        };
        let weight = Weight::Plain(wave((1, 4, 3)).squeeze(0).unwrap());
        let linear = Linear { weight, bias: None };
        let transposed = wave((2, 3, 5)).transpose(1, 2).unwrap();
        let read = |tensor: Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let straight = linear.forward(&transposed.force_contiguous().unwrap()).unwrap();
        assert_eq!(read(linear.forward(&transposed).unwrap()), read(straight));
    }
}
