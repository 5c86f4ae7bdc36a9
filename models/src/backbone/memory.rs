//! How much memory a backbone takes, from its sizes alone. Weights are not counted.

use candle_core::{DType, Device};

use super::audio::AudioFlagDitConfig;
use super::{ClassDitConfig, ClassDitKind, DitSizes, FlagDitConfig, NextDitConfig};
use crate::nn::AttentionShape;

/// What tells the work of one network from that of another of the same sizes.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    /// Tokens of a caption that is read beside the picture.
    caption: Option<usize>,
    /// Whether a shift is added to what goes into a layer, as in every Flag-DiT.
    shift: bool,
    /// Experts of a mixture.
    experts: usize,
}

impl DitSizes {
    /// Tokens of a latent of `height x width` cells, without those that close rows.
    pub fn tokens(&self, height: usize, width: usize) -> usize {
        (height / self.patch_size.max(1)) * (width / self.patch_size.max(1))
    }

    /// Bytes of keys and values of every block for `batch` captions of `tokens` tokens, and of the pooled captions.
    fn caption_bytes(&self, batch: usize, tokens: usize, dtype: DType) -> u64 {
        let keys = 2 * self.num_layers * self.key_heads() * self.head_dim() * tokens;
        (batch * (keys + self.conditioning_size()) * dtype.size_in_bytes()) as u64
    }

    /// Bytes that one evaluation of `batch` latents of `tokens` tokens takes.
    ///
    /// Follows `block.rs`: which states are alive while a block attends, and while its feed-forward layer works.
    fn forward_bytes(&self, batch: usize, tokens: usize, work: Work, dtype: DType, device: &Device) -> u64 {
        let element = dtype.size_in_bytes() as u64;
        let rows = (batch * tokens) as u64;
        let state = rows * self.hidden_size as u64 * element;
        let keys = rows * (self.key_heads() * self.head_dim()) as u64 * element;
        let wide = rows * self.feed_forward_dim() as u64 * element;
        let attention = |keys: usize| {
            let (heads, head_dim) = (self.num_attention_heads, self.head_dim());
            AttentionShape { batch, heads, queries: tokens, keys, head_dim }.bytes(dtype, device)
        };
        // The caption is read with what was seen of the picture beside it.
        let read = work.caption.map_or(0, |caption| attention(caption) + state);
        // The embedded tokens, the tokens so far, normed ones, queries.
        let attending = 4 * state + 2 * keys + attention(tokens).max(read);
        // A norm over all queries works in f32.
        let norming = if self.qk_norm { 4 * state + 5 * rows * self.hidden_size as u64 * 4 } else { 0 };
        // The rows of an expert, what the others have made so far, and this with what it has made; and all logits.
        let mixing = if work.experts > 0 { 3 * state + 2 * rows * work.experts as u64 * 4 } else { 0 };
        let feeding = 6 * state + 4 * wide + state + mixing;
        let table = (tokens * self.head_dim()) as u64 * 4;
        let shifted = if work.shift { state } else { 0 };
        table + shifted + attending.max(norming).max(feeding)
    }
}

impl NextDitConfig {
    /// Tokens of a latent of `height x width` cells.
    pub fn tokens(&self, height: usize, width: usize) -> usize {
        self.sizes().tokens(height, width)
    }

    /// Bytes that one evaluation of `batch` latents of `tokens` tokens takes with a caption of `caption` tokens.
    pub fn forward_bytes(
        &self,
        batch: usize,
        tokens: usize,
        caption: usize,
        dtype: DType,
        device: &Device,
    ) -> u64 {
        let work = Work { caption: Some(caption), ..Work::default() };
        self.sizes().forward_bytes(batch, tokens, work, dtype, device)
    }

    /// Bytes of a prepared caption: keys and values of every block for `batch` rows of `tokens` tokens.
    pub fn caption_bytes(&self, batch: usize, tokens: usize, dtype: DType) -> u64 {
        self.sizes().caption_bytes(batch, tokens, dtype)
    }
}

impl FlagDitConfig {
    /// Tokens of a latent of `height x width` cells, with the one that closes each row.
    pub fn tokens(&self, height: usize, width: usize) -> usize {
        let patch = self.sizes.patch_size.max(1);
        (height / patch) * (width / patch + 1)
    }

    /// As [`NextDitConfig::forward_bytes`].
    pub fn forward_bytes(
        &self,
        batch: usize,
        tokens: usize,
        caption: usize,
        dtype: DType,
        device: &Device,
    ) -> u64 {
        let work = Work { caption: Some(caption), shift: true, experts: 0 };
        self.sizes.forward_bytes(batch, tokens, work, dtype, device)
    }

    /// As [`NextDitConfig::caption_bytes`].
    pub fn caption_bytes(&self, batch: usize, tokens: usize, dtype: DType) -> u64 {
        self.sizes.caption_bytes(batch, tokens, dtype)
    }
}

impl ClassDitConfig {
    /// Bytes that one evaluation of `batch` latents of `tokens` tokens takes: [`DitSizes::tokens`] counts them. A mixture
    /// takes the most when all tokens go to the same expert, which is what is counted.
    pub fn forward_bytes(&self, batch: usize, tokens: usize, dtype: DType, device: &Device) -> u64 {
        let shift = self.kind == ClassDitKind::Flag;
        let work = Work { caption: None, shift, experts: self.num_experts };
        self.sizes.forward_bytes(batch, tokens, work, dtype, device)
    }
}

impl AudioFlagDitConfig {
    /// Bytes that one evaluation of `batch` latents of `frames` frames takes with a context of `context` tokens.
    pub fn forward_bytes(
        &self,
        batch: usize,
        frames: usize,
        context: usize,
        dtype: DType,
        device: &Device,
    ) -> u64 {
        let work = Work { caption: Some(context), shift: true, experts: 0 };
        self.sizes().forward_bytes(batch, frames, work, dtype, device)
    }

    /// Bytes of a prepared context: keys and values of every block for `batch` rows of `tokens` tokens.
    pub fn context_bytes(&self, batch: usize, tokens: usize, dtype: DType) -> u64 {
        self.sizes().caption_bytes(batch, tokens, dtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: [ClassDitKind; 5] = [
        ClassDitKind::Flag,
        ClassDitKind::Next,
        ClassDitKind::TimeMixture,
        ClassDitKind::SpaceMixture,
        ClassDitKind::BothMixtures,
    ];

    fn next() -> NextDitConfig {
        NextDitConfig::default()
    }

    fn flag() -> FlagDitConfig {
        FlagDitConfig { sizes: next().sizes(), ..FlagDitConfig::default() }
    }

    fn class(kind: ClassDitKind) -> ClassDitConfig {
        let num_experts = if kind.is_mixture() { 8 } else { 0 };
        ClassDitConfig { kind, sizes: next().sizes(), num_experts, ..ClassDitConfig::default() }
    }

    #[test]
    fn what_attention_takes_grows_with_the_tokens_and_not_with_their_square() {
        let bytes = |tokens, dtype| next().forward_bytes(1, tokens, 64, dtype, &Device::Cpu);
        for (few, many) in [(512, 1024), (1 << 15, 1 << 16), (1 << 17, 1 << 18)] {
            let ratio = bytes(many, DType::F32) as f64 / bytes(few, DType::F32) as f64;
            assert!(ratio < 2.01, "{ratio}");
        }
        // In f16 the CPU keeps scores, so many at most.
        let ratio = bytes(512, DType::F16) as f64 / bytes(128, DType::F16) as f64;
        assert!(ratio > 4.0, "{ratio}");
        let ratio = bytes(1 << 18, DType::F16) as f64 / bytes(1 << 17, DType::F16) as f64;
        assert!(ratio < 2.01, "{ratio}");
    }

    #[test]
    fn networks_of_equal_sizes_take_the_same_but_for_what_tells_them_apart() {
        for dtype in [DType::F32, DType::BF16] {
            for (batch, tokens) in [(1, 256), (2, 4096), (4, 20_000)] {
                // A caption that short never takes more than the picture.
                let bytes = next().forward_bytes(batch, tokens, 8, dtype, &Device::Cpu);
                let state = (batch * tokens * next().hidden_size * dtype.size_in_bytes()) as u64;
                assert_eq!(flag().forward_bytes(batch, tokens, 8, dtype, &Device::Cpu), bytes + state);
                assert_eq!(
                    class(ClassDitKind::Next).forward_bytes(batch, tokens, dtype, &Device::Cpu),
                    bytes
                );
                assert_eq!(
                    class(ClassDitKind::Flag).forward_bytes(batch, tokens, dtype, &Device::Cpu),
                    bytes + state
                );
                let by_time =
                    class(ClassDitKind::TimeMixture).forward_bytes(batch, tokens, dtype, &Device::Cpu);
                assert!((bytes..=bytes + 4 * state).contains(&by_time), "{bytes} {by_time}");
            }
        }
    }

    #[test]
    fn every_estimate_grows_with_tokens_and_batch() {
        let audio = AudioFlagDitConfig::lumina();
        let estimates: Vec<Box<dyn Fn(usize, usize) -> u64>> = CLASSES
            .map(|kind| -> Box<dyn Fn(usize, usize) -> u64> {
                Box::new(move |batch, tokens| {
                    class(kind).forward_bytes(batch, tokens, DType::F32, &Device::Cpu)
                })
            })
            .into_iter()
            .chain([
                Box::new(|batch, tokens| flag().forward_bytes(batch, tokens, 77, DType::F32, &Device::Cpu))
                    as Box<_>,
                Box::new(move |batch, tokens| {
                    audio.forward_bytes(batch, tokens, 154, DType::F32, &Device::Cpu)
                }) as Box<_>,
            ])
            .collect();
        for (index, bytes) in estimates.iter().enumerate() {
            let sizes = [16, 100, 500, 1000, 4000, 40_000];
            assert!(sizes.windows(2).all(|pair| bytes(1, pair[0]) < bytes(1, pair[1])), "{index}");
            assert!((1..8).all(|batch| bytes(batch, 200) < bytes(batch + 1, 200)), "{index}");
        }
    }

    #[test]
    fn a_flag_dit_has_one_token_more_in_each_row() {
        assert_eq!((next().tokens(128, 96), flag().tokens(128, 96)), (64 * 48, 64 * 49));
    }

    #[test]
    fn norms_of_queries_count_where_there_are_any() {
        let sizes = DitSizes { ffn_dim_multiplier: Some(0.1), multiple_of: 1, ..next().sizes() };
        let bytes = |qk_norm| {
            let config =
                ClassDitConfig { sizes: DitSizes { qk_norm, ..sizes.clone() }, ..class(ClassDitKind::Next) };
            config.forward_bytes(1, 16, DType::F32, &Device::Cpu)
        };
        assert!(bytes(true) > bytes(false));
    }
}
