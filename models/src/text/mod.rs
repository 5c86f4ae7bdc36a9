//! From prompts to text features: tokenizer and Gemma.

mod encoder;
mod features;
mod gemma;
mod gemma_config;
mod memory;
mod tokenizer;

pub use encoder::{TextEncoder, prepare_prompt};
pub use features::TextFeatures;
pub use gemma::Gemma;
pub use gemma_config::GemmaConfig;
pub use tokenizer::{MAX_TOKENS, Padding, PaddingSide, TokenBatch, Tokenizer};
