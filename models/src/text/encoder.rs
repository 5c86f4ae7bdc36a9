//! Tokenizer and network together.

use candle_core::Tensor;

use super::{
    Decoder, HiddenState, Padding, TextConfig, TextFeatures, TextNetwork, TextUsage, TokenBatch, Tokenizer,
};
use crate::{Interrupt, ModelError, Result};

/// From prompts to text features.
#[derive(Clone, Debug)]
pub struct TextEncoder {
    /// Text to tokens; without one only tokens can be encoded.
    pub tokenizer: Option<Tokenizer>,
    /// Tokens to features.
    pub network: TextNetwork,
    /// How the two are used.
    pub usage: TextUsage,
}

impl TextEncoder {
    /// A tokenizer and a network, used as [`TextConfig::usage`] says.
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] when the tokenizer has more tokens than the network, or names no token that ends a text
    /// where there has to be one.
    pub fn new(tokenizer: Option<Tokenizer>, network: TextNetwork) -> Result<Self> {
        let config = network.config();
        let usage = config.usage();
        let tokenizer = tokenizer.map(|tokenizer| fitting(tokenizer, &config, &usage)).transpose()?;
        Ok(Self { tokenizer, network, usage })
    }

    /// A tokenizer and a decoder.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_decoder(tokenizer: Tokenizer, decoder: Decoder) -> Result<Self> {
        Self::new(Some(tokenizer), TextNetwork::Decoder(Box::new(decoder)))
    }

    /// The text features of prompts, used as they are (see [`prepare_prompt`]).
    ///
    /// Of Gemma they are the output of the last layer but one, without the final norm (`hidden_states[-2]`, Lumina-T2X
    /// `lumina_next_t2i/sample.py`, diffusers `LuminaPipeline._get_gemma_prompt_embeds`); of others see
    /// [`TextConfig::usage`]. In diffusers prompts use `LongestMultipleOf(8)`, negative prompts `Exactly` the length of
    /// the prompts.
    ///
    /// # Shapes
    /// Features `[prompts, tokens, channels]`, mask `[prompts, tokens]`.
    ///
    /// # Errors
    /// [`ModelError::Input`] when there is no tokenizer; as [`Tokenizer::encode_batch`] and
    /// [`TextNetwork::hidden_state`].
    pub fn encode(
        &self,
        prompts: &[String],
        padding: Padding,
        interrupt: &Interrupt,
    ) -> Result<TextFeatures> {
        let Some(tokenizer) = &self.tokenizer else {
            return Err(ModelError::input("the text encoder", "one with a tokenizer", "without one"));
        };
        let TokenBatch { ids, mask } = tokenizer.encode_batch(prompts, padding)?;
        let all = || vec![vec![1; ids.first().map_or(0, Vec::len)]; ids.len()];
        let seen = if self.usage.sees_padding { all() } else { mask.clone() };
        let counted = if self.usage.padding_counts { all() } else { mask };
        let batch = TokenBatch { ids, mask: seen };
        let features = self.hidden_state(&batch, self.usage.state, interrupt)?;
        let shape = (prompts.len(), batch.length());
        let mask = Tensor::from_vec(counted.concat(), shape, features.device())?;
        Ok(TextFeatures { features, mask, ids: batch.ids })
    }

    /// One hidden state of tokens.
    ///
    /// # Errors
    /// As [`HiddenState::index`] and [`TextNetwork::hidden_state`].
    pub fn hidden_state(
        &self,
        batch: &TokenBatch,
        state: HiddenState,
        interrupt: &Interrupt,
    ) -> Result<Tensor> {
        let index = state.index(self.network.config().layers())?;
        self.network.hidden_state(batch, index, interrupt)
    }
}

/// The tokenizer with the habits that belong to a network.
pub(super) fn fitting(tokenizer: Tokenizer, config: &TextConfig, usage: &TextUsage) -> Result<Tokenizer> {
    let (tokens, rows) = (tokenizer.vocabulary_size(), config.vocabulary());
    if tokens > rows {
        let reason = format!("it has {tokens} tokens, the text encoder has rows for {rows}");
        return Err(ModelError::Tokenizer { path: tokenizer.path().to_owned(), reason });
    }
    let tokenizer = match usage.side {
        Some(side) => tokenizer.with_padding_side(side),
        None => tokenizer,
    };
    if usage.ends { tokenizer.with_end() } else { Ok(tokenizer) }
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
