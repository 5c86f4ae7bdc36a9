//! Which network a checkpoint is, and of which size: from names and shapes, never from the names of files.

use super::Dialect;
use super::audio::AudioFlagDit;
use super::class_config::ClassDitKind;
use super::open::{Overrides, identify_with};
use super::presets::BackboneConfig;
use crate::weights::{Checkpoint, KeyMap};
use crate::{ModelError, Result};

/// A network of Lumina-T2X.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Family {
    /// Next-DiT for text, under the names of a dialect. The compositional demo and the visual anagrams use the same
    /// files.
    NextDit(Dialect),
    /// Flag-DiT for text (Lumina-T2I).
    FlagDit,
    /// A class-conditional network.
    ClassDit(ClassDitKind),
    /// Flag-DiT for sound.
    AudioFlagDit,
}

/// What a checkpoint is.
#[derive(Clone, Debug)]
pub struct Identified {
    /// The network.
    pub family: Family,
    /// Its sizes.
    pub config: BackboneConfig,
    /// The published size that has the same tensors, if there is one.
    pub preset: Option<&'static str>,
}

impl Family {
    /// Finds the network.
    ///
    /// # Errors
    /// [`ModelError::Config`] when it is none of these, in words that say what it is; also for a mixture of experts
    /// whose shapes do not tell how it is routed (a width of at most 1024, as no published one has).
    pub fn detect(checkpoint: &Checkpoint) -> Result<Self> {
        Self::detect_with(checkpoint, None)
    }

    /// As [`detect`](Self::detect); `kind` says how a mixture of experts is routed where shapes do not tell.
    ///
    /// # Errors
    /// As [`detect`](Self::detect).
    pub fn detect_with(checkpoint: &Checkpoint, kind: Option<ClassDitKind>) -> Result<Self> {
        let has = |name: &str| checkpoint.get(name).is_some();
        let refuse = |reason: &str| Err(ModelError::config(checkpoint.path(), reason));
        let dialect = if has("patch_embedder.proj.weight") {
            Dialect::Diffusers
        } else if has("patch_embedder.weight") {
            Dialect::EarlyDiffusers
        } else if has("x_embedder.weight") {
            Dialect::Original
        } else if AudioFlagDit::key_map(checkpoint).resolve("proj_in.weight", checkpoint).is_some() {
            return Ok(Self::AudioFlagDit);
        } else {
            return refuse(
                "this is no backbone of Lumina: it has none of `x_embedder`, `patch_embedder` and `proj_in`",
            );
        };
        if has("eol_token") {
            return Ok(Self::FlagDit);
        }
        if has("y_embedder.embedding_table.weight") {
            return Ok(Self::ClassDit(class_kind(checkpoint, kind)?));
        }
        // Found by its shape, as the names are nearly the same.
        if parts(checkpoint, dialect) == Some(6) {
            return refuse(
                "this is the first upload of Lumina-Next-T2I (2.1B parameters, before 2024-05-31): another network, \
                 whose modulation has six parts and not four; use the current files",
            );
        }
        Ok(Self::NextDit(dialect))
    }

    /// Refuses another network than `expected`.
    ///
    /// # Errors
    /// [`ModelError::Config`] with the names of both.
    pub fn require(&self, checkpoint: &Checkpoint, expected: &Self) -> Result<()> {
        if self == expected { Ok(()) } else { Err(self.not(expected.name(), checkpoint)) }
    }

    /// From canonical names to those of a checkpoint of this network.
    pub fn key_map(&self, checkpoint: &Checkpoint) -> KeyMap {
        match self {
            Self::NextDit(dialect) => dialect.key_map(),
            Self::AudioFlagDit => AudioFlagDit::key_map(checkpoint),
            Self::FlagDit | Self::ClassDit(_) => KeyMap::identity(),
        }
    }

    /// What it is, in words.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NextDit(_) => "a Next-DiT for text",
            Self::FlagDit => "a Flag-DiT of Lumina-T2I",
            Self::ClassDit(kind) => kind.name(),
            Self::AudioFlagDit => "a Flag-DiT of Lumina's audio and music",
        }
    }

    pub(crate) fn not(&self, expected: &str, checkpoint: &Checkpoint) -> ModelError {
        let sign = match self {
            Self::NextDit(_) => "no `eol_token` and no `y_embedder`",
            Self::FlagDit => "`eol_token`",
            Self::ClassDit(_) => "`y_embedder`",
            Self::AudioFlagDit => "`proj_in`",
        };
        let reason = format!("this is {} (it has {sign}), not {expected}", self.name());
        ModelError::config(checkpoint.path(), reason)
    }
}

/// Finds network, sizes and published size of a checkpoint.
///
/// # Errors
/// As [`Family::detect`]; [`ModelError::MissingKeys`] or [`ModelError::Shape`] when it is damaged.
pub fn identify(checkpoint: &Checkpoint) -> Result<Identified> {
    identify_with(checkpoint, &Overrides::default())
}

/// Modulation parts of a block: rows of its modulation by width.
fn parts(checkpoint: &Checkpoint, dialect: Dialect) -> Option<usize> {
    let keys = dialect.key_map();
    let rows = |name: &str| {
        let key = keys.resolve(name, checkpoint)?;
        checkpoint.get(&key)?.shape.first().copied()
    };
    let (modulation, size) =
        (rows("layers.0.adaLN_modulation.1.weight")?, rows("layers.0.attention.wq.weight")?);
    (size > 0 && modulation.is_multiple_of(size)).then(|| modulation / size)
}

fn class_kind(checkpoint: &Checkpoint, given: Option<ClassDitKind>) -> Result<ClassDitKind> {
    let refuse = |reason: String| Err(ModelError::config(checkpoint.path(), reason));
    if checkpoint.get("layers.0.feed_forward_time.gate.weight").is_some() {
        return Ok(ClassDitKind::BothMixtures);
    }
    if let Some(gate) = checkpoint.get("layers.0.feed_forward.gate.weight") {
        // By time the gate reads the conditioning vector, by token the token. Both are as wide up to 1024.
        let width = |name: &str| checkpoint.get(name).and_then(|tensor| tensor.shape.first().copied());
        let time = width("t_embedder.mlp.2.weight");
        let token = width("x_embedder.weight");
        let inputs = gate.shape.get(1).copied();
        return match (inputs == time, inputs == token) {
            (true, false) => Ok(ClassDitKind::TimeMixture),
            (false, true) => Ok(ClassDitKind::SpaceMixture),
            (true, true) => match given {
                Some(kind @ (ClassDitKind::TimeMixture | ClassDitKind::SpaceMixture)) => Ok(kind),
                _ => refuse(format!(
                    "the shapes of this mixture of experts do not tell whether it is routed by time or by token: both \
                     are {} wide; a config can say `\"kind\": \"TimeMixture\"` or `\"SpaceMixture\"`",
                    inputs.unwrap_or_default()
                )),
            },
            (false, false) => {
                refuse("the gate of this mixture of experts fits neither time nor tokens".to_owned())
            }
        };
    }
    // The names of both are the same, and `attention_norm` stands in opposite places.
    match parts(checkpoint, Dialect::Original) {
        Some(6) => Ok(ClassDitKind::Flag),
        Some(4) => Ok(ClassDitKind::Next),
        found => refuse(format!(
            "the modulation of this class-conditional DiT has {} parts, expected 6 (Flag-DiT) or 4 (Next-DiT)",
            found.map_or_else(|| "no whole number of".to_owned(), |parts| parts.to_string())
        )),
    }
}
