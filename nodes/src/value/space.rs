//! The convention of latents: two things fit together when they agree on it.

use std::fmt;
use std::sync::Arc;

use lumina_engine::{Digest, Digester, Domain, Fact, Storable, Type, World};
use lumina_models::backbone::NextDitConfig;
use lumina_models::vae::{AutoencoderConfig, PreviewMap, VaeConfig};
use serde::{Deserialize, Serialize};

use super::Medium;

/// What the numbers of a latent mean. Two spaces are the same when the numbers mean the same, however they are shown and
/// in whatever patches a network reads them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Space {
    /// Channels.
    pub channels: usize,
    /// Pixels per latent cell, on each side; of a spectrogram mel frames.
    pub downscale: usize,
    /// Latent cells per token, on each side.
    pub patch: usize,
    /// Model latents are `(latent - shift) * scale`.
    pub scale: f64,
    /// See `scale`.
    pub shift: f64,
    /// What they are latents of.
    #[serde(default)]
    pub medium: Medium,
    /// How latents are shown without decoding them. Not kept with values on disk: only models that are loaded need it.
    #[serde(skip)]
    pub preview: Option<Arc<PreviewMap>>,
}

impl PartialEq for Space {
    fn eq(&self, other: &Self) -> bool {
        let numbers =
            |space: &Self| (space.channels, space.downscale, space.scale, space.shift, space.medium);
        numbers(self) == numbers(other)
    }
}

impl Space {
    /// The space of a model made of this backbone and this autoencoder.
    pub fn new(backbone: &NextDitConfig, autoencoder: &AutoencoderConfig) -> Self {
        Self {
            channels: autoencoder.latent_channels,
            downscale: autoencoder.downscale(),
            patch: backbone.patch_size,
            scale: autoencoder.scaling_factor,
            shift: autoencoder.shift_factor.unwrap_or(0.0),
            medium: Medium::Image,
            preview: None,
        }
    }

    /// The space of an autoencoder by itself, for a backbone that makes a token of `patch` cells on each side.
    pub fn of_autoencoder(config: &VaeConfig, scale: f64, patch: usize) -> Self {
        let shift = match config {
            VaeConfig::Image(config) => config.shift_factor.unwrap_or(0.0),
            VaeConfig::Mel(_) => 0.0,
        };
        Self {
            channels: config.latent_channels(),
            downscale: config.downscale(),
            patch,
            scale,
            shift,
            medium: Medium::of(config),
            preview: None,
        }
    }

    /// The space of a network of which nothing is known but what it reads: a cell counts as one pixel, numbers as they
    /// are.
    pub fn plain(channels: usize, patch: usize) -> Self {
        Self { channels, downscale: 1, patch, scale: 1.0, shift: 0.0, medium: Medium::Image, preview: None }
    }

    /// Adds how latents are shown.
    pub fn with_preview(mut self, preview: PreviewMap) -> Self {
        self.preview = Some(Arc::new(preview));
        self
    }

    /// Sides of pictures are multiples of this.
    pub fn granularity(&self) -> usize {
        self.downscale * self.patch
    }

    /// The space as text, for values that are kept.
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn from_text(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// A fact about a value in this space.
    pub fn fact(&self, ty: Type) -> Fact {
        Fact::of(ty)
            .with("space", self.to_string())
            .with("channels", self.channels)
            .with("downscale", self.downscale)
            .with("patch", self.patch)
            .with(Medium::PROPERTY, self.medium.name())
    }
}

impl fmt::Display for Space {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.medium {
            Medium::Image => "pixels",
            Medium::Mel => "mel frames",
        };
        write!(formatter, "{} channels of {} {unit}, scale {}", self.channels, self.downscale, self.scale)?;
        if self.shift != 0.0 { write!(formatter, ", shift {}", self.shift) } else { Ok(()) }
    }
}

impl Domain for Space {
    const NAME: &'static str = "Space";

    fn byte_size(&self) -> u64 {
        size_of::<Self>() as u64
    }

    fn digest(&self) -> Option<Digest> {
        let fields = serde_json::to_vec(self).ok()?;
        Some(Digester::new(Self::NAME).part(&fields).finish())
    }
}

impl Storable for Space {
    fn store(&self) -> Result<Vec<u8>, String> {
        Ok(self.to_text().into_bytes())
    }

    fn restore(bytes: &[u8], _: &dyn World) -> Result<Self, String> {
        Self::from_text(&String::from_utf8_lossy(bytes))
    }
}
