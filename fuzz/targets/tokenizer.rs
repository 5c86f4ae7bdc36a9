//! `tokenizer_config.json` beside a tokenizer, and a prompt that is encoded with it.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lumina_models::text::{Padding, Tokenizer};
use tempfile::TempDir;

/// A folder with a tokenizer, in memory where the system has such a place.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let tokenizer = include_bytes!("../../tests/golden/lumina_next_pipeline/tokenizer/tokenizer.json");
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer).expect("a file");
    folder
});

fuzz_target!(|text: &[u8]| {
    std::fs::write(FOLDER.path().join("tokenizer_config.json"), text).expect("a file");
    if let Ok(tokenizer) = Tokenizer::open(FOLDER.path()) {
        let prompt = String::from_utf8_lossy(text).into_owned();
        let _ = tokenizer.encode_batch(&[prompt], Padding::Exactly(16));
    }
});
