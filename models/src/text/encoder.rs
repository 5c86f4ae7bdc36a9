//! Tokenizer and network together.

use candle_core::Tensor;

use super::{Decoder, Padding, TextFeatures, Tokenizer};
use crate::{Interrupt, Result};

/// From prompts to text features.
#[derive(Clone, Debug)]
pub struct TextEncoder {
    /// Text to tokens.
    pub tokenizer: Tokenizer,
    /// Tokens to features.
    pub decoder: Decoder,
}

impl TextEncoder {
    /// The text features of prompts, used as they are (see [`prepare_prompt`]).
    ///
    /// The features are the output of the last layer but one, without the final norm (`hidden_states[-2]`, Lumina-T2X
    /// `lumina_next_t2i/sample.py`, diffusers `LuminaPipeline._get_gemma_prompt_embeds`). In diffusers prompts use
    /// `LongestMultipleOf(8)`, negative prompts `Exactly` the length of the prompts.
    ///
    /// # Shapes
    /// Features `[prompts, tokens, channels]`, mask `[prompts, tokens]`.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_batch`] and [`Decoder::forward`].
    pub fn encode(
        &self,
        prompts: &[String],
        padding: Padding,
        interrupt: &Interrupt,
    ) -> Result<TextFeatures> {
        let batch = self.tokenizer.encode_batch(prompts, padding)?;
        let features = self.decoder.forward(&batch, None, interrupt)?;
        let mask = Tensor::from_vec(batch.mask.concat(), (prompts.len(), batch.length()), features.device())?;
        Ok(TextFeatures { features, mask, ids: batch.ids })
    }
}

/// Lower case without space around it: what diffusers does to prompts, but not to negative prompts, even with
/// `clean_caption=False` (`LuminaPipeline._text_preprocessing`).
pub fn prepare_prompt(prompt: &str) -> String {
    // Python's `strip` also takes the four separators of ASCII.
    let space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    prompt.to_lowercase().trim_matches(space).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_lose_capitals_and_outer_space() {
        assert_eq!(prepare_prompt(" \tA  Red\nFox\u{1f} "), "a  red\nfox");
    }
}
