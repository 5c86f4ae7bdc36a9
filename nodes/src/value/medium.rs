//! What latents are latents of.

use lumina_engine::{Fact, Mistake};
use lumina_models::vae::VaeConfig;
use serde::{Deserialize, Serialize};

/// What an autoencoder makes latents of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Medium {
    /// Pictures.
    #[default]
    Image,
    /// Mel spectrograms of sound.
    Mel,
}

impl Medium {
    /// Its name as a property of a fact.
    pub(crate) const PROPERTY: &'static str = "medium";

    /// The medium of an autoencoder.
    pub(crate) fn of(config: &VaeConfig) -> Self {
        match config {
            VaeConfig::Image(_) => Self::Image,
            VaeConfig::Mel(_) => Self::Mel,
        }
    }

    /// In words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Image => "pictures",
            Self::Mel => "mel spectrograms",
        }
    }

    /// A mistake when the encoder, decoder or space of an input is known to be of another medium.
    pub fn mistake(self, input: &str, fact: Option<&Fact>) -> Option<Mistake> {
        let found = fact?.text(Self::PROPERTY)?;
        (found != self.name()).then(|| {
            let message = format!("`{input}` is of {found}, expected one of {}", self.name());
            Mistake::at(input, message)
        })
    }
}
