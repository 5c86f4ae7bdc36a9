//! Vocoders: mel spectrograms to sound.

mod bigvgan;
mod blocks;
mod config;
mod filter;
mod folder;
mod memory;
mod snake;
mod snake_cpu;

pub use bigvgan::{BigVgan, VocoderStage};
pub use config::{BigVganConfig, SnakeKind};
pub use filter::{downsample, kaiser_sinc, upsample};
pub use folder::VocoderFolder;
pub use snake::{Snake, SnakeOptions};
