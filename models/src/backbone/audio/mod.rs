//! The Flag-DiT of Lumina's audio and music: a sequence of latent frames, time and context in, velocity out.

mod config;
mod flag_dit;

pub use config::AudioFlagDitConfig;
pub use flag_dit::{AudioFlagDit, model_time};
