//! The image autoencoder: pixels to latents and back.

mod autoencoder;
mod blocks;
mod config;
mod decoder;
mod encoder;
mod gaussian;
mod memory;
mod tiles;

pub use autoencoder::AutoencoderKl;
pub use config::AutoencoderConfig;
pub use gaussian::Gaussian;
pub use tiles::TileOptions;
