//! From text to token numbers.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokenizers::PostProcessor;

use crate::{ModelError, Result};

/// Longest prompt in tokens, `<bos>` counted: the limit of Lumina-Next and of diffusers' `LuminaPipeline`.
pub const MAX_TOKENS: usize = 256;

/// How the rows of a batch are brought to one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Cut to [`MAX_TOKENS`], then filled to the longest row and on to the next multiple.
    LongestMultipleOf(usize),
    /// Cut and filled to exactly this many tokens.
    Exactly(usize),
}

/// Where padding goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaddingSide {
    /// Before the text.
    Left,
    /// Behind the text.
    Right,
}

/// Token numbers of some prompts, all of one length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenBatch {
    /// Token numbers, one row a prompt.
    pub ids: Vec<Vec<u32>>,
    /// 1 for tokens of the text, 0 for padding.
    pub mask: Vec<Vec<u32>>,
}

impl TokenBatch {
    /// The number of tokens in every row, padding counted.
    pub fn length(&self) -> usize {
        self.ids.first().map_or(0, Vec::len)
    }
}

/// The byte-pair tokenizer of a model folder.
#[derive(Clone)]
pub struct Tokenizer {
    path: PathBuf,
    inner: tokenizers::Tokenizer,
    side: PaddingSide,
    pad: u32,
    /// Put in front where `tokenizer.json` itself does not do it.
    begin: Option<u32>,
}

#[derive(Default, Deserialize)]
struct TokenizerConfig {
    padding_side: Option<String>,
    pad_token: Option<SpecialToken>,
    bos_token: Option<SpecialToken>,
    add_bos_token: Option<bool>,
}

/// Config files write a special token as its text or as an object with options.
#[derive(Deserialize)]
#[serde(untagged)]
enum SpecialToken {
    Text(String),
    Object { content: String },
}

impl SpecialToken {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Object { content: text } => text,
        }
    }
}

impl Tokenizer {
    /// Reads `tokenizer.json` and, where there is one, `tokenizer_config.json`.
    ///
    /// The padding side is the config's `padding_side`, else left: the default of Gemma's tokenizer class. Padding and
    /// truncation settings inside `tokenizer.json` are not used.
    ///
    /// # Errors
    /// [`ModelError::FileNotFound`], [`ModelError::Tokenizer`] when a file does not parse, when only a SentencePiece
    /// model is there, or when the padding token is not in the vocabulary.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("tokenizer.json");
        let fail = |reason: String| ModelError::Tokenizer { path: path.clone(), reason };
        if !path.is_file() {
            let sentence_piece = dir.join("tokenizer.model");
            if sentence_piece.is_file() {
                return Err(ModelError::Tokenizer {
                    path: sentence_piece,
                    reason: "only the SentencePiece model is here; convert it once with `AutoTokenizer\
                             .from_pretrained(FOLDER, use_fast=True).save_pretrained(FOLDER)` of the Python package \
                             `transformers`, which writes `tokenizer.json`"
                        .to_owned(),
                });
            }
            return Err(ModelError::FileNotFound { searched: vec![path.clone(), sentence_piece], path });
        }
        let bytes = std::fs::read(&path).map_err(|source| ModelError::read(&path, source))?;
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| fail(error.to_string()))?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| fail(error.to_string()))?;
        let config = read_config(&dir.join("tokenizer_config.json"))?;
        let side = match config.padding_side.as_deref() {
            None | Some("left") => PaddingSide::Left,
            Some("right") => PaddingSide::Right,
            Some(other) => {
                return Err(fail(format!("`padding_side` is `{other}`, expected `left` or `right`")));
            }
        };
        let id = |token: &str| {
            inner
                .token_to_id(token)
                .ok_or_else(|| fail(format!("the token `{token}` is not in the vocabulary")))
        };
        let pad = id(config.pad_token.as_ref().map_or("<pad>", SpecialToken::text))?;
        let begin = match config.add_bos_token {
            Some(false) => None,
            _ => Some(id(config.bos_token.as_ref().map_or("<bos>", SpecialToken::text))?),
        };
        Ok(Self { path, inner, side, pad, begin })
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where padding goes.
    pub fn padding_side(&self) -> PaddingSide {
        self.side
    }

    /// The largest token number plus one.
    pub fn vocabulary_size(&self) -> usize {
        let largest = self.inner.get_vocab(true).into_values().max();
        largest.map_or(0, |largest| largest as usize + 1)
    }

    /// Encodes prompts as they are; `<bos>` goes in front, no `<eos>` behind.
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] when the tokenizer fails, [`ModelError::Input`] for a padding of zero or beyond reason.
    pub fn encode_batch(&self, prompts: &[String], padding: Padding) -> Result<TokenBatch> {
        let limit = match padding {
            Padding::LongestMultipleOf(_) => MAX_TOKENS,
            Padding::Exactly(length) => length,
        };
        let rows = prompts.iter().map(|prompt| self.encode(prompt, limit)).collect::<Result<Vec<_>>>()?;
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        let length = match padding {
            Padding::LongestMultipleOf(size) | Padding::Exactly(size) if !(1..=1 << 16).contains(&size) => {
                return Err(ModelError::input("the padding", "1 to 65536", size.to_string()));
            }
            Padding::LongestMultipleOf(multiple) => longest.next_multiple_of(multiple),
            Padding::Exactly(length) => length,
        };
        let mut batch = TokenBatch::default();
        for row in rows {
            let fill = vec![self.pad; length - row.len()];
            let (zeros, ones) = (vec![0; fill.len()], vec![1; row.len()]);
            let (ids, mask) = match self.side {
                PaddingSide::Left => ([fill, row].concat(), [zeros, ones].concat()),
                PaddingSide::Right => ([row, fill].concat(), [ones, zeros].concat()),
            };
            batch.ids.push(ids);
            batch.mask.push(mask);
        }
        Ok(batch)
    }

    fn encode(&self, prompt: &str, limit: usize) -> Result<Vec<u32>> {
        let fail = |error: tokenizers::Error| ModelError::Tokenizer {
            path: self.path.clone(),
            reason: error.to_string(),
        };
        let added = self.inner.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        let prepended = self.begin.filter(|_| added == 0);
        let room = limit.saturating_sub(added + usize::from(prepended.is_some()));
        let mut encoding = self.inner.encode(prompt, false).map_err(fail)?;
        // Before the special tokens come in, so that they survive the cut.
        if encoding.len() > room {
            encoding.truncate(room, 0, tokenizers::TruncationDirection::Right);
        }
        let encoding = self.inner.post_process(encoding, None, true).map_err(fail)?;
        let mut ids: Vec<u32> = prepended.into_iter().chain(encoding.get_ids().iter().copied()).collect();
        ids.truncate(limit);
        Ok(ids)
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("path", &self.path)
            .field("side", &self.side)
            .finish_non_exhaustive()
    }
}

fn read_config(path: &Path) -> Result<TokenizerConfig> {
    if !path.is_file() {
        return Ok(TokenizerConfig::default());
    }
    let text = std::fs::read(path).map_err(|source| ModelError::read(path, source))?;
    serde_json::from_slice(&text)
        .map_err(|error| ModelError::Tokenizer { path: path.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_piece_folder_says_how_to_convert_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tokenizer.model"), b"").unwrap();
        let error = Tokenizer::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("save_pretrained"), "{error}");
    }

    #[test]
    fn an_empty_folder_lists_what_was_searched() {
        let dir = tempfile::tempdir().unwrap();
        let error = Tokenizer::open(dir.path()).unwrap_err();
        assert!(matches!(error, ModelError::FileNotFound { searched, .. } if searched.len() == 2));
    }
}
