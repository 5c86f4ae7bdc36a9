//! Which of the hidden states of a text encoder counts.

use serde::{Deserialize, Serialize};

use crate::{ModelError, Result};

/// A hidden state, counted as transformers counts them: 0 is the embedding, then comes the output of each layer. The last
/// one is after the final norm, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HiddenState {
    /// After the last layer and the final norm (`last_hidden_state`).
    Last,
    /// After the last layer but one, without the final norm (`hidden_states[-2]`).
    SecondToLast,
    /// After this many layers.
    At(usize),
}

impl HiddenState {
    /// The number of layers that it stands behind, in a network of `layers` layers.
    ///
    /// # Errors
    /// [`ModelError::Input`] when there are not as many layers.
    pub fn index(self, layers: usize) -> Result<usize> {
        let index = match self {
            Self::Last => layers,
            Self::SecondToLast => layers.saturating_sub(1),
            Self::At(index) => index,
        };
        if index > layers {
            let expected = format!("at most {layers}, the number of layers");
            return Err(ModelError::input("the hidden state", expected, index.to_string()));
        }
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_states_count_from_the_embedding_to_the_last_layer() {
        let index = |state: HiddenState| state.index(18).unwrap();
        assert_eq!((index(HiddenState::Last), index(HiddenState::SecondToLast)), (18, 17));
        assert_eq!((index(HiddenState::At(0)), index(HiddenState::At(18))), (0, 18));
        let error = HiddenState::At(19).index(18).unwrap_err().to_string();
        assert_eq!(error, "the hidden state is 19, expected at most 18, the number of layers");
    }
}
