//! Llama, T5 and BERT.

use super::*;
use lumina_models::nn::Activation;
use lumina_models::text::{Bert, BertConfig, T5Config, T5Encoder};

/// Positions of the key lists in `filled_models_sorted_keys`.
const LLAMA: usize = 11;
const T5: usize = 12;
const BERT: usize = 13;

/// One row without padding: no token is masked.
fn batch(ids: [u32; 8]) -> TokenBatch {
    TokenBatch { ids: vec![ids.to_vec()], mask: vec![vec![1; 8]] }
}

#[test]
fn llama() {
    let formula = Formula::open();
    let (_dir, checkpoint) = formula.checkpoint(LLAMA);
    let config = DecoderConfig {
        vocab_size: 64,
        hidden_size: 32,
        intermediate_size: 48,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 4,
        head_dim: 8,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        query_pre_attn_scalar: 8.0,
        ..DecoderFamily::Llama.config()
    };
    let network = Decoder::load_whole(&weights(&checkpoint, Decoder::key_map(&checkpoint)), &config).unwrap();
    let states = network.hidden_states(&batch([1, 5, 9, 40, 7, 2, 0, 0]), &Interrupt::never()).unwrap();
    let found = states.last().unwrap().get(0).unwrap().narrow(0, 0, 6).unwrap();
    let name = "llama_tiny_last_hidden_valid6";
    check(name, &found, formula.get(name), TOLERANCE);
}

#[test]
fn t5() {
    let formula = Formula::open();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    // The table is stored under two names; the numbers are those of the later one.
    formula.write(T5, &path, &|key| match key {
        "encoder.embed_tokens.weight" => Vec::new(),
        _ => vec![key.to_owned()],
    });
    let checkpoint = Checkpoint::open_file(&path).unwrap();
    let config = T5Config {
        vocab_size: 64,
        d_model: 32,
        d_kv: 8,
        d_ff: 48,
        num_layers: 2,
        num_heads: 4,
        relative_attention_num_buckets: 8,
        relative_attention_max_distance: 16,
        ..T5Config::large()
    };
    let network = T5Encoder::load(&weights(&checkpoint, T5Encoder::key_map(&checkpoint)), &config).unwrap();
    let found = network.forward(&batch([5, 9, 40, 7, 1, 0, 0, 0]), &Interrupt::never()).unwrap();
    check("t5enc_tiny_nomask", &found, formula.get("t5enc_tiny_nomask"), TOLERANCE);
}

#[test]
fn bert() {
    let formula = Formula::open();
    let (_dir, checkpoint) = formula.checkpoint(BERT);
    let config = BertConfig {
        vocab_size: 64,
        hidden_size: 32,
        intermediate_size: 48,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        max_position_embeddings: 16,
        activation: Activation::GeluExact,
        ..BertConfig::base()
    };
    let network = Bert::load(&weights(&checkpoint, Bert::key_map(&checkpoint)), &config).unwrap();
    let found = network.forward(&batch([5, 9, 40, 7, 1, 0, 0, 0]), &Interrupt::never()).unwrap();
    check("bert_tiny_nomask", &found, formula.get("bert_tiny_nomask"), TOLERANCE);
}
