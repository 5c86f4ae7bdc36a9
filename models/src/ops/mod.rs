//! What candle computes slowly on the CPU, in one pass each.
//!
//! Every operation here has a plain form in [`nn`](crate::nn), which is its truth in tests and what other devices use.
//! The loops are written so that the compiler turns them into vector instructions; [`Processor`] says which ones this
//! machine has, so one program runs everywhere.

mod attention;
mod exponential;
mod processor;

pub(crate) use attention::{SeenKeys, blocked_attention, blocked_attention_bytes};
pub use processor::Processor;
