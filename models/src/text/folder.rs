//! A text encoder by itself: a folder with config, weights and maybe a tokenizer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};

use super::encoder::fitting;
use super::{HiddenState, TextConfig, TextEncoder, TextNetwork, Tokenizer};
use crate::weights::{Checkpoint, Report, Weights, verify};
use crate::{Interrupt, Result, part};

/// The name of weight files in such a folder.
const STEM: &str = "model";

/// Files of a tokenizer; the first is the one that is read.
const TOKENIZERS: [&str; 3] = ["tokenizer.json", "tokenizer.model", "spiece.model"];

/// A text encoder on disk: config and headers, but no weights yet.
#[derive(Clone, Debug)]
pub struct TextFolder {
    config_path: PathBuf,
    /// Which network it is, and its sizes.
    pub config: TextConfig,
    /// The weight files.
    pub checkpoint: Checkpoint,
    /// The folder of the tokenizer, where there is one.
    pub tokenizer: Option<PathBuf>,
}

impl TextFolder {
    /// Reads the config and the headers of a folder with `config.json` and `model.safetensors` or its shards, or of a
    /// weight file beside its `config.json`.
    ///
    /// The tokenizer is that of the folder `tokenizer`; where none is given, that of the folder itself, else of the
    /// folder `tokenizer` beside it.
    ///
    /// # Errors
    /// As [`Checkpoint::open`] and [`TextConfig::read`].
    pub fn open(path: &Path, tokenizer: Option<&Path>) -> Result<Self> {
        let (checkpoint, folder) = part::open(path, &[STEM])?;
        let config_path = folder.join(part::CONFIG);
        let config = TextConfig::read(&config_path, &checkpoint)?;
        let tokenizer = tokenizer.map(folder_of).or_else(|| tokenizer_of(&folder));
        Ok(Self { config_path, config, checkpoint, tokenizer })
    }

    /// Every file that what is loaded depends on.
    pub fn files(&self) -> Vec<PathBuf> {
        let tokenizer = self.tokenizer.iter().flat_map(|folder| {
            ["tokenizer.json", "tokenizer_config.json"].into_iter().map(|name| folder.join(name))
        });
        let configs = std::iter::once(self.config_path.clone()).chain(tokenizer);
        configs.filter(|file| file.is_file()).chain(self.checkpoint.files().iter().cloned()).collect()
    }

    /// Compares the headers with what the hidden state `state` needs. Tensors that only other hidden states need are not
    /// worth a word.
    ///
    /// # Errors
    /// As [`HiddenState::index`]; [`crate::ModelError::Candle`] when memory runs out.
    pub fn verify(&self, state: HiddenState) -> Result<Report> {
        let keys = self.config.key_map(&self.checkpoint);
        let whole = self.config.expected()?;
        let whole = whole.required.iter().chain(&whole.optional);
        let known: BTreeSet<String> =
            whole.filter_map(|(name, _)| keys.resolve(name, &self.checkpoint)).collect();
        let ignorable = |stored: &str| known.contains(stored) || self.config.is_ignorable(stored);
        let expected = self.config.expected_until(state.index(self.config.layers())?)?;
        Ok(verify(&self.checkpoint, &keys, &expected, &ignorable))
    }

    /// Reads the tokenizer, where there is one, with the habits that belong to the network.
    ///
    /// # Errors
    /// As [`Tokenizer::open`]; [`crate::ModelError::Tokenizer`] when it does not fit the network.
    pub fn open_tokenizer(&self) -> Result<Option<Tokenizer>> {
        let Some(folder) = &self.tokenizer else { return Ok(None) };
        fitting(Tokenizer::open(folder)?, &self.config, &self.config.usage()).map(Some)
    }

    /// Bytes that the network holds once it is loaded for the hidden state `state`. Tables of tokens stay in the format
    /// that they are stored in.
    ///
    /// # Errors
    /// As [`HiddenState::index`]; [`crate::ModelError::Candle`] when memory runs out.
    pub fn bytes(&self, state: HiddenState, dtype: DType, device: &Device) -> Result<u64> {
        const TABLES: [&str; 4] = ["embed_tokens.", "shared.", "word_embeddings.", "position_embeddings."];
        let keys = self.config.key_map(&self.checkpoint);
        let expected = self.config.expected_until(state.index(self.config.layers())?)?;
        let bytes = expected.required.iter().map(|(name, shape)| {
            let stored = keys.resolve(name, &self.checkpoint).and_then(|key| self.checkpoint.get(&key));
            match stored {
                Some(table) if TABLES.iter().any(|part| name.contains(part)) => table.byte_size(),
                Some(stored) => stored.loaded_bytes(dtype, device),
                None => shape.iter().map(|&side| side as u64).product::<u64>() * dtype.size_in_bytes() as u64,
            }
        });
        Ok(bytes.sum())
    }

    /// The weights under their canonical names.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub fn weights(&self, dtype: DType, device: &Device, interrupt: &Interrupt) -> Result<Weights> {
        let keys = self.config.key_map(&self.checkpoint);
        Weights::open(&self.checkpoint, keys, dtype, device, interrupt)
    }

    /// Loads the tokenizer, and of the network what the hidden state `state` needs.
    ///
    /// # Errors
    /// As [`TextEncoder::new`] and [`Weights::tensor`].
    pub fn load(
        &self,
        state: HiddenState,
        dtype: DType,
        device: &Device,
        interrupt: &Interrupt,
    ) -> Result<TextEncoder> {
        let weights = self.weights(dtype, device, interrupt)?;
        let index = state.index(self.config.layers())?;
        let network = TextNetwork::load_until(&weights, &self.config, index)?;
        let encoder = TextEncoder::new(self.open_tokenizer()?, network)?;
        Ok(TextEncoder { usage: super::TextUsage { state, ..encoder.usage }, ..encoder })
    }
}

/// The folder of a tokenizer that is named by its folder or by its file.
fn folder_of(path: &Path) -> PathBuf {
    if path.is_file() { path.parent().unwrap_or(Path::new(".")).to_owned() } else { path.to_owned() }
}

/// Where the tokenizer of a text encoder is: in its folder, or beside it. One that can be read goes before one that has
/// to be converted.
fn tokenizer_of(folder: &Path) -> Option<PathBuf> {
    let beside = folder.parent().map(|parent| parent.join("tokenizer"));
    let places: Vec<PathBuf> = std::iter::once(folder.to_owned()).chain(beside).collect();
    let mut found =
        TOKENIZERS.iter().flat_map(|name| places.iter().filter(move |place| place.join(name).is_file()));
    found.next().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name)
    }

    #[test]
    fn the_tokenizer_is_given_or_inside_or_beside() {
        let beside = TextFolder::open(&golden("lumina_next_pipeline/text_encoder"), None).unwrap();
        assert_eq!(beside.tokenizer, Some(golden("lumina_next_pipeline/tokenizer")));
        let alone = golden("text_encoders/gemma2");
        assert_eq!(TextFolder::open(&alone, None).unwrap().tokenizer, None);
        let file = golden("lumina_next_pipeline/tokenizer/tokenizer.json");
        let given = TextFolder::open(&alone.join("model.safetensors"), Some(&file)).unwrap();
        assert_eq!(given.tokenizer, beside.tokenizer);
        let names = given.files().len();
        assert_eq!(names, 4, "config, weights and two files of the tokenizer");
    }

    #[test]
    fn what_can_be_read_goes_before_what_must_be_converted() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("text_encoder");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::write(inner.join("tokenizer.model"), "").unwrap();
        assert_eq!(tokenizer_of(&inner), Some(inner.clone()));
        std::fs::create_dir_all(root.path().join("tokenizer")).unwrap();
        std::fs::write(root.path().join("tokenizer/tokenizer.json"), "{}").unwrap();
        assert_eq!(tokenizer_of(&inner), Some(root.path().join("tokenizer")));
    }

    #[test]
    fn layers_behind_the_hidden_state_are_neither_loaded_nor_missed() {
        let folder = TextFolder::open(&golden("text_encoders/gemma"), None).unwrap();
        let layers = folder.config.layers();
        let bytes = |state| folder.bytes(state, DType::F32, &Device::Cpu).unwrap();
        assert!(bytes(HiddenState::At(0)) < bytes(HiddenState::SecondToLast));
        assert!(bytes(HiddenState::SecondToLast) < bytes(HiddenState::Last));
        for state in [HiddenState::At(0), HiddenState::SecondToLast, HiddenState::Last] {
            let report = folder.verify(state).unwrap();
            assert!(report.is_loadable() && report.unused.is_empty(), "{state:?}: {report:?}");
        }
        assert!(folder.verify(HiddenState::At(layers + 1)).is_err());
    }
}
