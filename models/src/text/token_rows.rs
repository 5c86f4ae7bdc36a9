//! The table with a row of numbers for each token.

use candle_core::{DType, Device, Tensor};

use super::TokenBatch;
use crate::weights::{Matrix, Weights};
use crate::{ModelError, Result};

/// A table of embeddings, on the CPU in the number format of the file, quantised or not.
///
/// Few of its rows are needed, and converted it would be the largest part of many an encoder.
#[derive(Clone, Debug)]
pub(super) struct TokenRows(Matrix);

impl TokenRows {
    /// # Errors
    /// As [`Weights::tensor`].
    pub(super) fn load(weights: &Weights, name: &str, vocabulary: usize, size: usize) -> Result<Self> {
        Ok(Self(weights.matrix_as_stored(name, &[vocabulary, size])?))
    }

    /// The rows of the tokens of a batch.
    ///
    /// # Shapes
    /// `[prompts, tokens, size]`.
    ///
    /// # Errors
    /// [`ModelError::Input`] for an empty or ragged batch, or a token beyond the table.
    pub(super) fn rows(&self, batch: &TokenBatch, dtype: DType, device: &Device) -> Result<Tensor> {
        let (rows, tokens) = (batch.ids.len(), batch.length());
        let sizes_agree = batch.mask.len() == rows
            && batch.ids.iter().chain(&batch.mask).all(|row| row.len() == tokens)
            && rows * tokens > 0;
        if !sizes_agree {
            return Err(ModelError::input("the token batch", "rows of one length", "empty or ragged"));
        }
        self.pick(batch.ids.concat(), dtype, device)?.reshape((rows, tokens, ())).map_err(ModelError::from)
    }

    /// The rows of some numbers.
    ///
    /// # Shapes
    /// `[numbers, size]`.
    ///
    /// # Errors
    /// [`ModelError::Input`] for a number beyond the table.
    pub(super) fn pick(&self, numbers: Vec<u32>, dtype: DType, device: &Device) -> Result<Tensor> {
        let (vocabulary, _) = match &self.0 {
            Matrix::Plain(table) => table.dims2()?,
            Matrix::Quantized(table) => table.shape().dims2()?,
        };
        if let Some(number) = numbers.iter().find(|&&number| number as usize >= vocabulary) {
            let expected = format!("below the vocabulary size {vocabulary}");
            return Err(ModelError::input("a token number", expected, number.to_string()));
        }
        let numbers = Tensor::new(numbers, &Device::Cpu)?;
        let rows = match &self.0 {
            Matrix::Plain(table) => table.index_select(&numbers, 0)?,
            Matrix::Quantized(table) => table.embedding(&numbers)?,
        };
        Ok(rows.to_dtype(dtype)?.to_device(device)?)
    }
}
