//! Weights that are stored as a length and a direction.

use candle_core::{DType, Tensor};

use crate::Result;
use crate::weights::Weights;

/// How a checkpoint stores the weight of a convolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightForm {
    /// As `weight`.
    #[default]
    Plain,
    /// As `weight_g` and `weight_v`: the weight is `g * v / |v|`, a length for each index of the first axis.
    ///
    /// Source: `torch.nn.utils.weight_norm`.
    Normed,
}

impl WeightForm {
    /// Reads the weight in this form and makes the plain one of it.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(self, weights: &Weights, shape: [usize; 3]) -> Result<Tensor> {
        match self {
            Self::Plain => weights.tensor("weight", &shape),
            Self::Normed => {
                let length = weights.tensor("weight_g", &[shape[0], 1, 1])?;
                let direction = weights.tensor("weight_v", &shape)?;
                if weights.is_plan() { Ok(direction) } else { fold(&length, &direction) }
            }
        }
    }
}

/// In f64, so that a folded checkpoint does not depend on the order of a sum.
fn fold(length: &Tensor, direction: &Tensor) -> Result<Tensor> {
    let wide = direction.to_dtype(DType::F64)?;
    let norm = wide.sqr()?.flatten_from(1)?.sum_keepdim(1)?.sqrt()?.unsqueeze(2)?;
    let factor = length.to_dtype(DType::F64)?.broadcast_div(&norm)?;
    Ok(wide.broadcast_mul(&factor)?.to_dtype(direction.dtype())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn every_row_has_the_length_that_was_stored() {
        let direction = Tensor::new(&[[[3.0_f32, 4.0]], [[0.0, -2.0]]], &Device::Cpu).unwrap();
        let length = Tensor::new(&[[[10.0_f32]], [[1.0]]], &Device::Cpu).unwrap();
        let folded = fold(&length, &direction).unwrap().to_vec3::<f32>().unwrap();
        assert_eq!(folded, [[[6.0, 8.0]], [[0.0, -1.0]]]);
    }
}
