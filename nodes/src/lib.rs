//! The networks as node kinds: models, text, backbones, guidance, schedules, samplers, tensors.
//!
//! [`value`] has what flows between them; modalities build on these types. `kind` has one file per node kind.

#![forbid(unsafe_code)]

mod compute;
mod error;
mod guided;
mod hub;
mod kind;
mod network;
mod preview;
mod sizes;
mod tensor_file;
pub mod value;

pub use compute::{Compute, ComputeError};
pub use error::{interrupt, mistake, node_error, warn};
pub use hub::cache_root as hub_cache;
pub use kind::plugin;
pub use network::Network;
pub use sizes::sizes;
pub use tensor_file::holds;
