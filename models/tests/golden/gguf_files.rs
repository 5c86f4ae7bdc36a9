//! The golden text encoders as GGUF files: what llama.cpp's converter makes of them, done a second time.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{D, Device, Tensor};
use serde_json::Value as Json;

use crate::common::{golden, load};
use crate::text_encoders::folder;

pub(crate) const ENCODERS: [&str; 5] = ["gemma", "gemma2", "llama", "qwen3", "t5"];

/// A file before it is written.
pub(crate) struct Draft {
    pub(crate) values: BTreeMap<String, Value>,
    pub(crate) tensors: HashMap<String, Tensor>,
}

/// A GGUF file and what holds it.
pub(crate) struct Written {
    dir: tempfile::TempDir,
}

impl Written {
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("model.gguf")
    }
}

impl Draft {
    /// A file with nothing in it.
    pub(crate) fn empty() -> Self {
        Self { values: BTreeMap::new(), tensors: HashMap::new() }
    }

    /// What the converter makes of a golden encoder.
    pub(crate) fn of(name: &str) -> Self {
        let dir = golden(&folder(name));
        let config: Json = serde_json::from_slice(&std::fs::read(dir.join("config.json")).unwrap()).unwrap();
        let tensors = load(&dir.join("model.safetensors")).into_iter();
        let tensors = tensors.map(|(key, tensor)| converted(name, &config, &key, tensor));
        Self { values: values(name, &config), tensors: tensors.collect() }
    }

    /// Writes matrices as `format` where their rows allow it, else in f16; all else in f32.
    pub(crate) fn write(&self, format: GgmlDType) -> Written {
        let dir = tempfile::tempdir().unwrap();
        self.write_at(&dir.path().join("model.gguf"), format);
        Written { dir }
    }

    fn write_at(&self, path: &Path, format: GgmlDType) {
        let tensors: Vec<_> = self
            .tensors
            .iter()
            .map(|(name, tensor)| {
                let rows = tensor.dim(D::Minus1).unwrap();
                let format = match tensor.rank() {
                    2 if name.ends_with("attn_rel_b.weight") => GgmlDType::F32,
                    2 if rows.is_multiple_of(format.block_size()) => format,
                    2 => GgmlDType::F16,
                    _ => GgmlDType::F32,
                };
                (name.as_str(), QTensor::quantize(tensor, format).unwrap())
            })
            .collect();
        let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
        let values: Vec<_> = self.values.iter().map(|(key, value)| (key.as_str(), value)).collect();
        gguf_file::write(&mut File::create(path).unwrap(), &values, &tensors).unwrap();
    }
}

fn converted(encoder: &str, config: &Json, key: &str, tensor: Tensor) -> (String, Tensor) {
    let key = key.strip_prefix("model.").unwrap_or(key);
    let heads = |field: &str| config[field].as_u64().unwrap() as usize;
    let tensor = match encoder {
        "gemma" | "gemma2" if key.ends_with("norm.weight") => (tensor + 1.0).unwrap(),
        "llama" if key.ends_with("q_proj.weight") => in_pairs(&tensor, heads("num_attention_heads")),
        "llama" if key.ends_with("k_proj.weight") => in_pairs(&tensor, heads("num_key_value_heads")),
        _ => tensor,
    };
    // Longer names before those that they begin with.
    let behind_attention = if encoder == "gemma2" { "post_attention_norm" } else { "ffn_norm" };
    let pieces = [
        ("encoder.block.", "enc.blk."),
        ("encoder.final_layer_norm", "enc.output_norm"),
        ("layers.", "blk."),
        ("shared", "token_embd"),
        ("embed_tokens", "token_embd"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", behind_attention),
        ("pre_feedforward_layernorm", "ffn_norm"),
        ("post_feedforward_layernorm", "post_ffw_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
        ("layer.0.SelfAttention.relative_attention_bias", "attn_rel_b"),
        ("layer.0.SelfAttention.", "attn_"),
        ("layer.0.layer_norm", "attn_norm"),
        ("layer.1.layer_norm", "ffn_norm"),
        ("layer.1.DenseReluDense.wi_0", "ffn_gate"),
        ("layer.1.DenseReluDense.wi_1", "ffn_up"),
        ("layer.1.DenseReluDense.wo", "ffn_down"),
    ];
    let renamed = pieces.iter().fold(key.to_owned(), |key, (from, to)| key.replace(from, to));
    (if renamed == "norm.weight" { "output_norm.weight".to_owned() } else { renamed }, tensor)
}

/// The rows of each head, those of the first half between those of the second.
fn in_pairs(weight: &Tensor, heads: usize) -> Tensor {
    let (rows, columns) = weight.dims2().unwrap();
    let halves = weight.reshape((heads, 2, rows / heads / 2, columns)).unwrap();
    halves.transpose(1, 2).unwrap().contiguous().unwrap().reshape((rows, columns)).unwrap()
}

fn values(encoder: &str, config: &Json) -> BTreeMap<String, Value> {
    let name = if encoder == "t5" { "t5encoder" } else { encoder };
    let mut values = BTreeMap::new();
    values.insert("general.architecture".to_owned(), Value::String(name.to_owned()));
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            values.insert(format!("{name}.{key}"), value);
        }
    };
    let whole = |field: &str| config[field].as_u64().map(|number| Value::U32(number as u32));
    let number = |field: &str| config[field].as_f64().map(|number| Value::F32(number as f32));
    let either = |field, other| whole(field).or_else(|| whole(other));
    set("context_length", either("max_position_embeddings", "n_positions"));
    set("embedding_length", either("hidden_size", "d_model"));
    set("feed_forward_length", either("intermediate_size", "d_ff"));
    set("block_count", either("num_hidden_layers", "num_layers"));
    set("attention.head_count", either("num_attention_heads", "num_heads"));
    set("attention.head_count_kv", whole("num_key_value_heads"));
    set("attention.key_length", either("head_dim", "d_kv"));
    set("attention.value_length", either("head_dim", "d_kv"));
    let epsilon = number("rms_norm_eps").or_else(|| number("layer_norm_epsilon"));
    set("attention.layer_norm_rms_epsilon", epsilon);
    set("attention.relative_buckets_count", whole("relative_attention_num_buckets"));
    match encoder {
        // The converter leaves the base of the frequencies out for these.
        "gemma" | "t5" => {}
        "gemma2" => {
            set("attn_logit_softcapping", number("attn_logit_softcapping"));
            set("attention.sliding_window", whole("sliding_window"));
            // The golden network has an odd one, which no file of llama.cpp can say; ours are read with this key.
            let scalar = config["query_pre_attn_scalar"].as_f64().unwrap();
            set("attention.scale", Some(Value::F32(scalar.sqrt().recip() as f32)));
        }
        _ => set("rope.freq_base", number("rope_theta")),
    }
    let tokens = ["<pad>", "<eos>", "<bos>"].map(|token| Value::String(token.to_owned()));
    values.insert("tokenizer.ggml.tokens".to_owned(), Value::Array(tokens.to_vec()));
    values
}

pub(crate) const CPU: Device = Device::Cpu;
