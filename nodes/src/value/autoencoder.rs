//! The two halves of an autoencoder that is loaded. They share the network.

use std::sync::Arc;

use lumina_engine::{Domain, Fact, NodeError, Type};
use lumina_models::vae::{AutoencoderKl, VaeConfig, VaeNetwork};

use super::{Medium, Space, type_of};
use crate::sizes::with_sizes;

/// From a latent to pixels, or to a mel spectrogram.
#[derive(Clone)]
pub struct DecoderValue {
    /// The network.
    pub network: Arc<VaeNetwork>,
    /// The latents it reads.
    pub space: Space,
    /// Bytes of its weights.
    pub bytes: u64,
}

/// From pixels, or a mel spectrogram, to a latent.
#[derive(Clone)]
pub struct EncoderValue {
    /// The network.
    pub network: Arc<VaeNetwork>,
    /// The latents it writes.
    pub space: Space,
    /// Bytes of its weights.
    pub bytes: u64,
}

impl EncoderValue {
    /// Both halves of a network of `bytes` bytes.
    pub(crate) fn halves(network: VaeNetwork, space: &Space, bytes: u64) -> (Self, DecoderValue) {
        let network = Arc::new(network);
        let half = bytes / 2;
        let encoder = Self { network: Arc::clone(&network), space: space.clone(), bytes: half };
        (encoder, DecoderValue { network, space: space.clone(), bytes: half })
    }

    /// The network of an encoder of pictures.
    ///
    /// # Errors
    /// When it is one of mel spectrograms.
    pub fn image(&self) -> Result<&AutoencoderKl, NodeError> {
        image(&self.network)
    }
}

impl DecoderValue {
    /// The network of a decoder of pictures.
    ///
    /// # Errors
    /// When it is one of mel spectrograms.
    pub fn image(&self) -> Result<&AutoencoderKl, NodeError> {
        image(&self.network)
    }
}

fn image(network: &VaeNetwork) -> Result<&AutoencoderKl, NodeError> {
    match network {
        VaeNetwork::Image(network) => Ok(network),
        VaeNetwork::Mel(_) => {
            Err(NodeError::failed("this is an autoencoder of mel spectrograms, not of pictures"))
        }
    }
}

/// What is known of the encoder, the decoder and the space of an autoencoder before it is loaded. Without a space the
/// scale of its latents is not known yet.
pub(crate) fn autoencoder_facts(config: &VaeConfig, space: Option<&Space>) -> [Fact; 3] {
    let medium = Medium::of(config);
    let fact = |ty: Type| match space {
        Some(space) => space.fact(ty),
        None => Fact::of(ty)
            .with("channels", config.latent_channels())
            .with("downscale", config.downscale())
            .with(Medium::PROPERTY, medium.name()),
    };
    [
        with_sizes(fact(type_of::<EncoderValue>()), config),
        with_sizes(fact(type_of::<DecoderValue>()), config),
        fact(type_of::<Space>()),
    ]
}

impl Domain for DecoderValue {
    const NAME: &'static str = "Decoder";

    fn byte_size(&self) -> u64 {
        self.bytes
    }
}

impl Domain for EncoderValue {
    const NAME: &'static str = "Encoder";

    fn byte_size(&self) -> u64 {
        self.bytes
    }
}
