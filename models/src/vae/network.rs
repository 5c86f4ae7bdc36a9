//! Any of the autoencoders, told apart by the tensors.

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::mel::{MelAutoencoder, MelAutoencoderConfig};
use super::{AutoencoderConfig, AutoencoderKl, Gaussian};
use crate::weights::{Checkpoint, Expected, KeyMap, Report, Weights, verify};
use crate::{Interrupt, ModelError, Result};

/// A kind of autoencoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaeKind {
    /// Of pictures, in the names of diffusers.
    Image,
    /// Of mel spectrograms.
    Mel,
}

/// The configuration of an autoencoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum VaeConfig {
    /// Of pictures.
    Image(AutoencoderConfig),
    /// Of mel spectrograms.
    Mel(MelAutoencoderConfig),
}

/// An autoencoder.
#[derive(Clone, Debug)]
pub enum VaeNetwork {
    /// Of pictures.
    Image(Box<AutoencoderKl>),
    /// Of mel spectrograms.
    Mel(Box<MelAutoencoder>),
}

impl VaeKind {
    /// Tells by the names and shapes of the tensors.
    ///
    /// # Errors
    /// [`ModelError::Config`] when it is none of these, in words that say why.
    pub fn detect(checkpoint: &Checkpoint) -> Result<Self> {
        let rank = |end: &str| {
            let mut tensors = checkpoint.tensors().iter();
            tensors.find(|(key, _)| key.ends_with(end)).map(|(_, tensor)| tensor.shape.len())
        };
        let reason = match rank("encoder.conv_in.weight") {
            Some(3) => return Ok(Self::Mel),
            Some(4) if rank("encoder.mid_block.resnets.0.conv1.weight").is_some() => return Ok(Self::Image),
            Some(4) => {
                "this is an image autoencoder under the names of the original Stable Diffusion; convert it once with \
                 `AutoencoderKL.from_single_file(FILE).save_pretrained(FOLDER)` of the Python package `diffusers`"
            }
            Some(_) => "`encoder.conv_in.weight` is the convolution of no known autoencoder",
            None => "this is no autoencoder: it has no `encoder.conv_in.weight`",
        };
        Err(ModelError::config(checkpoint.path(), reason))
    }
}

impl VaeConfig {
    /// The name of the network, to show.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Image(_) => "AutoencoderKL",
            Self::Mel(_) => "mel autoencoder",
        }
    }

    /// Channels of what goes in: colours or mel bands.
    pub fn in_channels(&self) -> usize {
        match self {
            Self::Image(config) => config.in_channels,
            Self::Mel(config) => config.in_channels,
        }
    }

    /// Channels of what comes out.
    pub fn out_channels(&self) -> usize {
        match self {
            Self::Image(config) => config.out_channels,
            Self::Mel(config) => config.out_ch,
        }
    }

    /// Channels of a latent.
    pub fn latent_channels(&self) -> usize {
        match self {
            Self::Image(config) => config.latent_channels,
            Self::Mel(config) => config.embed_dim,
        }
    }

    /// Pixels (on each side) or mel frames per latent cell.
    pub fn downscale(&self) -> usize {
        match self {
            Self::Image(config) => config.downscale(),
            Self::Mel(config) => config.downscale(),
        }
    }

    /// Dimensions of an input or a latent, batch and channels counted.
    pub fn rank(&self) -> usize {
        match self {
            Self::Image(_) => 4,
            Self::Mel(_) => 3,
        }
    }

    /// The tensors that a checkpoint must have.
    ///
    /// # Errors
    /// As the networks' `expected`.
    pub fn expected(&self) -> Result<Expected> {
        match self {
            Self::Image(config) => AutoencoderKl::expected(config),
            Self::Mel(config) => MelAutoencoder::expected(config),
        }
    }

    /// The names of `checkpoint`.
    pub fn key_map(&self, checkpoint: &Checkpoint) -> KeyMap {
        match self {
            Self::Image(_) => AutoencoderKl::key_map(checkpoint),
            Self::Mel(_) => MelAutoencoder::key_map(checkpoint),
        }
    }

    /// Compares the headers of `checkpoint` with what the network reads.
    ///
    /// # Errors
    /// As [`expected`](Self::expected).
    pub fn verify(&self, checkpoint: &Checkpoint) -> Result<Report> {
        let ignorable =
            |stored: &str| matches!(self, Self::Mel(_)) && MelAutoencoder::is_ignorable(checkpoint, stored);
        Ok(verify(checkpoint, &self.key_map(checkpoint), &self.expected()?, &ignorable))
    }

    /// Bytes that encoding takes, what goes in not counted; `sides` are height and width, or the frames.
    pub fn encode_bytes(&self, batch: usize, sides: &[usize], dtype: DType, device: &Device) -> u64 {
        match (self, sides) {
            (Self::Image(config), [height, width]) => {
                config.encode_bytes(batch, (*height, *width), dtype, device)
            }
            (Self::Mel(config), [frames]) => config.encode_bytes(batch, *frames, dtype),
            _ => 0,
        }
    }

    /// Bytes that decoding takes, what comes out included; `sides` are those of the latent.
    pub fn decode_bytes(&self, batch: usize, sides: &[usize], dtype: DType, device: &Device) -> u64 {
        match (self, sides) {
            (Self::Image(config), [height, width]) => {
                config.decode_bytes(*height, *width, dtype, device).saturating_mul(batch as u64)
            }
            (Self::Mel(config), [frames]) => config.decode_bytes(batch, *frames, dtype),
            _ => 0,
        }
    }
}

impl VaeNetwork {
    /// Reads the network, in the number format that [`AutoencoderKl::compute_type`] gives for that of `weights`.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, config: &VaeConfig) -> Result<Self> {
        Ok(match config {
            VaeConfig::Image(config) => Self::Image(Box::new(AutoencoderKl::load(weights, config)?)),
            VaeConfig::Mel(config) => Self::Mel(Box::new(MelAutoencoder::load(weights, config)?)),
        })
    }

    /// What the encoder says of a picture in -1..1 or a mel spectrogram, in its own scale.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]`, of mel `[batch, bands, frames]`.
    ///
    /// # Errors
    /// [`ModelError::Input`] for a wrong shape, [`ModelError::Interrupted`].
    pub fn encode(&self, input: &Tensor, interrupt: &Interrupt) -> Result<Gaussian> {
        match self {
            Self::Image(network) => network.encode(input, interrupt),
            Self::Mel(network) => network.encode(input, interrupt),
        }
    }

    /// A picture or a mel spectrogram from a latent in the encoder's scale.
    ///
    /// # Shapes
    /// As [`encode`](Self::encode), with the channels of a latent.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn decode(&self, latent: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
        match self {
            Self::Image(network) => network.decode(latent, interrupt),
            Self::Mel(network) => network.decode(latent, interrupt),
        }
    }
}
