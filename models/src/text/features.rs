//! What a text encoder gives to a backbone.

use candle_core::{DType, Tensor};

use crate::{ModelError, Result};

/// Text features of some prompts.
#[derive(Clone, Debug)]
pub struct TextFeatures {
    /// `[batch, tokens, channels]`. Values where the mask is 0 mean nothing.
    pub features: Tensor,
    /// `[batch, tokens]` as u32: 1 for tokens of the text, 0 for padding.
    pub mask: Tensor,
    /// The token numbers, one row a prompt; empty where the features were not made from tokens.
    pub ids: Vec<Vec<u32>>,
}

impl TextFeatures {
    /// Features from elsewhere.
    ///
    /// # Shapes
    /// `features` is `[batch, tokens, channels]`, `mask` is `[batch, tokens]` of any number format.
    ///
    /// # Errors
    /// [`ModelError::Input`] when the two do not fit.
    pub fn new(features: Tensor, mask: &Tensor) -> Result<Self> {
        let expected = features.dims().get(..2).unwrap_or(&[]).to_vec();
        if features.rank() != 3 || mask.dims() != expected {
            let what = "the mask of the text features";
            return Err(ModelError::input(what, format!("{expected:?}"), format!("{:?}", mask.dims())));
        }
        Ok(Self { features, mask: mask.to_dtype(DType::U32)?, ids: Vec::new() })
    }

    /// Number of prompts.
    pub fn batch(&self) -> usize {
        self.features.dims().first().copied().unwrap_or(0)
    }

    /// Number of tokens, padding counted.
    pub fn tokens(&self) -> usize {
        self.features.dims().get(1).copied().unwrap_or(0)
    }

    /// Every prompt `times` times in a row: p0, p0, p1, p1.
    ///
    /// # Errors
    /// [`ModelError::Candle`] when memory runs out.
    pub fn repeat(&self, times: usize) -> Result<Self> {
        let index: Vec<u32> =
            (0..self.batch()).flat_map(|row| std::iter::repeat_n(row as u32, times)).collect();
        let index = Tensor::new(index, self.features.device())?;
        let ids = self.ids.iter().flat_map(|row| std::iter::repeat_n(row.clone(), times)).collect();
        Ok(Self {
            features: self.features.contiguous()?.index_select(&index, 0)?,
            mask: self.mask.contiguous()?.index_select(&index, 0)?,
            ids,
        })
    }

    /// All prompts of all `parts`, the shorter ones filled with masked tokens behind. Backbones see a text as a set, so
    /// more masked tokens change nothing.
    ///
    /// # Errors
    /// [`ModelError::Input`] for no parts, [`ModelError::Candle`] when the channels differ.
    pub fn concat(parts: &[&Self]) -> Result<Self> {
        let tokens = parts
            .iter()
            .map(|part| part.tokens())
            .max()
            .ok_or_else(|| ModelError::input("the text features to join", "at least one", "none"))?;
        let mut features = Vec::with_capacity(parts.len());
        let mut mask = Vec::with_capacity(parts.len());
        for part in parts {
            features.push(part.features.pad_with_zeros(1, 0, tokens - part.tokens())?);
            mask.push(part.mask.pad_with_zeros(1, 0, tokens - part.tokens())?);
        }
        let ids = parts.iter().flat_map(|part| part.ids.iter().cloned()).collect();
        Ok(Self { features: Tensor::cat(&features, 0)?, mask: Tensor::cat(&mask, 0)?, ids })
    }
}
