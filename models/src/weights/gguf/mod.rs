//! GGUF files: quantised weights with what is known of their network, as llama.cpp writes them.

mod header;
mod kind;
mod metadata;
mod open;
mod source;

pub use header::{GgufHeader, GgufTensor};
pub use metadata::{GgufMetadata, GgufValue};
