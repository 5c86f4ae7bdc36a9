//! Which text encoder a folder holds.

use serde::Deserialize;

use super::DecoderFamily;
use crate::weights::Checkpoint;

/// A kind of text encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// A decoder of which hidden states are used.
    Decoder(DecoderFamily),
    /// The encoder of a T5 or FLAN-T5.
    T5,
    /// BERT and its kin, such as MiniLM.
    Bert,
    /// The text tower of CLAP, with pooling and projection.
    ClapText,
}

/// What a config file calls its network.
pub(super) struct Named {
    /// The field that says it.
    pub(super) field: &'static str,
    /// As `model_type` has it.
    pub(super) model_type: String,
}

/// The network that a config file names, if it names one.
///
/// # Errors
/// When the file does not parse.
pub(super) fn named_in(text: &[u8]) -> Result<Option<Named>, String> {
    #[derive(Deserialize)]
    struct Names {
        model_type: Option<String>,
        #[serde(default)]
        architectures: Option<Vec<String>>,
    }
    let names: Names = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if let Some(model_type) = names.model_type {
        return Ok(Some(Named { field: "model_type", model_type }));
    }
    let first = names.architectures.and_then(|list| list.into_iter().next());
    Ok(first.map(|class| Named { field: "architectures", model_type: model_type_of(class) }))
}

/// The `model_type` of a class of transformers; the class itself where it is none that is known here.
fn model_type_of(class: String) -> String {
    let known = match class.as_str() {
        "GemmaModel" | "GemmaForCausalLM" => "gemma",
        "Gemma2Model" | "Gemma2ForCausalLM" => "gemma2",
        "LlamaModel" | "LlamaForCausalLM" => "llama",
        "Qwen3Model" | "Qwen3ForCausalLM" => "qwen3",
        "T5EncoderModel" | "T5Model" | "T5ForConditionalGeneration" => "t5",
        "BertModel" | "BertForMaskedLM" => "bert",
        "ClapTextModelWithProjection" => "clap_text_model",
        "ClapModel" => "clap",
        _ => return class,
    };
    known.to_owned()
}

/// Tells by the config, or where that names nothing by the tensors.
///
/// # Errors
/// When the config names a network that is not known, or when nothing tells.
pub fn recognise(config: &[u8], weights: &Checkpoint) -> Result<TextKind, String> {
    let Some(named) = named_in(config)? else { return by_tensors(weights) };
    if let Some(family) = DecoderFamily::ALL.into_iter().find(|f| f.model_type() == named.model_type) {
        return Ok(TextKind::Decoder(family));
    }
    match named.model_type.as_str() {
        "t5" => Ok(TextKind::T5),
        "bert" => Ok(TextKind::Bert),
        "clap" | "clap_text_model" => Ok(TextKind::ClapText),
        other => Err(format!(
            "`{}` is `{other}`, expected one of `gemma`, `gemma2`, `llama`, `qwen3`, `t5`, `bert`, `clap`, \
             `clap_text_model`",
            named.field
        )),
    }
}

fn by_tensors(weights: &Checkpoint) -> Result<TextKind, String> {
    let has = |end: &str| weights.tensors().keys().any(|key| key.ends_with(end));
    // From the most special to the most general name.
    if has("layers.0.pre_feedforward_layernorm.weight") {
        Ok(TextKind::Decoder(DecoderFamily::Gemma2))
    } else if has("layers.0.self_attn.q_norm.weight") {
        Ok(TextKind::Decoder(DecoderFamily::Qwen3))
    } else if has("layers.0.self_attn.q_proj.weight") {
        Err("`model_type` is missing, and the tensors fit `gemma` as well as `llama`".to_owned())
    } else if has("encoder.block.0.layer.0.SelfAttention.q.weight") {
        Ok(TextKind::T5)
    } else if has("text_projection.linear1.weight") {
        Ok(TextKind::ClapText)
    } else if has("embeddings.word_embeddings.weight") {
        Ok(TextKind::Bert)
    } else {
        Err("`model_type` is missing, and the tensors are those of no known text encoder".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(names: &[&str]) -> (tempfile::TempDir, Checkpoint) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]).unwrap();
        let tensors = names.iter().map(|name| (*name, view.clone()));
        std::fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
        let checkpoint = Checkpoint::open_file(&path).unwrap();
        (dir, checkpoint)
    }

    #[test]
    fn a_config_tells_by_model_type_before_architectures() {
        let (_dir, none) = checkpoint(&["w"]);
        let kind = |config: &str| recognise(config.as_bytes(), &none);
        assert_eq!(kind(r#"{"model_type":"t5","architectures":["LlamaModel"]}"#), Ok(TextKind::T5));
        let llama = Ok(TextKind::Decoder(DecoderFamily::Llama));
        assert_eq!(kind(r#"{"architectures":["LlamaForCausalLM"]}"#), llama);
        assert!(kind(r#"{"model_type":"mamba"}"#).unwrap_err().contains("`mamba`"));
        assert!(kind("{}").unwrap_err().contains("no known text encoder"));
    }

    #[test]
    fn tensors_tell_where_the_config_does_not() {
        let cases = [
            ("a.layers.0.self_attn.q_norm.weight", Ok(TextKind::Decoder(DecoderFamily::Qwen3))),
            ("layers.0.pre_feedforward_layernorm.weight", Ok(TextKind::Decoder(DecoderFamily::Gemma2))),
            ("encoder.block.0.layer.0.SelfAttention.q.weight", Ok(TextKind::T5)),
            ("embeddings.word_embeddings.weight", Ok(TextKind::Bert)),
            ("text_projection.linear1.weight", Ok(TextKind::ClapText)),
            ("layers.0.self_attn.q_proj.weight", Err(())),
        ];
        for (name, expected) in cases {
            let (_dir, weights) = checkpoint(&[name]);
            assert_eq!(recognise(b"{}", &weights).map_err(drop), expected, "{name}");
        }
    }
}
