//! The `config.json` of a BERT and its kin.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::nn::Activation;

/// Sizes of a BERT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BertConfig {
    /// Number of token numbers.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward layers.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Heads.
    pub num_attention_heads: usize,
    /// Rows of the table of positions.
    pub max_position_embeddings: usize,
    /// Rows of the table of token types; the first is used for all tokens.
    pub type_vocab_size: usize,
    /// Epsilon of the norms.
    pub layer_norm_eps: f64,
    /// Activation of the feed-forward layers.
    pub activation: Activation,
    /// How tokens are counted.
    pub positions: Positions,
    /// Width of the projection behind it (CLAP).
    pub projection_dim: Option<usize>,
    /// Activation inside that projection.
    pub projection_activation: Activation,
}

/// How the tokens of a row are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Positions {
    /// 0, 1, 2.. over the whole row.
    All,
    /// Padding has its own number as its position, the others count on from it (RoBERTa).
    BehindPadding(u32),
}

#[derive(Deserialize)]
struct Stored {
    model_type: Option<String>,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    max_position_embeddings: usize,
    type_vocab_size: Option<usize>,
    layer_norm_eps: Option<f64>,
    hidden_act: Option<String>,
    position_embedding_type: Option<String>,
    pad_token_id: Option<u32>,
    projection_dim: Option<usize>,
    projection_hidden_act: Option<String>,
}

impl BertConfig {
    /// BERT-base without capitals, the caption tower of the CLAP that Lumina's audio uses.
    ///
    /// Source: `config.json` of `bert-base-uncased`.
    pub fn base() -> Self {
        Self {
            vocab_size: 30_522,
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            activation: Activation::GeluExact,
            positions: Positions::All,
            projection_dim: None,
            projection_activation: Activation::Relu,
        }
    }

    /// MiniLM for sentences.
    ///
    /// Source: `config.json` of `sentence-transformers/all-MiniLM-L6-v2`.
    pub fn mini_lm() -> Self {
        Self { hidden_size: 384, intermediate_size: 1536, num_hidden_layers: 6, ..Self::base() }
    }

    /// Reads `config.json`; of a file for a whole CLAP its `text_config`.
    ///
    /// # Errors
    /// [`ModelError::FileNotFound`](crate::ModelError::FileNotFound); [`ModelError::Config`](crate::ModelError::Config)
    /// with the name of a field that is wrong or unsupported.
    pub fn read(path: &Path) -> Result<Self> {
        crate::config_file::read(path, Self::parse)
    }

    /// As [`read`](Self::read), from the text of the file.
    ///
    /// # Errors
    /// What is wrong, with the name of the field.
    pub fn parse(text: &[u8]) -> std::result::Result<Self, String> {
        #[derive(Deserialize)]
        struct Outer {
            text_config: Option<Stored>,
            projection_dim: Option<usize>,
        }
        let outer: Outer = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let (stored, clap) = match outer.text_config {
            Some(inner) => {
                (Stored { projection_dim: outer.projection_dim.or(inner.projection_dim), ..inner }, true)
            }
            None => (serde_json::from_slice::<Stored>(text).map_err(|error| error.to_string())?, false),
        };
        Self::check(stored, clap)
    }

    fn check(stored: Stored, nested: bool) -> std::result::Result<Self, String> {
        let clap = nested || stored.model_type.as_deref() == Some("clap_text_model");
        let types = stored.type_vocab_size.unwrap_or(if clap { 1 } else { 2 });
        let projection = stored.projection_dim.or(clap.then_some(512));
        // Far above any real network: keeps a damaged config from overflowing products and from endless layers.
        for (name, size, most) in [
            ("vocab_size", stored.vocab_size, 1 << 24),
            ("hidden_size", stored.hidden_size, 1 << 20),
            ("intermediate_size", stored.intermediate_size, 1 << 24),
            ("num_hidden_layers", stored.num_hidden_layers, 1 << 10),
            ("num_attention_heads", stored.num_attention_heads, 1 << 12),
            ("max_position_embeddings", stored.max_position_embeddings, 1 << 24),
            ("type_vocab_size", types, 1 << 24),
            ("projection_dim", projection.unwrap_or(1), 1 << 20),
        ] {
            if !(1..=most).contains(&size) {
                return Err(format!("`{name}` is {size}, expected 1 to {most}"));
            }
        }
        if !stored.hidden_size.is_multiple_of(stored.num_attention_heads) {
            let size = stored.hidden_size;
            return Err(format!(
                "`num_attention_heads` is {}, expected a divisor of {size}",
                stored.num_attention_heads
            ));
        }
        let layer_norm_eps = stored.layer_norm_eps.unwrap_or(1e-12);
        if !(0.0..1.0).contains(&layer_norm_eps) {
            return Err(format!("`layer_norm_eps` is {layer_norm_eps}, expected a small positive number"));
        }
        if let Some(kind) = stored.position_embedding_type.filter(|kind| kind != "absolute") {
            return Err(format!("`position_embedding_type` is `{kind}`, expected `absolute`"));
        }
        let positions =
            if clap { Positions::BehindPadding(stored.pad_token_id.unwrap_or(1)) } else { Positions::All };
        let projection_name = stored.projection_hidden_act.as_deref().unwrap_or("relu");
        Ok(Self {
            vocab_size: stored.vocab_size,
            hidden_size: stored.hidden_size,
            intermediate_size: stored.intermediate_size,
            num_hidden_layers: stored.num_hidden_layers,
            num_attention_heads: stored.num_attention_heads,
            max_position_embeddings: stored.max_position_embeddings,
            type_vocab_size: types,
            layer_norm_eps,
            activation: activation("hidden_act", stored.hidden_act.as_deref().unwrap_or("gelu"))?,
            positions,
            projection_dim: projection,
            projection_activation: activation("projection_hidden_act", projection_name)?,
        })
    }

    /// Channels of a head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }
}

fn activation(field: &str, name: &str) -> std::result::Result<Activation, String> {
    match name {
        "gelu" => Ok(Activation::GeluExact),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        "silu" => Ok(Activation::Silu),
        other => Err(format!("`{field}` is `{other}`, expected `gelu`, `gelu_new`, `relu` or `silu`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: &str = r#""vocab_size":8,"hidden_size":8,"intermediate_size":8,"num_hidden_layers":2,
        "num_attention_heads":2,"max_position_embeddings":16"#;

    fn parse(rest: &str) -> std::result::Result<BertConfig, String> {
        BertConfig::parse(format!("{{{SIZES}{rest}}}").as_bytes())
    }

    #[test]
    fn a_clap_nests_what_its_text_tower_has_alone() {
        let alone = parse(r#","model_type":"clap_text_model","projection_dim":4"#).unwrap();
        let nested = format!(r#"{{"model_type":"clap","projection_dim":4,"text_config":{{{SIZES}}}}}"#);
        assert_eq!(BertConfig::parse(nested.as_bytes()), Ok(alone.clone()));
        assert_eq!((alone.positions, alone.projection_dim), (Positions::BehindPadding(1), Some(4)));
        assert_eq!(parse(r#","pad_token_id":3"#).unwrap().positions, Positions::All);
    }

    #[test]
    fn what_is_not_supported_is_refused_by_field() {
        for (field, value) in [
            ("num_attention_heads", "3"),
            ("hidden_act", "\"tanh\""),
            ("position_embedding_type", "\"relative_key\""),
            ("layer_norm_eps", "2"),
        ] {
            let text = format!("{{{SIZES}}}").replace(r#""num_attention_heads":2,"#, "");
            let heads = if field == "num_attention_heads" { "" } else { r#","num_attention_heads":2"# };
            let text = text.replace('}', &format!(r#"{heads},"{field}":{value}}}"#));
            let error = BertConfig::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(field), "{error}");
        }
    }
}
