//! Outputs by content key.

mod memory;

pub use memory::MemoryCache;
