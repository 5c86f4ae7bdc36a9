//! What is said about the memory of a caption, held against a prepared one.

use lumina_models::backbone::{FlagDit, FlagDitConfig, NextDit, NextDitConfig};
use lumina_models::text::TextFeatures;
use lumina_models::{DType, Device, Interrupt};

use crate::audio_flag_dit;
use crate::backbone_cases::{checkpoint, ones};

/// Captions and tokens of each.
const SIZES: [(usize, usize); 3] = [(1, 1), (2, 7), (3, 77)];

fn features(rows: usize, tokens: usize, channels: usize) -> TextFeatures {
    TextFeatures::new(ones(&[rows, tokens, channels]), &ones(&[rows, tokens])).unwrap()
}

#[test]
fn a_prepared_caption_takes_what_the_config_says() {
    let never = Interrupt::never();
    for dtype in [DType::F32, DType::BF16] {
        // One network with fewer key heads than heads, and one with as many.
        let next = checkpoint("next_dit_t2i");
        let config = NextDitConfig::from_checkpoint(&next).unwrap();
        let next = NextDit::load(&next, &config, dtype, &Device::Cpu, &never).unwrap();
        let flag = checkpoint("flag_dit_t2i");
        let flag_config = FlagDitConfig::from_checkpoint(&flag).unwrap();
        let flag = FlagDit::load(&flag, &flag_config, dtype, &Device::Cpu, &never).unwrap();
        for (rows, tokens) in SIZES {
            let prepared = next.prepare(&features(rows, tokens, config.cross_attention_dim)).unwrap();
            assert_eq!(prepared.byte_size(), config.caption_bytes(rows, tokens, dtype));
            let prepared = flag.prepare(&features(rows, tokens, flag_config.cross_attention_dim)).unwrap();
            assert_eq!(prepared.byte_size(), flag_config.caption_bytes(rows, tokens, dtype));
        }
    }
}

#[test]
fn a_prepared_context_takes_what_the_config_says() {
    let network = audio_flag_dit::network();
    let config = network.config();
    for (rows, tokens) in SIZES {
        let prepared = network.prepare(&ones(&[rows, tokens, config.context_dim])).unwrap();
        assert_eq!(prepared.byte_size(), config.context_bytes(rows, tokens, DType::F32));
    }
}
