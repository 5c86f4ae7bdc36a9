//! The layers that every network here is made of.
//!
//! All of them take and return contiguous tensors: candle's kernels for strided operands are many times slower.

mod attention;
mod conv;
mod conv1d;
mod group_norm;
mod linear;
mod norm;
mod quantized;
pub mod rope;
mod swiglu;
pub mod timestep;
mod weight_norm;

pub use attention::{AttentionMask, AttentionShape, Scores, attention, attention_with, plain_attention};
pub use conv::{Conv2d, Conv2dShape};
pub use conv1d::{Conv1d, Conv1dShape, ConvTranspose1d};
pub use group_norm::GroupNorm;
pub use linear::Linear;
pub use norm::{LayerNorm, RmsNorm};
pub use swiglu::{Activation, SwiGlu, SwiGluNames};
pub use weight_norm::WeightForm;
