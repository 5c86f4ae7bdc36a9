//! How much memory a decoder takes, from its sizes alone. Weights are not counted.

use candle_core::DType;

use super::DecoderConfig;
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
        let attending = 2 * state + 2 * queries + 3 * keys + shape.bytes(dtype);
        let feeding = 3 * state + queries + 4 * bytes(self.intermediate_size) + state;
        // The mask has a number for each pair of tokens, and was made from truth values.
        let masks = 1 + u64::from(self.sliding_window.is_some_and(|window| window < tokens));
        let mask = count * tokens as u64 * (4 * masks + 1);
        mask + attending.max(feeding)
    }
}
