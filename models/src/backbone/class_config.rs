//! The sizes of a class-conditional network.

use serde::{Deserialize, Serialize};

use super::DitSizes;
use super::detect::Family;
use super::sizes::{check_sizes, shape_of};
use crate::weights::{Checkpoint, KeyMap};
use crate::{ModelError, Result};

/// The class-conditional networks of Lumina-T2X.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClassDitKind {
    /// `Flag-DiT-ImageNet`.
    Flag,
    /// `Next-DiT-ImageNet`.
    #[default]
    Next,
    /// `Next-DiT-MoE/models/models.py`: experts chosen by the time.
    TimeMixture,
    /// `Next-DiT-MoE/models/models1.py`: experts chosen for each token.
    SpaceMixture,
    /// `Next-DiT-MoE/models/models2.py`: the one and then the other.
    BothMixtures,
}

impl ClassDitKind {
    /// Whether feed-forward layers are mixtures of experts.
    pub fn is_mixture(self) -> bool {
        !matches!(self, Self::Flag | Self::Next)
    }

    /// What it is, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flag => "a class-conditional Flag-DiT",
            Self::Next => "a class-conditional Next-DiT",
            Self::TimeMixture => "a mixture of experts routed by time",
            Self::SpaceMixture => "a mixture of experts routed by token",
            Self::BothMixtures => "a mixture of experts routed by time and by token",
        }
    }
}

/// Sizes and switches of a class-conditional network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClassDitConfig {
    /// Which network.
    pub kind: ClassDitKind,
    /// Sizes of the network.
    #[serde(flatten)]
    pub sizes: DitSizes,
    /// Classes, without the one for no class.
    pub num_classes: usize,
    /// Side of the latent that it was trained on.
    pub sample_size: usize,
    /// Experts of every mixture; 0 where there are none.
    pub num_experts: usize,
}

/// The published network, `DiT_Llama_600M_patch2` of `Next-DiT-ImageNet`.
impl Default for ClassDitConfig {
    fn default() -> Self {
        Self {
            kind: ClassDitKind::Next,
            sizes: DitSizes::default(),
            num_classes: 1000,
            sample_size: 32,
            num_experts: 0,
        }
    }
}

impl ClassDitConfig {
    /// The sizes that the shapes of a checkpoint imply. What shapes do not tell has its published value: among others
    /// 32 heads, see [`DitSizes::with_heads`], and latents of 32 x 32.
    ///
    /// # Errors
    /// [`ModelError::Config`] when the checkpoint is another network, or a mixture of which shapes do not tell how it
    /// is routed; [`ModelError::MissingKeys`] or [`ModelError::Shape`] when it is damaged.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        match Family::detect(checkpoint)? {
            Family::ClassDit(kind) => Self::of_kind(checkpoint, kind, None),
            other => Err(other.not("a class-conditional DiT", checkpoint)),
        }
    }

    /// As [`from_checkpoint`](Self::from_checkpoint), where kind and maybe heads are known.
    ///
    /// # Errors
    /// As [`from_checkpoint`](Self::from_checkpoint).
    pub fn of_kind(checkpoint: &Checkpoint, kind: ClassDitKind, heads: Option<usize>) -> Result<Self> {
        let keys = KeyMap::identity();
        let sizes = DitSizes::from_checkpoint(checkpoint, &keys)?;
        let table = shape_of(checkpoint, &keys, "y_embedder.embedding_table.weight", 2)?;
        let feed = if kind == ClassDitKind::BothMixtures { "feed_forward_time" } else { "feed_forward" };
        let num_experts = if kind.is_mixture() {
            shape_of(checkpoint, &keys, &format!("layers.0.{feed}.gate.weight"), 2)?[0]
        } else {
            0
        };
        let config = Self {
            kind,
            sizes: match heads {
                Some(heads) => sizes.with_heads(heads),
                None => sizes,
            },
            num_classes: table[0] - 1,
            num_experts,
            ..Self::default()
        };
        config.check().map_err(|reason| ModelError::config(checkpoint.path(), reason))?;
        Ok(config)
    }

    /// The label for no class.
    pub fn no_class(&self) -> u32 {
        u32::try_from(self.num_classes).unwrap_or(u32::MAX)
    }

    /// What is wrong, with the name of the field.
    ///
    /// # Errors
    /// The first mistake, in words.
    pub fn check(&self) -> std::result::Result<(), String> {
        self.sizes.check(if self.kind == ClassDitKind::Flag { 1 } else { 2 })?;
        check_sizes(&[("num_classes", self.num_classes), ("sample_size", self.sample_size)])?;
        if self.kind.is_mixture() {
            check_sizes(&[("num_experts", self.num_experts)])?;
            if self.num_experts < 2 {
                return Err("`num_experts` is 1, expected at least the 2 that each token uses".to_owned());
            }
        } else if self.num_experts > 0 {
            return Err(format!("`num_experts` is {}, but the network has no mixture", self.num_experts));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixture_needs_two_experts_and_others_have_none() {
        let config = |kind, num_experts| ClassDitConfig { kind, num_experts, ..ClassDitConfig::default() };
        assert!(config(ClassDitKind::TimeMixture, 8).check().is_ok());
        assert!(config(ClassDitKind::TimeMixture, 1).check().is_err());
        assert!(config(ClassDitKind::SpaceMixture, 0).check().is_err());
        assert!(config(ClassDitKind::Next, 8).check().is_err());
    }
}
