//! Text encoders in GGUF files, as llama.cpp's converter writes them: other names, other keys for the sizes, and some
//! weights changed.
//!
//! What the converter changes is taken as it is: norms of Gemma hold the one that is added to them
//! ([`NormStyle::Sum`](super::NormStyle::Sum)), and the rows of Llama's queries and keys are in pairs
//! ([`Rotation::Pairs`](super::Rotation::Pairs)). The tokenizer inside the file is not read.
//!
//! Source: `conversion/gemma.py`, `llama.py`, `qwen.py`, `t5.py` and `gguf-py/gguf/tensor_mapping.py` of llama.cpp.

mod config;
mod names;

pub(super) use config::read;
pub(super) use names::{decoder_keys, is_ignorable, t5_keys};

use crate::weights::Checkpoint;

/// Whether a checkpoint has the names of llama.cpp.
pub(super) fn has_its_names(checkpoint: &Checkpoint) -> bool {
    checkpoint.get(TOKENS).is_some()
}

/// The table of tokens.
const TOKENS: &str = "token_embd.weight";
