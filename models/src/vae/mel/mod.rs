//! The autoencoder of Lumina's sound: mel spectrograms to latents and back.
//!
//! Frames are the sequence, mel bands and latent numbers are channels.

mod autoencoder;
mod blocks;
mod config;
mod decoder;
mod detect;
mod encoder;
mod memory;

pub use autoencoder::{MelAutoencoder, MelStage};
pub use blocks::FrameAttention;
pub use config::MelAutoencoderConfig;
