//! The backbones of Lumina: latent, time and caption or class in, velocity out.
//!
//! [`NextDit`] (Lumina-Next), [`FlagDit`] (Lumina-T2I) and [`ClassDit`] (the networks for ImageNet, and those with
//! mixtures of experts) are made of the same blocks; [`audio`] has that of sound. All are a [`Backbone`]. [`identify`]
//! says which one a checkpoint is, [`open_backbone`] loads it.

mod any;
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
mod open;
mod options;
mod patch;
mod position;
mod presets;
mod profile;
mod region;
mod rope_change;
mod rope_scaling;
mod sequence;
mod sizes;
mod trunk;

pub use any::{Backbone, Conditioning, Labels, Observe, Prepared};
pub use caption::PreparedCaption;
pub use class_config::{ClassDitConfig, ClassDitKind};
pub use class_dit::ClassDit;
pub use config::NextDitConfig;
pub use detect::{Family, Identified, identify};
pub use dialect::Dialect;
pub use flag_dit::FlagDit;
pub use flag_dit_config::FlagDitConfig;
pub use next_dit::NextDit;
pub use open::{Overrides, identify_with, open_backbone};
pub use options::{AttentionGrowth, ForwardOptions};
pub use patch::{patchify, unpatchify};
pub use position::{frames_table, grid_table, line_table};
pub use presets::{BackboneConfig, PRESET_NAMES, PRESETS, Preset};
pub use profile::{Profile, Wants};
pub use region::{CellOrder, Region};
pub use rope_change::RopeChange;
pub use rope_scaling::{RopeFactors, RopeScaling};
pub use sizes::DitSizes;
pub use trunk::Stage;
