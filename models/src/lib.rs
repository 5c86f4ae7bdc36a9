//! The networks of the Lumina family in plain candle: text encoders, backbones, image autoencoder, the networks of audio,
//! flow sampling.
//!
//! The crate knows no graph and can be used on its own. A picture is made in four steps:
//!
//! 1. [`PipelineFolder::open`] reads the configs and the headers of a model folder, and
//!    [`PipelineFolder::verify`] reports everything that is wrong with it before a weight byte is read;
//! 2. [`text::TextEncoder::encode`] turns prompts into text features;
//! 3. [`flow::integrate`] follows the velocity of a [`backbone::NextDit`] from noise (time 0) to data (time 1);
//! 4. [`vae::AutoencoderKl::decode`] turns the latent into pixels.
//!
//! Sound is made by the same steps with [`backbone::audio`], [`vae::mel`] and a [`vocoder`].
//!
//! Formulas are those of Lumina-T2X (`Alpha-VLLM/Lumina-T2X`, commit `1c60696`) and of diffusers 0.42; the doc
//! comment of each item names its source.

pub mod backbone;
mod config_file;
mod error;
pub mod flow;
mod folder;
mod interrupt;
pub mod nn;
pub mod noise;
pub mod ops;
mod part;
mod part_bytes;
pub mod text;
pub mod vae;
pub mod vocoder;
pub mod weights;

pub use candle_core::{DType, Device, Tensor};
pub use error::{ModelError, Result};
pub use folder::{FolderReport, PipelineFolder};
pub use interrupt::Interrupt;
pub use part_bytes::PartBytes;
