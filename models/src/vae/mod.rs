//! Autoencoders: pixels to latents and back, and in [`mel`] mel spectrograms.

mod autoencoder;
mod blocks;
mod config;
mod decoder;
mod encoder;
mod gaussian;
pub mod mel;
mod memory;
mod preview;
mod tiles;

pub use autoencoder::{AutoencoderKl, AutoencoderStage};
pub use config::AutoencoderConfig;
pub use gaussian::Gaussian;
pub use preview::PreviewMap;
pub use tiles::TileOptions;
