//! Next-DiT, the backbone of Lumina-Next: latent, time and caption in, velocity out.

pub mod audio;
mod block;
mod caption;
mod config;
mod dialect;
mod memory;
mod next_dit;
mod options;
mod patch;
mod position;
mod sequence;

pub use caption::PreparedCaption;
pub use config::NextDitConfig;
pub use dialect::Dialect;
pub use next_dit::{NextDit, Stage};
pub use options::ForwardOptions;
pub use patch::{patchify, unpatchify};
pub use position::{RopeFactors, RopeScaling, grid_table};
