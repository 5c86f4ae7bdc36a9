//! How much memory a text encoder takes, from its sizes alone. Weights are not counted.

use candle_core::DType;

use super::{DecoderConfig, TextConfig};
use crate::nn::AttentionShape;

impl DecoderConfig {
    /// Bytes that encoding `rows` prompts of `tokens` tokens takes, features included.
    ///
    /// Follows `decoder_layer.rs`: which states are alive while a layer attends, and while its feed-forward layer works.
    pub fn encode_bytes(&self, rows: usize, tokens: usize, dtype: DType) -> u64 {
        let element = dtype.size_in_bytes() as u64;
        let count = (rows * tokens) as u64;
        let bytes = |width: usize| count * width as u64 * element;
        let (heads, head_dim) = (self.num_attention_heads, self.head_dim);
        let shape = AttentionShape { batch: rows, heads, queries: tokens, keys: tokens, head_dim };
        let state = bytes(self.hidden_size);
        let queries = bytes(heads * head_dim);
        let keys = bytes(self.num_key_value_heads * head_dim);
        // Before and after the rotation.
        let attending = 2 * state + 2 * queries + 3 * keys + shape.plain_bytes(dtype);
        let feeding = 3 * state + queries + 4 * bytes(self.intermediate_size) + state;
        // The mask has a number for each pair of tokens, and was made from truth values.
        let masks = 1 + u64::from(self.sliding_window.is_some_and(|window| window < tokens));
        let mask = count * tokens as u64 * (4 * masks + 1);
        mask + attending.max(feeding)
    }
}

impl TextConfig {
    /// Bytes that encoding `rows` prompts of `tokens` tokens up to the hidden state behind layer `state` takes, features
    /// included.
    pub fn encode_bytes(&self, rows: usize, tokens: usize, state: usize, dtype: DType) -> u64 {
        let (inner, heads, head_dim) = match self {
            Self::Decoder(config) => return config.encode_bytes(rows, tokens, dtype),
            Self::T5(config) => (config.d_ff, config.num_heads, config.d_kv),
            Self::Bert(config) | Self::ClapText(config) => {
                (config.intermediate_size, config.num_attention_heads, config.head_dim())
            }
        };
        // T5 holds its states in f32 where it computes in f16.
        let element = dtype.size_in_bytes().max(if dtype == DType::F16 { 4 } else { 0 }) as u64;
        let count = (rows * tokens) as u64;
        let bytes = |width: usize| count * width as u64 * element;
        let one = bytes(self.width());
        let shape = AttentionShape { batch: rows, heads, queries: tokens, keys: tokens, head_dim };
        // Query, key and value, each once more laid out by heads.
        let attending = 2 * one + 6 * bytes(heads * head_dim) + shape.plain_bytes(dtype);
        let feeding = 3 * one + 4 * bytes(inner);
        // The distances of T5 have a number for each pair of tokens and head, and so has the sum of scores and them.
        let pairs = (heads * tokens) as u64 * tokens as u64 * element;
        // All hidden states are made where not the last one is wanted.
        let states = if state < self.layers() { self.layers() as u64 * one } else { 0 };
        states + count * tokens as u64 * 5 + 2 * pairs + attending.max(feeding)
    }
}
