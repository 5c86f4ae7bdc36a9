//! One-dimensional convolution.
//!
//! Windows are laid out below each other and multiplied with the weights as one matrix, a piece of the sequence at a
//! time: candle's own kernels copy number by number, and hold the windows of the whole sequence at once.

use candle_core::Tensor;

use super::WeightForm;
use crate::weights::Weights;
use crate::{ModelError, Result};

/// Numbers laid out at once: 4 MiB in f32, about what a processor keeps near.
const MAX_UNFOLDED: usize = 1 << 20;
/// Fewer columns than these make a matrix product slow.
const MIN_COLUMNS: usize = 1024;

/// The sizes of a convolution along a sequence.
#[derive(Clone, Copy, Debug)]
pub struct Conv1dShape {
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Length of the kernel.
    pub kernel: usize,
    /// Distance between two outputs, in inputs.
    pub stride: usize,
    /// Distance between two inputs of one output.
    pub dilation: usize,
    /// Zeros put on both ends.
    pub padding: usize,
}

impl Conv1dShape {
    /// A convolution with an odd kernel that keeps the length.
    pub fn same(inputs: usize, outputs: usize, kernel: usize) -> Self {
        Self::dilated(inputs, outputs, kernel, 1)
    }

    /// As [`same`](Self::same), reading every `dilation`-th input.
    pub fn dilated(inputs: usize, outputs: usize, kernel: usize, dilation: usize) -> Self {
        let padding = dilation * kernel.saturating_sub(1) / 2;
        Self { inputs, outputs, kernel, stride: 1, dilation, padding }
    }
}

/// A convolution with bias.
#[derive(Clone, Debug)]
pub struct Conv1d {
    /// `[outputs, kernel * inputs]`, or as it is stored where the stride is not 1.
    weight: Tensor,
    bias: Tensor,
    shape: Conv1dShape,
}

impl Conv1d {
    /// Reads the weight `[outputs, inputs, kernel]` and `bias`.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, shape: Conv1dShape, form: WeightForm) -> Result<Self> {
        let mut weight = form.load(weights, [shape.outputs, shape.inputs, shape.kernel])?;
        if shape.stride == 1 && !weights.is_plan() {
            let rows = shape.kernel * shape.inputs;
            weight = weight.transpose(1, 2)?.contiguous()?.reshape((shape.outputs, rows))?;
        }
        Ok(Self { weight, bias: weights.tensor("bias", &[shape.outputs])?, shape })
    }

    /// # Shapes
    /// `[batch, inputs, length]` to `[batch, outputs, ..]`, of length
    /// `(length + 2 padding - dilation (kernel - 1) - 1) / stride + 1`.
    ///
    /// # Errors
    /// [`ModelError::Input`] when the channels do not fit or the sequence is shorter than the kernel.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let Conv1dShape { inputs, outputs, kernel, stride, dilation, padding } = self.shape;
        let reach = dilation * kernel.saturating_sub(1);
        let (batch, length) = match input.dims() {
            [batch, channels, length]
                if *channels == inputs && batch * length > 0 && length + 2 * padding > reach =>
            {
                (*batch, length + 2 * padding - reach)
            }
            found => {
                let least = (reach + 1).saturating_sub(2 * padding).max(1);
                let expected = format!("[batch, {inputs}, length] with a length of at least {least}");
                return Err(ModelError::input("the input of a convolution", expected, format!("{found:?}")));
            }
        };
        let output = if stride == 1 {
            let padded = input.contiguous()?.pad_with_zeros(2, padding, padding)?;
            let rows = (0..batch)
                .map(|row| self.unfolded(&padded.get(row)?, length)?.unsqueeze(0).map_err(Into::into))
                .collect::<Result<Vec<_>>>()?;
            join(rows, 0)?
        } else {
            input.contiguous()?.conv1d(&self.weight, padding, stride, dilation, 1)?
        };
        Ok(output.broadcast_add(&self.bias.reshape((1, outputs, 1))?)?)
    }

    /// `padded` is `[inputs, length + reach]`.
    fn unfolded(&self, padded: &Tensor, length: usize) -> Result<Tensor> {
        let Conv1dShape { inputs, kernel, dilation, .. } = self.shape;
        if kernel == 1 {
            return Ok(self.weight.matmul(padded)?);
        }
        let columns = (MAX_UNFOLDED / (kernel * inputs).max(1)).max(MIN_COLUMNS);
        let mut pieces = Vec::with_capacity(length.div_ceil(columns));
        for start in (0..length).step_by(columns) {
            let size = columns.min(length - start);
            let windows = (0..kernel)
                .map(|tap| padded.narrow(1, start + tap * dilation, size))
                .collect::<candle_core::Result<Vec<_>>>()?;
            pieces.push(self.weight.matmul(&Tensor::cat(&windows, 0)?)?);
        }
        join(pieces, 1)
    }
}

fn join(mut parts: Vec<Tensor>, axis: usize) -> Result<Tensor> {
    Ok(if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(&parts, axis)? })
}

/// A transposed convolution with bias, which makes a sequence longer.
#[derive(Clone, Debug)]
pub struct ConvTranspose1d {
    weight: Tensor,
    bias: Tensor,
    shape: Conv1dShape,
}

impl ConvTranspose1d {
    /// Reads the weight `[inputs, outputs, kernel]` and `bias`; `padding` of the shape is cut off both ends.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, shape: Conv1dShape, form: WeightForm) -> Result<Self> {
        let weight = form.load(weights, [shape.inputs, shape.outputs, shape.kernel])?;
        Ok(Self { weight, bias: weights.tensor("bias", &[shape.outputs])?, shape })
    }

    /// # Shapes
    /// `[batch, inputs, length]` to `[batch, outputs, (length - 1) * stride + kernel - 2 * padding]`.
    ///
    /// # Errors
    /// [`ModelError::Input`] when the channels do not fit or nothing would be left.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let Conv1dShape { inputs, outputs, kernel, stride, padding, .. } = self.shape;
        let length = match input.dims() {
            [batch, channels, length] if *channels == inputs && batch * length > 0 => {
                ((length - 1) * stride + kernel).saturating_sub(2 * padding)
            }
            _ => 0,
        };
        if length == 0 {
            let (expected, found) = (format!("[batch, {inputs}, length]"), format!("{:?}", input.dims()));
            return Err(ModelError::input("the input of a transposed convolution", expected, found));
        }
        // The padding is cut off afterwards: candle's own padding falls back to a kernel that is many times slower. One
        // row of the batch at a time: for more, its matrix product on the CPU takes wrong numbers (see `Linear`).
        let mut rows = Vec::with_capacity(input.dim(0)?);
        for row in 0..input.dim(0)? {
            let row = input.narrow(0, row, 1)?.contiguous()?;
            let whole = row.conv_transpose1d(&self.weight, 0, 0, stride, 1, 1)?;
            rows.push(whole.narrow(2, padding, length)?.contiguous()?);
        }
        let output = join(rows, 0)?;
        Ok(output.broadcast_add(&self.bias.reshape((1, outputs, 1))?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn wave(shape: &[usize], step: f32) -> Tensor {
        let count = shape.iter().product::<usize>();
        let values: Vec<f32> = (0..count).map(|i| (i as f32 * step).sin()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn difference(a: &Tensor, b: &Tensor) -> f32 {
        assert_eq!(a.dims(), b.dims());
        (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn pieces_of_a_sequence_give_what_candle_gives_for_the_whole() {
        for (kernel, dilation, length) in [(1, 1, 9), (3, 5, 1000), (5, 1, 7), (11, 3, 700)] {
            let shape = Conv1dShape::dilated(400, 6, kernel, dilation);
            let (stored, bias) = (wave(&[6, 400, kernel], 0.37), wave(&[6], 0.9));
            let weight = stored.transpose(1, 2).unwrap().contiguous().unwrap();
            let weight = weight.reshape((6, kernel * 400)).unwrap();
            let conv = Conv1d { weight, bias: bias.clone(), shape };
            let input = wave(&[2, 400, length], 0.11);
            let expected = input.conv1d(&stored, shape.padding, 1, dilation, 1).unwrap();
            let expected = expected.broadcast_add(&bias.reshape((1, 6, 1)).unwrap()).unwrap();
            assert!(difference(&conv.forward(&input).unwrap(), &expected) < 1e-3);
        }
    }

    #[test]
    fn a_transposed_convolution_adds_a_kernel_for_every_input() {
        let shape = Conv1dShape { inputs: 3, outputs: 2, kernel: 8, stride: 4, dilation: 1, padding: 2 };
        let conv = ConvTranspose1d { weight: wave(&[3, 2, 8], 0.37), bias: wave(&[2], 0.9), shape };
        let input = wave(&[2, 3, 5], 0.11);
        let read = |tensor: &Tensor| tensor.to_vec3::<f32>().unwrap();
        let (weight, rows) = (read(&conv.weight), read(&input));
        let bias = conv.bias.to_vec1::<f32>().unwrap();
        let found = read(&conv.forward(&input).unwrap());
        for (found, inputs) in found.iter().zip(&rows) {
            for (output, found) in found.iter().enumerate() {
                assert_eq!(found.len(), 20);
                for (place, found) in found.iter().enumerate() {
                    let mut expected = bias[output];
                    for (channel, at, tap) in (0..3 * 5 * 8).map(|k| (k / 40, k / 8 % 5, k % 8)) {
                        if at * 4 + tap == place + 2 {
                            expected += inputs[channel][at] * weight[channel][output][tap];
                        }
                    }
                    assert!((found - expected).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn wrong_inputs_are_refused() {
        let shape = Conv1dShape { padding: 0, ..Conv1dShape::same(3, 2, 5) };
        let conv = Conv1d { weight: wave(&[2, 15], 0.3), bias: wave(&[2], 0.9), shape };
        for wrong in [wave(&[1, 4, 9], 0.1), wave(&[1, 3, 4], 0.1), wave(&[3, 9], 0.1)] {
            assert!(matches!(conv.forward(&wrong), Err(ModelError::Input { .. })), "{:?}", wrong.dims());
        }
    }
}
