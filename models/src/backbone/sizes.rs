//! The sizes that every Lumina DiT has.

use serde::{Deserialize, Serialize};

use crate::weights::{Checkpoint, KeyMap};
use crate::{ModelError, Result};

/// Sizes and switches of the constructors of Lumina-T2X `models/model.py`, under the names that diffusers gave them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DitSizes {
    /// Side of a patch.
    pub patch_size: usize,
    /// Latent channels.
    pub in_channels: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; as many as query heads where absent.
    pub num_kv_heads: Option<usize>,
    /// The feed-forward width is rounded up to a multiple of this.
    pub multiple_of: usize,
    /// Factor on the feed-forward width.
    pub ffn_dim_multiplier: Option<f64>,
    /// Epsilon of the RMS norms; all other norms have fixed ones.
    pub norm_eps: f64,
    /// Whether the output has twice the latent channels, of which the second half is not used.
    pub learn_sigma: bool,
    /// Whether queries and keys are normed.
    pub qk_norm: bool,
    /// Feed-forward width, where it is known from the weights and not from the formula.
    #[serde(skip)]
    pub feed_forward_size: Option<usize>,
    /// Width of the conditioning vector, where it is not the smaller of `hidden_size` and 1024.
    #[serde(skip)]
    pub conditioning_width: Option<usize>,
}

/// What all published networks have in common.
impl Default for DitSizes {
    fn default() -> Self {
        Self {
            patch_size: 2,
            in_channels: 4,
            hidden_size: 1536,
            num_layers: 16,
            num_attention_heads: 32,
            num_kv_heads: None,
            multiple_of: 256,
            ffn_dim_multiplier: None,
            norm_eps: 1e-5,
            learn_sigma: true,
            qk_norm: true,
            feed_forward_size: None,
            conditioning_width: None,
        }
    }
}

impl DitSizes {
    /// Channels of a head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads.max(1)
    }

    /// Key and value heads.
    pub fn key_heads(&self) -> usize {
        self.num_kv_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of the conditioning vector.
    pub fn conditioning_size(&self) -> usize {
        self.conditioning_width.unwrap_or(self.hidden_size.min(1024))
    }

    /// Output channels of the network.
    pub fn out_channels(&self) -> usize {
        if self.learn_sigma { 2 * self.in_channels } else { self.in_channels }
    }

    /// Width inside the feed-forward layers.
    ///
    /// Source: `FeedForward.__init__` of Lumina-T2X `models/model.py`.
    pub fn feed_forward_dim(&self) -> usize {
        if let Some(size) = self.feed_forward_size {
            return size;
        }
        let width = 2 * (4 * self.hidden_size) / 3;
        let width = self.ffn_dim_multiplier.map_or(width, |factor| (factor * width as f64) as usize);
        width.next_multiple_of(self.multiple_of.max(1))
    }

    /// The same projections read with another number of query heads, which no shape tells where attention has no gate.
    #[must_use]
    pub fn with_heads(self, heads: usize) -> Self {
        let key_width = self.key_heads() * self.head_dim();
        let head_dim = self.hidden_size / heads.max(1);
        Self { num_attention_heads: heads, num_kv_heads: key_width.checked_div(head_dim), ..self }
    }

    /// The sizes that the shapes of a checkpoint imply. What shapes do not tell has its published value.
    pub(crate) fn from_checkpoint(checkpoint: &Checkpoint, keys: &KeyMap) -> Result<Self> {
        let shape = |name: &str, rank: usize| shape_of(checkpoint, keys, name, rank);
        let has = |name: &str| keys.resolve(name, checkpoint).is_some();
        let default = Self::default();
        let area = default.patch_size * default.patch_size;
        let embedder = shape("x_embedder.weight", 2)?;
        let output = shape("final_layer.linear.weight", 2)?;
        let key_width = shape("layers.0.attention.wk.weight", 2)?[0];
        let heads = if has("layers.0.attention.gate") {
            shape("layers.0.attention.gate", 1)?[0]
        } else {
            default.num_attention_heads
        };
        let expert = ["feed_forward.experts.0", "feed_forward_time.experts.0", "feed_forward"]
            .into_iter()
            .map(|feed| format!("layers.0.{feed}.w1.weight"))
            .find(|name| has(name))
            .unwrap_or_else(|| "layers.0.feed_forward.w1.weight".to_owned());
        let (hidden_size, in_channels) = (embedder[0], embedder[1] / area);
        Ok(Self {
            in_channels,
            hidden_size,
            num_layers: (0..).take_while(|layer| has(&format!("layers.{layer}.attention.wq.weight"))).count(),
            num_attention_heads: heads,
            num_kv_heads: Some(key_width / (hidden_size / heads).max(1)),
            learn_sigma: output[0] == 2 * in_channels * area,
            qk_norm: has("layers.0.attention.q_norm.weight"),
            feed_forward_size: Some(shape(&expert, 2)?[0]),
            ..default
        })
    }

    /// Refuses what no network can have; `axes` is the number of axes that positions have.
    pub(crate) fn check(&self, axes: usize) -> std::result::Result<(), String> {
        check_sizes(&[
            ("patch_size", self.patch_size),
            ("in_channels", self.in_channels),
            ("hidden_size", self.hidden_size),
            ("num_layers", self.num_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_kv_heads", self.key_heads()),
            ("multiple_of", self.multiple_of),
        ])?;
        let factor = self.ffn_dim_multiplier.unwrap_or(1.0);
        if !(factor > 0.0 && factor <= 1024.0) {
            return Err(format!("`ffn_dim_multiplier` is {factor}, expected a positive number"));
        }
        if !(1..=1 << 24).contains(&self.feed_forward_dim()) {
            return Err(format!("the width of the feed-forward layers is {}", self.feed_forward_dim()));
        }
        if !(0.0..1.0).contains(&self.norm_eps) {
            return Err(format!("`norm_eps` is {}, expected a small positive number", self.norm_eps));
        }
        let heads = self.num_attention_heads;
        if !self.hidden_size.is_multiple_of(heads) {
            return Err(format!(
                "`hidden_size` is {}, expected a multiple of {heads} heads",
                self.hidden_size
            ));
        }
        if !self.head_dim().is_multiple_of(2 * axes) {
            let why = if axes == 2 { "two axes of channel pairs" } else { "channel pairs" };
            let reason = format!("expected a multiple of {} ({why})", 2 * axes);
            return Err(format!("`hidden_size / num_attention_heads` is {}, {reason}", self.head_dim()));
        }
        if !heads.is_multiple_of(self.key_heads()) {
            return Err(format!("`num_kv_heads` is {}, expected a divisor of {heads}", self.key_heads()));
        }
        Ok(())
    }
}

/// Refuses sizes of 0 and sizes far above any real network, which would overflow products or make endless layers.
pub(crate) fn check_sizes(sizes: &[(&str, usize)]) -> std::result::Result<(), String> {
    if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
        return Err(format!("`{name}` is 0"));
    }
    let most = |name: &str| match name {
        "patch_size" | "num_layers" | "num_experts" => 1 << 10,
        "in_channels" | "num_attention_heads" => 1 << 12,
        _ => 1 << 20,
    };
    match sizes.iter().find(|(name, size)| *size > most(name)) {
        Some((name, size)) => Err(format!("`{name}` is {size}, which is more than any network has")),
        None => Ok(()),
    }
}

/// The stored shape of a canonical name, of `rank` dimensions that are not 0.
pub(crate) fn shape_of(
    checkpoint: &Checkpoint,
    keys: &KeyMap,
    name: &str,
    rank: usize,
) -> Result<Vec<usize>> {
    let stored = keys.resolve(name, checkpoint);
    let Some(tensor) = stored.as_ref().and_then(|key| checkpoint.get(key)) else {
        let keys = keys.names(name).into_iter().take(1).collect();
        return Err(ModelError::MissingKeys { path: checkpoint.path().to_owned(), keys });
    };
    if tensor.shape.len() != rank || tensor.shape.contains(&0) {
        return Err(ModelError::Shape {
            path: checkpoint.file_of(tensor).to_owned(),
            key: name.to_owned(),
            expected: vec![1; rank],
            found: tensor.shape.clone(),
        });
    }
    Ok(tensor.shape.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feed_forward_widths_are_those_of_the_published_sizes() {
        for (hidden_size, width) in [(768, 2048), (1536, 4096), (2304, 6144), (3072, 8192), (4096, 11008)] {
            assert_eq!(DitSizes { hidden_size, ..DitSizes::default() }.feed_forward_dim(), width);
        }
    }

    #[test]
    fn other_heads_leave_the_projections_as_wide_as_they_are() {
        let sizes = DitSizes { hidden_size: 64, num_kv_heads: Some(16), ..DitSizes::default() };
        let other = sizes.with_heads(4);
        assert_eq!((other.head_dim(), other.key_heads()), (16, 2));
    }

    #[test]
    fn wrong_values_name_their_field() {
        let wrong = |sizes: DitSizes, axes| sizes.check(axes).unwrap_err();
        assert!(wrong(DitSizes { num_kv_heads: Some(5), ..DitSizes::default() }, 2).contains("num_kv_heads"));
        assert!(wrong(DitSizes { num_layers: 0, ..DitSizes::default() }, 2).contains("num_layers"));
        assert!(wrong(DitSizes { norm_eps: f64::NAN, ..DitSizes::default() }, 1).contains("norm_eps"));
        let narrow = DitSizes { hidden_size: 64, num_attention_heads: 32, ..DitSizes::default() };
        assert!(narrow.check(1).is_ok() && narrow.check(2).is_err());
    }
}
