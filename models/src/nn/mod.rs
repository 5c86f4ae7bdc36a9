//! The layers that every network here is made of.
//!
//! All of them take and return contiguous tensors: candle's kernels for strided operands are many times slower.

mod attention;
mod conv;
mod group_norm;
mod linear;
mod norm;
pub mod rope;
mod swiglu;
pub mod timestep;

pub use attention::{AttentionMask, AttentionShape, Scores, attention, attention_with};
pub use conv::{Conv2d, Conv2dShape};
pub use group_norm::GroupNorm;
pub use linear::Linear;
pub use norm::{LayerNorm, RmsNorm};
pub use swiglu::{Activation, SwiGlu, SwiGluNames};
