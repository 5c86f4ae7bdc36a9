//! The attention of a block: over the picture, and over the caption where there is one.

use candle_core::{D, Tensor};

use super::block::{BlockContext, BlockShape};
use super::caption::{CaptionKeys, PreparedCaption};
use crate::nn::rope::rotate_pairs;
use crate::nn::{LayerNorm, Linear, RmsNorm, attention};
use crate::weights::Weights;
use crate::{ModelError, Result};

/// Epsilon of the norms of queries and keys, whatever the config says.
const QK_EPS: f64 = 1e-5;

/// Attention over the picture and, gated per head, over the caption, with one output projection.
///
/// Source: `Attention` of Lumina-T2X `lumina_t2i/models/model.py` and `lumina_next_t2i/models/model.py`; without a
/// caption, of `Flag-DiT-ImageNet/models/model.py` and `Next-DiT-ImageNet/models/models.py`.
#[derive(Clone, Debug)]
pub(crate) struct JointAttention {
    query: Projection,
    key: Projection,
    value: Projection,
    caption: Option<CaptionAttention>,
    output: Linear,
}

#[derive(Clone, Debug)]
struct CaptionAttention {
    /// A query of its own for the caption; none where it is the query of the picture, as in all published weights.
    query: Option<Projection>,
    key: Projection,
    value: Projection,
    norm: RmsNorm,
    /// `tanh(gate)`, `[1, heads, 1, 1]`.
    gate: Tensor,
}

impl JointAttention {
    pub(crate) fn load(block: &Weights, shape: &BlockShape) -> Result<Self> {
        let (weights, sizes) = (block.under("attention"), &shape.sizes);
        let (size, heads, key_heads) = (sizes.hidden_size, sizes.num_attention_heads, sizes.key_heads());
        let load = |name: &str, norm: Option<&str>, inputs: usize, heads: usize| -> Result<Projection> {
            let outputs = heads * sizes.head_dim();
            let linear = Linear::load_without_bias(&weights.under(name), inputs, outputs)?;
            let norm = norm.filter(|_| sizes.qk_norm);
            let norm = norm.map(|norm| LayerNorm::load(&weights.under(norm), outputs, QK_EPS));
            Ok(Projection { linear, norm: norm.transpose()?, heads })
        };
        let query = load("wq", Some("q_norm"), size, heads)?;
        let caption = match shape.caption {
            None => None,
            Some(channels) => Some(CaptionAttention {
                query: caption_query(&weights, &query, size)?,
                key: load("wk_y", Some("ky_norm"), channels, key_heads)?,
                value: load("wv_y", None, channels, key_heads)?,
                norm: RmsNorm::load(&block.under("attention_y_norm"), channels, sizes.norm_eps)?,
                gate: weights.tensor("gate", &[heads])?.contiguous()?.tanh()?.reshape((1, heads, 1, 1))?,
            }),
        };
        Ok(Self {
            query,
            key: load("wk", Some("k_norm"), size, key_heads)?,
            value: load("wv", None, size, key_heads)?,
            caption,
            output: Linear::load_without_bias(&weights.under("wo"), size, size)?,
        })
    }

    /// Keys and values of a caption.
    pub(crate) fn caption_keys(&self, features: &Tensor) -> Result<CaptionKeys> {
        let Some(caption) = &self.caption else {
            return Err(ModelError::input("the condition", "a class label", "a caption"));
        };
        let normed = caption.norm.forward(features)?;
        Ok(CaptionKeys { key: caption.key.forward(&normed)?, value: caption.value.forward(&normed)? })
    }

    pub(crate) fn forward(
        &self,
        tokens: &Tensor,
        keys: Option<&CaptionKeys>,
        context: &BlockContext<'_>,
    ) -> Result<Tensor> {
        let (batch, length, size) = tokens.dims3()?;
        let query = rotate_pairs(&self.query.forward(tokens)?, context.table)?;
        let key = rotate_pairs(&self.key.forward(tokens)?, context.table)?;
        let value = self.value.forward(tokens)?;
        let mut joined = attention(&query, &key, &value, context.scale, context.mask)?;
        if let Some(((caption, keys), prepared)) = self.caption.as_ref().zip(keys).zip(context.caption) {
            // The caption is asked with the turned query; its keys are not turned.
            let query = match &caption.query {
                Some(own) => rotate_pairs(&own.forward(tokens)?, context.table)?,
                None => query,
            };
            joined = (joined + read(&query, keys, prepared)?.broadcast_mul(&caption.gate)?)?;
        }
        self.output.forward(&joined.transpose(1, 2)?.contiguous()?.reshape((batch, length, size))?)
    }
}

/// What the tokens read in their captions, each caption on the tokens of its region where there are regions.
fn read(query: &Tensor, keys: &CaptionKeys, caption: &PreparedCaption) -> Result<Tensor> {
    let scale = 1.0 / (query.dim(D::Minus1)? as f64).sqrt();
    let Some(regions) = &caption.regions else {
        return attention(query, &keys.key, &keys.value, scale, Some(&caption.mask));
    };
    let asked = query.index_select(&regions.owners, 0)?;
    let read = attention(&asked, &keys.key, &keys.value, scale, Some(&caption.mask))?;
    let weighted = read.broadcast_mul(&regions.weights.to_dtype(read.dtype())?)?;
    Ok(query.zeros_like()?.index_add(&regions.owners, &weighted, 0)?)
}

fn caption_query(weights: &Weights, query: &Projection, size: usize) -> Result<Option<Projection>> {
    let linear = Linear::load_optional(&weights.under("wq_y"), size, size)?;
    // Asked for in any case, so that a plan knows both names.
    let norm = LayerNorm::load_optional(&weights.under("q_norm_y"), size, QK_EPS)?;
    let Some(linear) = linear else { return Ok(None) };
    let own = Projection { linear, norm: norm.or_else(|| query.norm.clone()), heads: query.heads };
    Ok(if own.equals(query)? { None } else { Some(own) })
}

/// A linear layer whose output is normed over all heads together and then split into heads.
#[derive(Clone, Debug)]
struct Projection {
    linear: Linear,
    norm: Option<LayerNorm>,
    heads: usize,
}

impl Projection {
    /// # Shapes
    /// `[batch, tokens, inputs]` to `[batch, heads, tokens, head_dim]`.
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let output = self.linear.forward(input)?;
        let output = match &self.norm {
            Some(norm) => norm.forward(&output)?,
            None => output,
        };
        let (batch, tokens, size) = output.dims3()?;
        let split = output.reshape((batch, tokens, self.heads, size / self.heads.max(1)))?;
        Ok(split.transpose(1, 2)?.contiguous()?)
    }

    fn equals(&self, other: &Self) -> Result<bool> {
        let norms = match (
            self.norm.as_ref().and_then(LayerNorm::affine),
            other.norm.as_ref().and_then(LayerNorm::affine),
        ) {
            (Some(a), Some(b)) => same(&a.0, &b.0)? && same(&a.1, &b.1)?,
            (None, None) => true,
            _ => false,
        };
        Ok(norms && same(&self.linear.weight()?, &other.linear.weight()?)?)
    }
}

fn same(a: &Tensor, b: &Tensor) -> Result<bool> {
    let differing = a.ne(b)?.flatten_all()?.max(0)?.to_scalar::<u8>()?;
    Ok(a.dims() == b.dims() && differing == 0)
}
