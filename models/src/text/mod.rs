//! From prompts to text features: tokenizers and the networks behind them.
//!
//! [`Decoder`] is one network for Gemma, Gemma 2, Llama and Qwen3; [`T5Encoder`], [`Bert`] and what stands on it are the
//! others. [`TextNetwork`] is any of them.

mod bert;
mod bert_config;
mod bert_layer;
mod clap;
mod decoder;
mod decoder_config;
mod decoder_family;
mod decoder_fields;
mod decoder_layer;
mod encoder;
mod features;
mod gguf;
mod memory;
mod network;
mod prefix;
mod prompt;
mod recognise;
mod t5;
mod t5_config;
mod t5_position;
mod token_rows;
mod tokenizer;
mod tokenizer_config;

pub use bert::Bert;
pub use bert_config::{BertConfig, Positions};
pub use clap::{CaptionTower, ClapText, sentence_embedding, unit_length};
pub use decoder::Decoder;
pub use decoder_config::{DecoderConfig, NormStyle, Rotation, Windowed};
pub use decoder_family::DecoderFamily;
pub use encoder::{TextEncoder, prepare_prompt};
pub use features::TextFeatures;
pub use network::{TextConfig, TextNetwork};
pub use prompt::{LUMINA2_SYSTEM, chat_prompt, with_system_prompt};
pub use recognise::{TextKind, recognise};
pub use t5::T5Encoder;
pub use t5_config::T5Config;
pub use tokenizer::{MAX_TOKENS, Padding, PaddingSide, TokenBatch, Tokenizer};
