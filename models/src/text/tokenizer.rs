//! From text to token numbers.

use std::path::{Path, PathBuf};

use tokenizers::PostProcessor;

use super::tokenizer_config::{SpecialToken, read_config};
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
    /// Filled to the longest row, nothing is cut (Lumina-T2I).
    Longest,
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

/// The tokenizer of a model folder.
#[derive(Clone)]
pub struct Tokenizer {
    path: PathBuf,
    inner: tokenizers::Tokenizer,
    side: PaddingSide,
    pad: u32,
    /// Put in front where `tokenizer.json` itself does not do it.
    begin: Option<u32>,
    /// The token that ends a text, if the folder names one.
    end: Option<u32>,
    /// Whether it is put behind where `tokenizer.json` itself does not do it.
    ends: bool,
}

impl Tokenizer {
    /// Reads `tokenizer.json` and, where there is one, `tokenizer_config.json`.
    ///
    /// The padding side is the config's `padding_side`, else the default of its `tokenizer_class`: left for Gemma, Llama
    /// and a config without class, right for all others. Padding and truncation settings inside `tokenizer.json` are not
    /// used. A config without `pad_token` pads with `<pad>`, `[PAD]` or `<unk>`, whichever is there first: the published
    /// Llama has none, and its pipeline pads with number 0.
    ///
    /// # Errors
    /// [`ModelError::FileNotFound`], [`ModelError::Tokenizer`] when a file does not parse, when only a SentencePiece
    /// model or a GGUF file is there, or when a special token of the config is not in the vocabulary.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("tokenizer.json");
        let fail = |reason: String| ModelError::Tokenizer { path: path.clone(), reason };
        if !path.is_file() {
            let sentence_pieces = ["tokenizer.model", "spiece.model"].map(|name| dir.join(name));
            if let Some(sentence_piece) = sentence_pieces.iter().find(|file| file.is_file()).cloned() {
                return Err(ModelError::Tokenizer {
                    path: sentence_piece,
                    reason: "only the SentencePiece model is here; convert it once with `AutoTokenizer\
                             .from_pretrained(FOLDER, use_fast=True).save_pretrained(FOLDER)` of the Python package \
                             `transformers`, which writes `tokenizer.json`"
                        .to_owned(),
                });
            }
            if holds_gguf(dir) {
                return Err(fail(
                    "it is missing, and the tokenizer inside a GGUF file is not read; put the `tokenizer.json` of the \
                     same model there, which lies beside its safetensors files"
                        .to_owned(),
                ));
            }
            let searched = [vec![path.clone()], sentence_pieces.to_vec()].concat();
            return Err(ModelError::FileNotFound { searched, path });
        }
        let bytes = std::fs::read(&path).map_err(|source| ModelError::read(&path, source))?;
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| fail(error.to_string()))?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| fail(error.to_string()))?;
        let config = read_config(&dir.join("tokenizer_config.json"))?;
        let side = match config.padding_side.as_deref() {
            None if config.is_of_decoder() => PaddingSide::Left,
            Some("left") => PaddingSide::Left,
            None | Some("right") => PaddingSide::Right,
            Some(other) => {
                return Err(fail(format!("`padding_side` is `{other}`, expected `left` or `right`")));
            }
        };
        let id = |token: &str| {
            inner
                .token_to_id(token)
                .ok_or_else(|| fail(format!("the token `{token}` is not in the vocabulary")))
        };
        let named = |token: &Option<SpecialToken>| token.as_ref().map(|token| id(token.text())).transpose();
        let usual = || {
            let mut known = ["<pad>", "[PAD]", "<unk>"].into_iter();
            known.find_map(|token| inner.token_to_id(token)).map_or_else(|| id("<pad>"), Ok)
        };
        let pad = named(&config.pad_token)?.map_or_else(usual, Ok)?;
        let begin = match (config.add_bos_token, named(&config.bos_token)?) {
            (Some(false), _) => None,
            (None, None) if !config.is_of_decoder() => None,
            (None, None) if inner.token_to_id("<bos>").is_none() && adds_tokens(&inner) => None,
            (_, None) => Some(id("<bos>")?),
            (_, token) => token,
        };
        let end = named(&config.eos_token)?;
        let ends = config.add_eos_token == Some(true);
        if ends && end.is_none() {
            return Err(fail("`add_eos_token` is true, but there is no `eos_token`".to_owned()));
        }
        Ok(Self { path, inner, side, pad, begin, end, ends })
    }

    /// The same, with padding on `side` whatever the folder says.
    pub fn with_padding_side(self, side: PaddingSide) -> Self {
        Self { side, ..self }
    }

    /// The same, with the token that ends a text behind every text, as Lumina-T2I has it (`add_eos_token=True`).
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] when the folder names no `eos_token`.
    pub fn with_end(self) -> Result<Self> {
        if self.end.is_none() {
            let reason = "`eos_token` is missing in `tokenizer_config.json`".to_owned();
            return Err(ModelError::Tokenizer { path: self.path, reason });
        }
        Ok(Self { ends: true, ..self })
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

    /// Encodes prompts as they are. What goes in front and behind is up to the folder: `<bos>` for Gemma, `</s>` behind
    /// for T5, `[CLS]` and `[SEP]` for BERT, nothing for Qwen. They survive a cut.
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] when the tokenizer fails, [`ModelError::Input`] for a padding of zero or beyond reason.
    pub fn encode_batch(&self, prompts: &[String], padding: Padding) -> Result<TokenBatch> {
        let limit = match padding {
            Padding::LongestMultipleOf(_) => MAX_TOKENS,
            Padding::Exactly(length) => length,
            Padding::Longest => usize::MAX,
        };
        let rows = prompts.iter().map(|prompt| self.encode(prompt, limit)).collect::<Result<Vec<_>>>()?;
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        let length = match padding {
            Padding::LongestMultipleOf(size) | Padding::Exactly(size) if !(1..=1 << 16).contains(&size) => {
                return Err(ModelError::input("the padding", "1 to 65536", size.to_string()));
            }
            Padding::LongestMultipleOf(multiple) => longest.next_multiple_of(multiple),
            Padding::Exactly(length) => length,
            Padding::Longest => longest,
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
        let appended = self.end.filter(|_| self.ends).filter(|&end| !self.ends_with(end));
        let own = usize::from(prepended.is_some()) + usize::from(appended.is_some());
        let room = limit.saturating_sub(added + own);
        let mut encoding = self.inner.encode(prompt, false).map_err(fail)?;
        // Before the special tokens come in, so that they survive the cut.
        if encoding.len() > room {
            encoding.truncate(room, 0, tokenizers::TruncationDirection::Right);
        }
        let encoding = self.inner.post_process(encoding, None, true).map_err(fail)?;
        let ids = encoding.get_ids().iter().copied();
        let mut ids: Vec<u32> = prepended.into_iter().chain(ids).chain(appended).collect();
        ids.truncate(limit);
        Ok(ids)
    }

    /// Whether `tokenizer.json` itself puts `token` behind a text.
    fn ends_with(&self, token: u32) -> bool {
        let nothing = self.inner.post_process(tokenizers::Encoding::default(), None, true);
        nothing.is_ok_and(|encoding| encoding.get_ids().last() == Some(&token))
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

/// Whether `tokenizer.json` itself adds tokens to a text.
fn adds_tokens(inner: &tokenizers::Tokenizer) -> bool {
    inner.get_post_processor().is_some_and(|processor| processor.added_tokens(false) > 0)
}

/// Whether there is a file with the extension `gguf`.
fn holds_gguf(dir: &Path) -> bool {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.map(|file| file.path()).any(|path| path.extension().is_some_and(|extension| extension == "gguf"))
}

#[cfg(test)]
#[path = "tokenizer_tests.rs"]
mod tests;
