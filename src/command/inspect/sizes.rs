//! Sizes of networks, by the names that readers know, and the published networks that have them.

use lumina_models::backbone::BackboneConfig;
use lumina_models::backbone::audio::AudioFlagDitConfig;
use lumina_models::text::{BertConfig, DecoderConfig, DecoderFamily, T5Config, TextConfig};
use lumina_models::vae::VaeConfig;
use lumina_models::vae::mel::MelAutoencoderConfig;
use lumina_models::vocoder::BigVganConfig;

type Sizes = Vec<(&'static str, usize)>;

/// What the published networks of sound are called.
pub(super) const SOUND: &str = "Lumina's audio and music";

pub(super) fn of_backbone(config: &BackboneConfig) -> Sizes {
    if let BackboneConfig::NextDit(config) = config {
        return vec![
            ("width", config.hidden_size),
            ("layers", config.num_layers),
            ("heads", config.num_attention_heads),
            ("key heads", config.key_heads()),
            ("text width", config.cross_attention_dim),
            ("latent channels", config.in_channels),
        ];
    }
    let sizes = match config {
        BackboneConfig::FlagDit(config) => &config.sizes,
        BackboneConfig::ClassDit(config) => &config.sizes,
        _ => return Vec::new(),
    };
    let mut named = vec![
        ("width", sizes.hidden_size),
        ("layers", sizes.num_layers),
        ("heads", sizes.num_attention_heads),
    ];
    if let BackboneConfig::ClassDit(config) = config
        && config.num_experts > 0
    {
        named.push(("experts", config.num_experts));
    }
    named
}

pub(super) fn of_audio(config: &AudioFlagDitConfig) -> Sizes {
    vec![
        ("width", config.hidden_size),
        ("layers", config.depth),
        ("heads", config.num_heads),
        ("text width", config.context_dim),
        ("latent channels", config.in_channels),
    ]
}

pub(super) fn of_text(config: &TextConfig) -> Sizes {
    let mut sizes = vec![("width", config.width()), ("layers", config.layers()), ("heads", config.heads())];
    if let TextConfig::Decoder(config) = config {
        sizes.push(("key heads", config.num_key_value_heads));
    }
    sizes.push(("vocabulary", config.vocabulary()));
    sizes
}

pub(super) fn of_autoencoder(config: &VaeConfig) -> Sizes {
    let unit = if config.rank() == 4 { "pixels per cell" } else { "mel frames per cell" };
    vec![
        ("channels", config.in_channels()),
        ("latent channels", config.latent_channels()),
        (unit, config.downscale()),
    ]
}

pub(super) fn of_vocoder(config: &BigVganConfig) -> Sizes {
    vec![
        ("mel bands", config.num_mels),
        ("samples per frame", config.hop()),
        ("stages", config.upsample_rates.len()),
        ("width", config.upsample_initial_channel),
    ]
}

/// The published text encoder of the same sizes.
pub(super) fn published_text(config: &TextConfig) -> Option<&'static str> {
    match config {
        TextConfig::Decoder(config) => {
            let name = match config.family {
                DecoderFamily::Gemma => "gemma-2b",
                DecoderFamily::Gemma2 => "gemma-2-2b",
                DecoderFamily::Llama => "llama-2-7b",
                DecoderFamily::Qwen3 => "qwen3-4b",
            };
            let sizes = |config: &DecoderConfig| {
                let width = (config.vocab_size, config.hidden_size, config.intermediate_size);
                let heads = (config.num_attention_heads, config.num_key_value_heads, config.head_dim);
                (width, config.num_hidden_layers, heads)
            };
            (sizes(config) == sizes(&config.family.config())).then_some(name)
        }
        TextConfig::T5(config) => (*config == T5Config::large()).then_some("t5-v1.1-large and flan-t5-large"),
        TextConfig::Bert(config) if *config == BertConfig::base() => Some("bert-base-uncased"),
        TextConfig::Bert(config) if *config == BertConfig::mini_lm() => Some("all-MiniLM-L6-v2"),
        TextConfig::Bert(_) | TextConfig::ClapText(_) => None,
    }
}

/// Whether an autoencoder has the sizes of the published one of mel spectrograms.
pub(super) fn is_published_mel(config: &VaeConfig) -> bool {
    // Levels that do not exist have no tensors.
    let bare =
        |config: &MelAutoencoderConfig| MelAutoencoderConfig { attn_layers: Vec::new(), ..config.clone() };
    matches!(config, VaeConfig::Mel(config) if bare(config) == bare(&MelAutoencoderConfig::lumina()))
}

/// The published vocoder of the same sizes.
pub(super) fn published_vocoder(config: &BigVganConfig) -> Option<&'static str> {
    (*config == BigVganConfig::lumina()).then_some(SOUND)
}
