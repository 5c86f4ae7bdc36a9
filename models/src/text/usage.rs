//! How the pipelines of Lumina use each text encoder.

use super::{DecoderFamily, HiddenState, Padding, PaddingSide, TextConfig};

/// What a pipeline does around a text encoder, beside computing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextUsage {
    /// The hidden state that the backbone gets.
    pub state: HiddenState,
    /// How prompts are brought to one length.
    pub padding: Padding,
    /// Where padding goes, whatever the tokenizer's folder says; none where the folder decides.
    pub side: Option<PaddingSide>,
    /// Whether the token that ends a text is put behind every prompt.
    pub ends: bool,
    /// Whether prompts are lower-cased and trimmed.
    pub cleans: bool,
    /// Whether the encoder is given no mask, so that tokens see the padding.
    pub sees_padding: bool,
    /// Whether the features of padding count as text for the backbone.
    pub padding_counts: bool,
}

/// Tokens of a prompt of Lumina's audio and music.
const AUDIO_TOKENS: usize = 77;

/// Prompts of pictures are filled up to a multiple of this, as diffusers does it.
const MULTIPLE: usize = 8;

impl TextConfig {
    /// What Lumina does with this encoder; what transformers does by itself where Lumina does not use it.
    ///
    /// | encoder | used by | hidden state | padding |
    /// |---|---|---|---|
    /// | Gemma | Lumina-Next | last but one | to a multiple of 8, at most 256 tokens, masked; prompts in lower case |
    /// | Gemma 2, Qwen3 | Lumina-Image-2.0, Z-Image | last but one | the same behind the text; prompts as they are |
    /// | Llama | Lumina-T2I | last | behind the text, which ends with `</s>`; masked for the backbone alone |
    /// | T5 | Lumina's audio and music | last | to 77 tokens, masked nowhere |
    /// | BERT, CLAP | | last | to the longest prompt, masked |
    ///
    /// Sources: Lumina-T2X `lumina_next_t2i/sample.py`, `lumina_t2i/demo.py`,
    /// `lumina_audio/models/encoders/modules.py`; diffusers `LuminaPipeline`, `Lumina2Pipeline`, `ZImagePipeline`.
    pub fn usage(&self) -> TextUsage {
        let plain = TextUsage {
            state: HiddenState::Last,
            padding: Padding::Longest,
            side: None,
            ends: false,
            cleans: false,
            sees_padding: false,
            padding_counts: false,
        };
        let picture = TextUsage {
            state: HiddenState::SecondToLast,
            padding: Padding::LongestMultipleOf(MULTIPLE),
            ..plain
        };
        match self {
            Self::Decoder(config) => match config.family {
                DecoderFamily::Gemma => TextUsage { cleans: true, ..picture },
                DecoderFamily::Gemma2 | DecoderFamily::Qwen3 => {
                    TextUsage { side: Some(PaddingSide::Right), ..picture }
                }
                // Causal and padded behind: what a text is made of does not see the padding anyway.
                DecoderFamily::Llama => {
                    TextUsage { side: Some(PaddingSide::Right), ends: true, sees_padding: true, ..plain }
                }
            },
            Self::T5(_) => TextUsage {
                padding: Padding::Exactly(AUDIO_TOKENS),
                sees_padding: true,
                padding_counts: true,
                ..plain
            },
            Self::Bert(_) | Self::ClapText(_) => plain,
        }
    }
}
