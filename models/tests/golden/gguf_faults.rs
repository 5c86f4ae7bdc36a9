//! Damaged, hostile and unsupported GGUF files: a message, never a panic.

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Value;
use candle_core::{DType, Tensor};
use lumina_models::text::{TextConfig, TextNetwork, TokenBatch, Tokenizer};
use lumina_models::weights::{Checkpoint, Weights};
use lumina_models::{Interrupt, ModelError, Result};
use proptest::prelude::*;

use crate::gguf_files::{CPU, Draft, ENCODERS, Written};

fn open(file: &Written) -> Result<TextNetwork> {
    TextNetwork::open(&file.path(), DType::F32, &CPU, &Interrupt::never())
}

/// What is said of a changed file, without its path.
fn refusal(name: &str, change: impl FnOnce(&mut Draft)) -> String {
    let mut draft = Draft::of(name);
    change(&mut draft);
    let file = draft.write(GgmlDType::F32);
    let message = open(&file).unwrap_err().to_string();
    let folder = file.path().parent().unwrap().display().to_string();
    message.replace(&file.path().display().to_string(), "FILE").replace(&folder, "FOLDER")
}

#[test]
fn sizes_that_cannot_be_are_refused_by_key() {
    let set = |key: &str, value: Value| {
        let key = key.to_owned();
        move |draft: &mut Draft| drop(draft.values.insert(key, value))
    };
    let without = |key: &str| {
        let key = key.to_owned();
        move |draft: &mut Draft| drop(draft.values.remove(&key))
    };
    let adding = |name: &str| {
        let name = name.to_owned();
        move |draft: &mut Draft| {
            drop(draft.tensors.insert(name, Tensor::zeros(4, DType::F32, &CPU).unwrap()));
        }
    };
    let text = |text: &str| Value::String(text.to_owned());
    for (found, expected) in [
        (
            refusal("gemma", set("general.architecture", text("mamba"))),
            "`FILE`: `general.architecture` is `mamba`, expected one of `gemma`, `gemma2`, `llama`, `qwen3`, `t5`, \
             `t5encoder`",
        ),
        (
            refusal("qwen3", set("general.architecture", text("llama"))),
            "`FILE`: `general.architecture` is `llama`, but the tensors are those of `qwen3`",
        ),
        (refusal("llama", without("general.architecture")), "`FILE`: `general.architecture` is missing"),
        (refusal("gemma", without("gemma.embedding_length")), "`FILE`: `gemma.embedding_length` is missing"),
        (
            refusal("gemma", set("gemma.block_count", text("3"))),
            "`FILE`: `gemma.block_count` is not a whole number",
        ),
        (
            refusal("gemma", set("gemma.block_count", Value::U64(1 << 60))),
            "`FILE`: `gemma.block_count` is 1152921504606846976, expected 1 to 1024",
        ),
        (
            refusal("gemma", set("gemma.attention.head_count", Value::U32(0))),
            "`FILE`: `gemma.attention.head_count` is 0, expected 1 to 4096",
        ),
        (
            refusal("llama", set("llama.attention.head_count_kv", Value::U32(3))),
            "`FILE`: `llama.attention.head_count_kv` is 3, expected a divisor of 4",
        ),
        (
            refusal("llama", set("llama.attention.head_count_kv", Value::Array(vec![Value::U32(4)]))),
            "`FILE`: `llama.attention.head_count_kv` is not a whole number",
        ),
        (
            refusal("llama", set("llama.rope.scaling.type", text("yarn"))),
            "`FILE`: `llama.rope.scaling.type` is `yarn`, which is not supported",
        ),
        (
            refusal("llama", set("llama.rope.dimension_count", Value::U32(8))),
            "`FILE`: `llama.rope.dimension_count` is 8, expected 16, as heads have",
        ),
        (
            refusal("llama", set("llama.attention.scale", Value::F32(1.0))),
            "`FILE`: `llama.attention.scale` is set, which is not supported",
        ),
        (
            refusal("gemma2", set("gemma2.attention.scale", Value::F32(0.0))),
            "`FILE`: `gemma2.attention.scale` is 0, expected a positive number",
        ),
        (
            refusal("llama", adding("rope_freqs.weight")),
            "`FILE`: it has `rope_freqs.weight`: rotary frequencies are scaled, which is not supported",
        ),
        (
            refusal("qwen3", adding("blk.0.attn_q.bias")),
            "`FILE`: it has `blk.0.attn_q.bias`: attention has biases, which is not supported",
        ),
        (
            refusal("t5", adding("enc.blk.1.attn_rel_b.weight")),
            "`FILE`: it has `enc.blk.1.attn_rel_b.weight`: every layer has its own table of positions, which is not \
             supported",
        ),
        (
            refusal("t5", |draft| drop(draft.tensors.remove("enc.blk.0.ffn_gate.weight"))),
            "`FILE`: `enc.blk.0.ffn_gate.weight` is missing: the first T5 is not supported",
        ),
        (
            refusal("t5", set("t5encoder.attention.relative_buckets_count", Value::U32(6))),
            "`FILE`: `t5encoder.attention.relative_buckets_count` is 6, expected a multiple of 4",
        ),
        (
            refusal("gemma", |draft| drop(draft.tensors.remove("blk.1.attn_k.weight"))),
            "`FILE` lacks 1 tensor: `blk.1.attn_k.weight`",
        ),
        (
            refusal("gemma", set("gemma.feed_forward_length", Value::U32(96))),
            "`blk.0.ffn_gate.weight` in `FILE` has shape [128, 64], the config asks for [96, 64]",
        ),
        (
            refusal("gemma", set("split.count", Value::U16(3))),
            "`FILE`: it is one of 3 parts; join them with `llama-gguf-split --merge FIRST_PART NEW_FILE`",
        ),
        (
            refusal("gemma", |draft| {
                let table = draft.tensors.remove("token_embd.weight").unwrap();
                draft.tensors.insert("embed_tokens.weight".to_owned(), table);
            }),
            "`FILE`: its tensors (architecture `gemma`) have other names than those of llama.cpp, so its config has to be \
             beside it, in `FOLDER/config.json`",
        ),
    ] {
        assert_eq!(found, expected);
    }
}

/// A file whose tensors of one format are said to have another.
fn renumbered(name: &str, from: u32, to: u32) -> Written {
    let file = Draft::of(name).write(GgmlDType::Q8_0);
    let mut bytes = std::fs::read(file.path()).unwrap();
    // Behind the name, the number of dimensions (2) and their lengths.
    let is_matrix = |at: usize, bytes: &[u8]| {
        bytes[at..].starts_with(&from.to_le_bytes())
            && bytes[..at - 20].ends_with(b"weight")
            && bytes[at - 20..].starts_with(&2_u32.to_le_bytes())
    };
    for at in 32..bytes.len().min(10_000) {
        if is_matrix(at, &bytes) {
            bytes[at..at + 4].copy_from_slice(&to.to_le_bytes());
        }
    }
    std::fs::write(file.path(), bytes).unwrap();
    file
}

#[test]
fn formats_that_cannot_be_read_are_listed_with_what_to_do() {
    // IQ4_NL has blocks of 32 numbers as Q8_0 has, and fewer bytes.
    let file = renumbered("t5", 8, 20);
    let checkpoint = Checkpoint::open_file(&file.path()).unwrap();
    let config = TextConfig::read(&file.path().with_file_name("config.json"), &checkpoint).unwrap();
    let report = config.verify(&checkpoint).unwrap();
    assert!(!report.is_loadable() && report.missing.is_empty() && report.wrong_shape.is_empty());
    let [error] = &report.errors()[..] else { panic!("{report:?}") };
    let path = file.path().display().to_string();
    assert_eq!(
        error.to_string().replace(&path, "FILE"),
        "`FILE` has 19 tensors in formats that cannot be read: `enc.blk.0.attn_q.weight` (IQ4_NL), \
         `enc.blk.0.attn_k.weight` (IQ4_NL), `enc.blk.0.attn_v.weight` (IQ4_NL), `enc.blk.0.ffn_gate.weight` (IQ4_NL), \
         `enc.blk.0.ffn_up.weight` (IQ4_NL) and 14 more; use a file of the same model in F16, Q8_0, Q6_K or Q4_K, or \
         make one with `llama-quantize --allow-requantize OLD_FILE NEW_FILE Q8_0`"
    );
    let Err(ModelError::UnreadableFormat { tensors, .. }) = open(&file) else { panic!("it loads") };
    assert_eq!(tensors.len(), 19);
    // All at once, whatever the first one to be read is.
    assert!(tensors.iter().all(|(_, format)| *format == "IQ4_NL"));
}

#[test]
fn a_folder_without_a_tokenizer_says_where_to_get_it() {
    let file = Draft::of("gemma").write(GgmlDType::Q8_0);
    let folder = file.path().parent().unwrap().to_owned();
    let message = Tokenizer::open(&folder).err().unwrap().to_string();
    assert_eq!(
        message.replace(&folder.display().to_string(), "FOLDER"),
        "tokenizer `FOLDER/tokenizer.json`: it is missing, and the tokenizer inside a GGUF file is not read; put the \
         `tokenizer.json` of the same model there, which lies beside its safetensors files"
    );
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let file = Draft::of("t5").write(GgmlDType::Q8_0);
    let bytes = std::fs::read(file.path()).unwrap();
    let cut = file.path().with_file_name("cut.gguf");
    // Every length of the front, then some of the rest; the last tensor is followed by at most 31 bytes of padding.
    for length in (0..600).chain((600..bytes.len() - 31).step_by(997)) {
        std::fs::write(&cut, &bytes[..length]).unwrap();
        let error = TextNetwork::open(&cut, DType::F32, &CPU, &Interrupt::never()).unwrap_err();
        assert!(matches!(error, ModelError::Gguf { .. } | ModelError::Header { .. }), "{length}: {error}");
    }
}

#[test]
fn a_file_that_is_cut_after_its_header_was_read_is_refused() {
    let file = Draft::of("gemma").write(GgmlDType::Q8_0);
    let checkpoint = Checkpoint::open_file(&file.path()).unwrap();
    let bytes = std::fs::read(file.path()).unwrap();
    std::fs::write(file.path(), &bytes[..bytes.len() / 2]).unwrap();
    let config = TextConfig::read(&file.path(), &checkpoint).unwrap();
    let (keys, never) = (config.key_map(&checkpoint), Interrupt::never());
    let weights = Weights::open(&checkpoint, keys, DType::F32, &CPU, &never).unwrap();
    let error = TextNetwork::load(&weights, &config).unwrap_err();
    assert!(error.to_string().ends_with("the file became shorter after its header was read"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn flipped_bytes_are_no_panic(
        encoder in 0..ENCODERS.len(),
        flips in prop::collection::vec((0..4000_usize, any::<u8>()), 1..4),
    ) {
        thread_local! {
            static FILES: Vec<Vec<u8>> = ENCODERS
                .iter()
                .map(|name| std::fs::read(Draft::of(name).write(GgmlDType::Q8_0).path()).unwrap())
                .collect();
        }
        let mut bytes = FILES.with(|files| files[encoder].clone());
        for (at, value) in flips {
            bytes[at] ^= value;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.gguf");
        std::fs::write(&path, bytes).unwrap();
        if let Ok(network) = TextNetwork::open(&path, DType::F32, &CPU, &Interrupt::never()) {
            let batch = TokenBatch { ids: vec![vec![2, 9, 33]], mask: vec![vec![1; 3]] };
            drop(network.last_hidden_state(&batch, &Interrupt::never()));
        }
    }
}
