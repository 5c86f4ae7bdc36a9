//! The sizes of a network, from the metadata.

use serde_json::{Map, Value, json};

use super::TOKENS;
use crate::text::{DecoderConfig, DecoderFamily, NormStyle, Rotation, T5Config, TextConfig};
use crate::weights::Checkpoint;
use crate::weights::gguf::GgufMetadata;

/// Gemma 2 with this many layers, the one of 27 billion weights, divides scores by the root of another number.
const LAYERS_OF_LARGEST_GEMMA2: u64 = 46;

/// What scores are multiplied with.
const SCALE: &str = "attention.scale";

/// Fields of `config.json` and the keys that hold the same, behind the name of the architecture.
const DECODER: [(&str, &str, Need); 9] = [
    ("hidden_size", "embedding_length", Need::Whole),
    ("intermediate_size", "feed_forward_length", Need::Whole),
    ("num_hidden_layers", "block_count", Need::Whole),
    ("num_attention_heads", "attention.head_count", Need::Whole),
    ("num_key_value_heads", "attention.head_count_kv", Need::MaybeWhole),
    ("head_dim", "attention.key_length", Need::MaybeWhole),
    ("rms_norm_eps", "attention.layer_norm_rms_epsilon", Need::Number),
    ("rope_theta", "rope.freq_base", Need::MaybeNumber),
    ("sliding_window", "attention.sliding_window", Need::MaybeWhole),
];

const T5: [(&str, &str, Need); 7] = [
    ("d_model", "embedding_length", Need::Whole),
    ("d_ff", "feed_forward_length", Need::Whole),
    ("num_layers", "block_count", Need::Whole),
    ("num_heads", "attention.head_count", Need::Whole),
    ("d_kv", "attention.key_length", Need::Whole),
    ("relative_attention_num_buckets", "attention.relative_buckets_count", Need::MaybeWhole),
    ("layer_norm_epsilon", "attention.layer_norm_rms_epsilon", Need::Number),
];

/// What a field has to be.
#[derive(Clone, Copy)]
enum Need {
    Whole,
    Number,
    MaybeWhole,
    MaybeNumber,
}

/// A text encoder that the architecture names.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Decoder(DecoderFamily),
    T5,
}

/// The config of a text encoder.
///
/// # Errors
/// What is wrong or not supported, with the key or the tensor that says so.
pub(in crate::text) fn read(checkpoint: &Checkpoint, metadata: &GgufMetadata) -> Result<TextConfig, String> {
    let (architecture, kind) = kind(checkpoint, metadata)?;
    let fields = Fields { checkpoint, metadata, architecture };
    match kind {
        Kind::Decoder(family) => fields.decoder(family).map(TextConfig::Decoder),
        Kind::T5 => fields.t5().map(TextConfig::T5),
    }
}

/// The name that keys begin with, and which network it is. Where the file names none the tensors tell.
fn kind<'a>(checkpoint: &Checkpoint, metadata: &'a GgufMetadata) -> Result<(&'a str, Kind), String> {
    let has = |name: &str| checkpoint.get(name).is_some();
    let by_tensors = if has("enc.blk.0.attn_q.weight") {
        Some(Kind::T5)
    } else if has("blk.0.post_ffw_norm.weight") {
        Some(Kind::Decoder(DecoderFamily::Gemma2))
    } else if has("blk.0.attn_q_norm.weight") {
        Some(Kind::Decoder(DecoderFamily::Qwen3))
    } else {
        None
    };
    let Some(architecture) = metadata.architecture() else {
        return Err("`general.architecture` is missing".to_owned());
    };
    let named = match architecture {
        "t5" | "t5encoder" => Some(Kind::T5),
        name => DecoderFamily::ALL.into_iter().find(|family| family.model_type() == name).map(Kind::Decoder),
    };
    let Some(named) = named else {
        return Err(format!(
            "`general.architecture` is `{architecture}`, expected one of `gemma`, `gemma2`, `llama`, `qwen3`, `t5`, \
             `t5encoder`"
        ));
    };
    match by_tensors {
        Some(other) if other != named => Err(format!(
            "`general.architecture` is `{architecture}`, but the tensors are those of `{}`",
            other.name()
        )),
        _ => Ok((architecture, named)),
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Decoder(family) => family.model_type(),
            Self::T5 => "t5",
        }
    }
}

struct Fields<'a> {
    checkpoint: &'a Checkpoint,
    metadata: &'a GgufMetadata,
    architecture: &'a str,
}

impl Fields<'_> {
    fn decoder(&self, family: DecoderFamily) -> Result<DecoderConfig, String> {
        self.refuse("blk.0.attn_q.bias", "attention has biases")?;
        self.refuse("rope_freqs.weight", "rotary frequencies are scaled")?;
        let scaling = self.key("rope.scaling.type");
        if let Some(kind) = self.metadata.text(&scaling).filter(|kind| *kind != "none") {
            return Err(format!("`{scaling}` is `{kind}`, which is not supported"));
        }
        if family != DecoderFamily::Gemma2 && self.metadata.get(&self.key(SCALE)).is_some() {
            return Err(format!("`{}` is set, which is not supported", self.key(SCALE)));
        }
        let mut fields = self.fields(&DECODER)?;
        if let Some(cap) = self.metadata.number(&self.key("attn_logit_softcapping")) {
            fields.insert("attn_logit_softcapping".to_owned(), json!(cap));
        }
        if let Some(scale) =
            self.metadata.number(&self.key(SCALE)).filter(|scale| !(1e-6..1e6).contains(scale))
        {
            return Err(format!("`{}` is {scale}, expected a positive number", self.key(SCALE)));
        }
        if let Some(scalar) = self.query_scalar(family) {
            fields.insert("query_pre_attn_scalar".to_owned(), json!(scalar));
        }
        let text = Value::Object(fields).to_string();
        let config = DecoderConfig::parse_as(family, text.as_bytes())
            .map_err(|reason| self.with_keys(&DECODER, reason))?;
        for key in ["rope.dimension_count", "attention.value_length"].map(|key| self.key(key)) {
            let channels = self.metadata.whole(&key).unwrap_or(config.head_dim as u64);
            if channels != config.head_dim as u64 {
                return Err(format!("`{key}` is {channels}, expected {}, as heads have", config.head_dim));
            }
        }
        Ok(match family {
            DecoderFamily::Gemma | DecoderFamily::Gemma2 => DecoderConfig { norm: NormStyle::Sum, ..config },
            DecoderFamily::Llama => DecoderConfig { rotation: Rotation::Pairs, ..config },
            DecoderFamily::Qwen3 => config,
        })
    }

    fn t5(&self) -> Result<T5Config, String> {
        if self.checkpoint.get("enc.blk.0.ffn_gate.weight").is_none() {
            return Err("`enc.blk.0.ffn_gate.weight` is missing: the first T5 is not supported".to_owned());
        }
        self.refuse("enc.blk.1.attn_rel_b.weight", "every layer has its own table of positions")?;
        let mut fields = self.fields(&T5)?;
        fields.insert("feed_forward_proj".to_owned(), json!("gated-gelu"));
        let text = Value::Object(fields).to_string();
        T5Config::parse(text.as_bytes()).map_err(|reason| self.with_keys(&T5, reason))
    }

    /// What scores are divided by the root of, where it is not the channels of a head. The converter does not write it,
    /// and llama.cpp knows it.
    fn query_scalar(&self, family: DecoderFamily) -> Option<f64> {
        if let Some(scale) = self.metadata.number(&self.key(SCALE)) {
            return Some((scale * scale).recip());
        }
        let whole = |key| self.metadata.whole(&self.key(key));
        let layers = whole("block_count")?;
        if family == DecoderFamily::Gemma2 && layers == LAYERS_OF_LARGEST_GEMMA2 {
            return Some(whole("embedding_length")?.checked_div(whole("attention.head_count")?)? as f64);
        }
        whole("attention.key_length").map(|channels| channels as f64)
    }

    /// The fields as `config.json` has them, so that one place knows what sizes may be.
    fn fields(&self, fields: &[(&str, &str, Need)]) -> Result<Map<String, Value>, String> {
        let mut found = Map::new();
        let rows = self.checkpoint.get(TOKENS).and_then(|table| table.shape.first().copied());
        found.insert("vocab_size".to_owned(), json!(rows.unwrap_or_default()));
        for &(field, key, need) in fields {
            let key = self.key(key);
            let value = match need {
                Need::Whole | Need::MaybeWhole => self.metadata.whole(&key).map(|number| json!(number)),
                Need::Number | Need::MaybeNumber => self.metadata.number(&key).map(|number| json!(number)),
            };
            let kind = match need {
                Need::Whole | Need::MaybeWhole => "a whole number",
                Need::Number | Need::MaybeNumber => "a number",
            };
            match (value, need) {
                (Some(value), _) => {
                    found.insert(field.to_owned(), value);
                }
                (None, _) if self.metadata.get(&key).is_some() => {
                    return Err(format!("`{key}` is not {kind}"));
                }
                (None, Need::Whole | Need::Number) => return Err(format!("`{key}` is missing")),
                (None, Need::MaybeWhole | Need::MaybeNumber) => {}
            }
        }
        Ok(found)
    }

    /// The same words with the keys of this file.
    fn with_keys(&self, fields: &[(&str, &str, Need)], reason: String) -> String {
        let reason = reason.replace("`vocab_size`", &format!("the number of rows of `{TOKENS}`"));
        fields.iter().fold(reason, |reason, (field, key, _)| {
            reason.replace(&format!("`{field}`"), &format!("`{}`", self.key(key)))
        })
    }

    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    /// Refuses a file that has `tensor`, which no supported network has.
    fn refuse(&self, tensor: &str, what: &str) -> Result<(), String> {
        match self.checkpoint.get(tensor) {
            Some(_) => Err(format!("it has `{tensor}`: {what}, which is not supported")),
            None => Ok(()),
        }
    }
}
