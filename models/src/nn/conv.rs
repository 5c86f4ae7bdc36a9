//! Two-dimensional convolution.

use candle_core::Tensor;

use crate::Result;
use crate::weights::Weights;

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dShape {
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Side of the square kernel.
    pub kernel: usize,
    /// Distance between two outputs, in input pixels.
    pub stride: usize,
    /// Zero pixels put on every side.
    pub padding: usize,
}

impl Conv2dShape {
    /// A 3 x 3 convolution that keeps the picture size.
    pub fn same3(inputs: usize, outputs: usize) -> Self {
        Self { inputs, outputs, kernel: 3, stride: 1, padding: 1 }
    }

    /// A 1 x 1 convolution.
    pub fn point(inputs: usize, outputs: usize) -> Self {
        Self { inputs, outputs, kernel: 1, stride: 1, padding: 0 }
    }
}

/// A convolution with bias.
#[derive(Clone, Debug)]
pub struct Conv2d {
    weight: Tensor,
    bias: Tensor,
    shape: Conv2dShape,
}

impl Conv2d {
    /// Reads `weight` and `bias`.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, shape: Conv2dShape) -> Result<Self> {
        let weight = weights.tensor("weight", &[shape.outputs, shape.inputs, shape.kernel, shape.kernel])?;
        Ok(Self { weight, bias: weights.tensor("bias", &[shape.outputs])?, shape })
    }

    /// # Shapes
    /// `[batch, inputs, height, width]` to `[batch, outputs, ..]`, with `(size + 2 padding - kernel) / stride + 1`
    /// pixels on each side.
    ///
    /// # Errors
    /// [`crate::ModelError::Candle`] when the channels do not fit.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let output = input.contiguous()?.conv2d(&self.weight, self.shape.padding, self.shape.stride, 1, 1)?;
        Ok(output.broadcast_add(&self.bias.reshape((1, self.shape.outputs, 1, 1))?)?)
    }
}
