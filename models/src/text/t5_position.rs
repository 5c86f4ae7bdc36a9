//! The relative positions of a T5.

use candle_core::{DType, Device, Tensor};

use super::T5Config;
use crate::Result;
use crate::weights::Weights;

impl T5Config {
    /// The class of a distance, counted from the query to the key.
    ///
    /// Half of the classes are for keys behind the query. Of each half the first half holds one distance each; the rest
    /// grow with the logarithm, computed in f32 and cut to whole numbers.
    ///
    /// Source: `T5Attention._relative_position_bucket` of transformers, `bidirectional=True`.
    pub fn bucket(&self, distance: i64) -> u32 {
        let half = self.relative_attention_num_buckets / 2;
        let exact = half / 2;
        let far = distance.unsigned_abs();
        let class = if far < exact as u64 {
            far as usize
        } else {
            let range = (self.relative_attention_max_distance as f64 / exact as f64).ln() as f32;
            let steps = (far as f32 / exact as f32).ln() / range * (half - exact) as f32;
            exact.saturating_add(steps as usize).min(half - 1)
        };
        (class + if distance > 0 { half } else { 0 }) as u32
    }
}

/// The table of what each head adds to the score of each class of distances.
#[derive(Clone, Debug)]
pub(super) struct PositionBias(Tensor);

impl PositionBias {
    /// # Errors
    /// As [`Weights::tensor`].
    pub(super) fn load(weights: &Weights, config: &T5Config) -> Result<Self> {
        Ok(Self(weights.tensor("weight", &[config.relative_attention_num_buckets, config.num_heads])?))
    }

    /// What is added to the scores of a row of `tokens`, in f32.
    ///
    /// # Shapes
    /// `[1, heads, tokens, tokens]`.
    ///
    /// # Errors
    /// [`crate::ModelError::Candle`] when memory runs out.
    pub(super) fn of(&self, tokens: usize, config: &T5Config, device: &Device) -> Result<Tensor> {
        let classes: Vec<u32> = (0..tokens)
            .flat_map(|query| (0..tokens).map(move |key| config.bucket(key as i64 - query as i64)))
            .collect();
        let classes = Tensor::new(classes, device)?;
        let rows = self.0.index_select(&classes, 0)?.to_dtype(DType::F32)?;
        Ok(rows.t()?.contiguous()?.reshape((1, config.num_heads, tokens, tokens))?)
    }
}
