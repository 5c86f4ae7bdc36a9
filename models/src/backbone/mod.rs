//! The backbones of Lumina: latent, time and caption or class in, velocity out.
//!
//! [`NextDit`] (Lumina-Next), [`FlagDit`] (Lumina-T2I) and [`ClassDit`] (the networks for ImageNet, and those with
//! mixtures of experts) are made of the same blocks. [`identify`] says which one a checkpoint is.

mod attention;
pub mod audio;
mod block;
mod caption;
mod class_config;
mod class_dit;
mod config;
mod detect;
mod dialect;
mod flag_dit;
mod flag_dit_config;
mod memory;
mod mixture;
mod next_dit;
mod options;
mod patch;
mod position;
mod presets;
mod region;
mod rope_change;
mod sequence;
mod sizes;
mod trunk;

pub use caption::PreparedCaption;
pub use class_config::{ClassDitConfig, ClassDitKind};
pub use class_dit::ClassDit;
pub use config::NextDitConfig;
pub use detect::{Family, Identified, identify};
pub use dialect::Dialect;
pub use flag_dit::FlagDit;
pub use flag_dit_config::FlagDitConfig;
pub use next_dit::NextDit;
pub use options::{AttentionGrowth, ForwardOptions};
pub use patch::{patchify, unpatchify};
pub use position::{frames_table, grid_table, line_table};
pub use presets::{BackboneConfig, PRESETS, Preset};
pub use region::{CellOrder, Region};
pub use rope_change::{RopeChange, RopeFactors, RopeScaling};
pub use sizes::DitSizes;
pub use trunk::Stage;
