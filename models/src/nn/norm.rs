//! Normalisation over the last dimension.

use candle_core::{DType, Device, Tensor};

use crate::weights::Weights;
use crate::{ModelError, Result};

/// `x / sqrt(mean(x^2) + eps) * w`, the mean in f32.
///
/// Source: `RMSNorm` of Lumina-T2X `models/components.py`; with an offset, `GemmaRMSNorm` of transformers; rounded,
/// `LlamaRMSNorm`, `Qwen3RMSNorm` and `T5LayerNorm`.
#[derive(Clone, Debug)]
pub struct RmsNorm {
    weight: Tensor,
    /// What is added to the weight.
    offset: f64,
    eps: f64,
    /// Whether the normalised value is rounded to the format of the weight before it is multiplied with it.
    rounded: bool,
}

impl RmsNorm {
    /// Reads `weight`.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, size: usize, eps: f64) -> Result<Self> {
        Ok(Self { weight: weights.tensor("weight", &[size])?, offset: 0.0, eps, rounded: false })
    }

    /// Reads `weight` in Gemma's form, which stores the distance from one.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load_offset(weights: &Weights, size: usize, eps: f64) -> Result<Self> {
        Ok(Self { offset: 1.0, ..Self::load(weights, size, eps)? })
    }

    /// Reads `weight`; in half precision the normalised value is rounded before it is multiplied, and the result has the
    /// format of the weight. In f32 there is no difference to [`load`](Self::load).
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load_rounded(weights: &Weights, size: usize, eps: f64) -> Result<Self> {
        Ok(Self { rounded: true, ..Self::load(weights, size, eps)? })
    }

    /// Without a weight.
    ///
    /// # Errors
    /// [`crate::ModelError::Candle`] when memory runs out.
    pub fn plain(size: usize, eps: f64, device: &Device) -> Result<Self> {
        Ok(Self { weight: Tensor::ones(size, DType::F32, device)?, offset: 0.0, eps, rounded: false })
    }

    /// # Shapes
    /// `[.., size]` to the same.
    ///
    /// # Errors
    /// [`crate::ModelError::Candle`] when the last dimension is not `size`.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let wide = input.contiguous()?.to_dtype(DType::F32)?;
        if self.rounded && self.weight.dtype() != DType::F32 {
            let ones = Tensor::ones(self.weight.dims(), DType::F32, wide.device())?;
            let normed = candle_nn::ops::rms_norm(&wide, &ones, self.eps as f32)?;
            return Ok(normed.to_dtype(self.weight.dtype())?.broadcast_mul(&self.weight)?);
        }
        // Added in f32: bf16 has too few bits to hold both 1 and a small distance from it.
        let weight = (self.weight.to_dtype(DType::F32)? + self.offset)?;
        let normed = candle_nn::ops::rms_norm(&wide, &weight, self.eps as f32)?;
        Ok(normed.to_dtype(input.dtype())?)
    }
}

/// `(x - mean) / sqrt(variance + eps)`, times a weight plus a bias where there are any; in f32.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    affine: Option<(Tensor, Tensor)>,
    eps: f64,
    /// Parts of the last dimension with a mean and a variance of their own.
    groups: usize,
}

impl LayerNorm {
    /// Reads `weight` and `bias`.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, size: usize, eps: f64) -> Result<Self> {
        let affine = Some((weights.tensor("weight", &[size])?, weights.tensor("bias", &[size])?));
        Ok(Self { affine, eps, groups: 1 })
    }

    /// As [`load`](Self::load), for a norm that each rank of the training took over its own part of the values.
    ///
    /// # Errors
    /// As [`Weights::tensor`]; [`ModelError::Input`] when the ranks cannot have had equal parts.
    pub fn load_by_rank(weights: &Weights, size: usize, eps: f64) -> Result<Self> {
        let groups = weights.ranks().max(1);
        if !size.is_multiple_of(groups) {
            let expected = format!("a multiple of the {groups} ranks of the training");
            return Err(ModelError::input("the width of a norm", expected, size.to_string()));
        }
        Ok(Self { groups, ..Self::load(weights, size, eps)? })
    }

    /// As [`load`](Self::load), or none when there is no `weight`.
    ///
    /// # Errors
    /// As [`Weights::tensor`], but for missing ones.
    pub fn load_optional(weights: &Weights, size: usize, eps: f64) -> Result<Option<Self>> {
        let affine = weights.optional("weight", &[size])?.zip(weights.optional("bias", &[size])?);
        Ok(affine.map(|affine| Self { affine: Some(affine), eps, groups: 1 }))
    }

    /// Without weight and bias.
    pub fn plain(eps: f64) -> Self {
        Self { affine: None, eps, groups: 1 }
    }

    /// Weight and bias, if any.
    pub fn affine(&self) -> Option<&(Tensor, Tensor)> {
        self.affine.as_ref()
    }

    /// # Shapes
    /// `[.., size]` to the same.
    ///
    /// # Errors
    /// [`crate::ModelError::Candle`] when the last dimension is not `size`.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let wide = input.contiguous()?.to_dtype(DType::F32)?;
        let last = candle_core::D::Minus1;
        let wide = if self.groups > 1 {
            wide.reshape(((), self.groups, wide.dim(last)? / self.groups))?
        } else {
            wide
        };
        // The mean goes first: E[x^2] - mean^2, as the fused kernel does it, loses all digits where the mean is large.
        let centred = wide.broadcast_sub(&wide.mean_keepdim(last)?)?;
        let variance = centred.sqr()?.mean_keepdim(last)?;
        let normed = centred.broadcast_div(&(variance + self.eps)?.sqrt()?)?.reshape(input.dims())?;
        let output = match &self.affine {
            Some((weight, bias)) => normed
                .broadcast_mul(&weight.to_dtype(DType::F32)?)?
                .broadcast_add(&bias.to_dtype(DType::F32)?)?,
            None => normed,
        };
        Ok(output.to_dtype(input.dtype())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_layer_norm_has_zero_mean_and_unit_variance() {
        let input = Tensor::new(&[1000.0_f32, 1001.0, 1002.0, 1003.0], &Device::Cpu).unwrap();
        let output = LayerNorm::plain(0.0).forward(&input).unwrap().to_vec1::<f32>().unwrap();
        let mean: f32 = output.iter().sum::<f32>() / 4.0;
        let variance: f32 = output.iter().map(|v| v * v).sum::<f32>() / 4.0;
        assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-5, "{mean} {variance}");
    }
}
