//! How much memory a Next-DiT takes, from its sizes alone. Weights are not counted.

use candle_core::DType;

use super::NextDitConfig;
use crate::nn::AttentionShape;

impl NextDitConfig {
    /// Tokens of a latent of `height x width` cells.
    pub fn tokens(&self, height: usize, width: usize) -> usize {
        (height / self.patch_size.max(1)) * (width / self.patch_size.max(1))
    }

    /// Bytes that one evaluation of `batch` latents of `tokens` tokens takes with a caption of `caption` tokens.
    ///
    /// Follows `block.rs`: which states are alive while a block attends, and while its feed-forward layer works.
    pub fn forward_bytes(&self, batch: usize, tokens: usize, caption: usize, dtype: DType) -> u64 {
        let element = dtype.size_in_bytes() as u64;
        let rows = (batch * tokens) as u64;
        let state = rows * self.hidden_size as u64 * element;
        let keys = rows * (self.key_heads() * self.head_dim()) as u64 * element;
        let wide = rows * self.feed_forward_dim() as u64 * element;
        let attention = |keys: usize| {
            let (heads, head_dim) = (self.num_attention_heads, self.head_dim());
            AttentionShape { batch, heads, queries: tokens, keys, head_dim }.bytes(dtype)
        };
        // The embedded tokens, the tokens so far, normed ones, queries; the caption is read with the result beside them.
        let attending = 4 * state + 2 * keys + attention(tokens).max(attention(caption) + state);
        // A norm over all queries works in f32.
        let norming = 4 * state + 5 * rows * self.hidden_size as u64 * 4;
        let feeding = 6 * state + 4 * wide + state;
        let table = (tokens * self.head_dim()) as u64 * 4;
        table + attending.max(norming).max(feeding)
    }

    /// Bytes of a prepared caption: keys and values of every block for `batch` rows of `tokens` tokens.
    pub fn caption_bytes(&self, batch: usize, tokens: usize, dtype: DType) -> u64 {
        let keys = 2 * self.num_layers * self.key_heads() * self.head_dim() * tokens;
        (batch * (keys + self.conditioning_size()) * dtype.size_in_bytes()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_scores_decide_over_long_sequences_and_are_bounded() {
        let config = NextDitConfig::default();
        let bytes = |tokens| config.forward_bytes(1, tokens, 64, DType::F32);
        let ratio = bytes(512) as f64 / bytes(128) as f64;
        assert!(ratio > 4.0, "{ratio}");
        // Beyond the bound on scores the growth is that of the states.
        let ratio = bytes(1 << 18) as f64 / bytes(1 << 17) as f64;
        assert!(ratio < 2.01, "{ratio}");
    }
}
