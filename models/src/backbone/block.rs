//! One block, of every network here.

use candle_core::{D, Tensor};

use super::DitSizes;
use super::attention::JointAttention;
use super::caption::{CaptionKeys, PreparedCaption};
use super::mixture::{Mixture, RoutedBy};
use crate::Result;
use crate::nn::rope::RotaryTable;
use crate::nn::{Activation, AttentionMask, Linear, RmsNorm, SwiGlu, SwiGluNames};
use crate::weights::Weights;

/// How a branch of a block is normed and modulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockStyle {
    /// `x += gate * f(norm(x) * (1 + scale) + shift)`.
    Flag,
    /// `x += tanh(gate) * norm2(f(norm1(x) * (1 + scale)))`.
    Next,
    /// As `Next`, but the first norm has no weight, and the name of the second has no number.
    NextPlain,
}

/// A feed-forward branch of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feed {
    /// One layer for all.
    Dense,
    /// A mixture of so many experts, the only one of its block.
    Mixture(RoutedBy, usize),
    /// One of two mixtures, whose names say how they are routed.
    NamedMixture(RoutedBy, usize),
}

/// What a block is built from.
#[derive(Clone, Debug)]
pub(crate) struct BlockShape {
    pub(crate) sizes: DitSizes,
    /// Channels of the caption features, where there are captions.
    pub(crate) caption: Option<usize>,
    pub(crate) style: BlockStyle,
    pub(crate) feeds: Vec<Feed>,
}

/// What all blocks of one evaluation share.
pub(crate) struct BlockContext<'a> {
    pub(crate) table: &'a RotaryTable,
    /// Which tokens are not padding, for latents of different sizes in one batch.
    pub(crate) mask: Option<&'a AttentionMask>,
    pub(crate) caption: Option<&'a PreparedCaption>,
    pub(crate) scale: f64,
    /// The embedded time alone, `[batch, conditioning_size]`.
    pub(crate) time: &'a Tensor,
}

/// Attention and then feed-forward layers, each a branch beside the residual stream.
///
/// Source: `TransformerBlock` of Lumina-T2X `lumina_t2i/models/model.py` and `lumina_next_t2i/models/model.py`,
/// `TransformerBlockSandwichNorm2` of `Next-DiT-ImageNet/models/models.py`, `LuminaNextDiTBlock` of diffusers.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    attention: JointAttention,
    attention_branch: Branch,
    feeds: Vec<(Branch, FeedForward)>,
    modulation: Linear,
}

#[derive(Clone, Debug)]
enum FeedForward {
    Dense(SwiGlu),
    Mixture(Mixture),
}

impl Block {
    pub(crate) fn load(weights: &Weights, shape: &BlockShape) -> Result<Self> {
        let parts = shape.style.parts() * (1 + shape.feeds.len());
        let (size, conditioning) = (shape.sizes.hidden_size, shape.sizes.conditioning_size());
        let feeds = shape.feeds.iter().map(|feed| {
            let (layer, norm) = feed.names();
            let layer = weights.under(layer);
            let network = match feed {
                Feed::Dense => FeedForward::Dense(feed_forward(&layer, &shape.sizes)?),
                Feed::Mixture(by, experts) | Feed::NamedMixture(by, experts) => {
                    FeedForward::Mixture(Mixture::load(&layer, &shape.sizes, *by, *experts)?)
                }
            };
            Ok((Branch::load(weights, norm, shape)?, network))
        });
        Ok(Self {
            attention: JointAttention::load(weights, shape)?,
            attention_branch: Branch::load(weights, "attention_norm", shape)?,
            feeds: feeds.collect::<Result<_>>()?,
            modulation: Linear::load(
                &weights.under("adaLN_modulation").under(1),
                conditioning,
                parts * size,
            )?,
        })
    }

    pub(crate) fn caption_keys(&self, features: &Tensor) -> Result<CaptionKeys> {
        self.attention.caption_keys(features)
    }

    /// `routed` is shown the logits of every mixture.
    ///
    /// # Shapes
    /// `tokens` is `[batch, tokens, hidden_size]`, `conditioning` (after SiLU) `[batch, conditioning_size]`.
    pub(crate) fn forward(
        &self,
        tokens: &Tensor,
        conditioning: &Tensor,
        caption: Option<&CaptionKeys>,
        context: &BlockContext<'_>,
        routed: &mut dyn FnMut(usize, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let count = self.attention_branch.style.parts() * (1 + self.feeds.len());
        let modulation = self.modulation.forward(conditioning)?.unsqueeze(1)?;
        let parts: Vec<Tensor> = modulation
            .chunk(count, D::Minus1)?
            .iter()
            .map(Tensor::contiguous)
            .collect::<candle_core::Result<_>>()?;
        let mut parts = parts.chunks(self.attention_branch.style.parts());
        let attend = |normed: &Tensor| self.attention.forward(normed, caption, context);
        let mut tokens = self.attention_branch.forward(tokens, parts.next().unwrap_or_default(), attend)?;
        for (index, ((branch, feed), parts)) in self.feeds.iter().zip(parts).enumerate() {
            tokens = branch.forward(&tokens, parts, |normed| match feed {
                FeedForward::Dense(layer) => layer.forward(normed),
                FeedForward::Mixture(mixture) => {
                    let (output, logits) = mixture.forward(normed, context.time)?;
                    routed(index, &logits)?;
                    Ok(output)
                }
            })?;
        }
        Ok(tokens)
    }
}

/// The feed-forward layer of all networks of Lumina-T2X.
pub(crate) fn feed_forward(weights: &Weights, sizes: &DitSizes) -> Result<SwiGlu> {
    let names = SwiGluNames { gate: "w1", up: "w3", down: "w2" };
    SwiGlu::load(weights, names, sizes.hidden_size, sizes.feed_forward_dim(), Activation::Silu)
}

impl BlockStyle {
    /// Modulation parts of a branch: scale and gate, and before them a shift.
    fn parts(self) -> usize {
        if self == Self::Flag { 3 } else { 2 }
    }
}

impl Feed {
    /// The names of the layer and of its norm.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::NamedMixture(RoutedBy::Time, _) => ("feed_forward_time", "ffn_norm_time"),
            Self::NamedMixture(RoutedBy::Token, _) => ("feed_forward_space", "ffn_norm_space"),
            Self::Dense | Self::Mixture(..) => ("feed_forward", "ffn_norm"),
        }
    }
}

/// Norms and modulation around a layer.
#[derive(Clone, Debug)]
struct Branch {
    style: BlockStyle,
    before: RmsNorm,
    after: Option<RmsNorm>,
}

impl Branch {
    fn load(weights: &Weights, name: &str, shape: &BlockShape) -> Result<Self> {
        let (size, eps) = (shape.sizes.hidden_size, shape.sizes.norm_eps);
        let norm = |name: &str| RmsNorm::load(&weights.under(name), size, eps);
        let (before, after) = match shape.style {
            BlockStyle::Flag => (norm(name)?, None),
            BlockStyle::Next => (norm(&format!("{name}1"))?, Some(norm(&format!("{name}2"))?)),
            BlockStyle::NextPlain => (RmsNorm::plain(size, eps, weights.device())?, Some(norm(name)?)),
        };
        Ok(Self { style: shape.style, before, after })
    }

    /// `parts` are shift (Flag only), scale and gate, each `[batch, 1, hidden_size]`.
    fn forward(
        &self,
        tokens: &Tensor,
        parts: &[Tensor],
        layer: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let normed = self.before.forward(tokens)?;
        let (scale, gate, shift) = match parts {
            [shift, scale, gate] => (scale, gate.clone(), Some(shift)),
            [scale, gate] => (scale, gate.tanh()?, None),
            // A modulation layer has as many outputs as there are parts.
            _ => return Ok(tokens.clone()),
        };
        let scaled = normed.broadcast_mul(&(scale + 1.0)?)?;
        let output = layer(&match shift {
            Some(shift) => scaled.broadcast_add(shift)?,
            None => scaled,
        })?;
        let output = match &self.after {
            Some(norm) => norm.forward(&output)?,
            None => output,
        };
        Ok((tokens + output.broadcast_mul(&gate)?)?)
    }
}
