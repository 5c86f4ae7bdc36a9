//! The configuration of every network, and what follows from its sizes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lumina_models::backbone::NextDitConfig;
use lumina_models::backbone::audio::AudioFlagDitConfig;
use lumina_models::flow::FlowMatchConfig;
use lumina_models::text::{BertConfig, DecoderConfig, T5Config};
use lumina_models::vae::AutoencoderConfig;
use lumina_models::vae::mel::MelAutoencoderConfig;
use lumina_models::vocoder::BigVganConfig;

fuzz_target!(|text: &[u8]| {
    let _ = FlowMatchConfig::parse(text);
    let _ = DecoderConfig::parse(text);
    let _ = T5Config::parse(text);
    let _ = BertConfig::parse(text);
    let _ = NextDitConfig::parse(text);
    let _ = AudioFlagDitConfig::parse(text);
    let _ = AutoencoderConfig::parse(text);
    let _ = MelAutoencoderConfig::parse(text);
    let _ = BigVganConfig::parse(text);
});
