//! The names of tensors.

use super::TOKENS;
use crate::weights::{Checkpoint, KeyMap};

/// The parts of a layer of a decoder.
const DECODER: [(&str, &str); 11] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// The parts of a layer of an encoder.
const T5: [(&str, &str); 10] = [
    ("layer.0.layer_norm", "attn_norm"),
    ("layer.0.SelfAttention.q", "attn_q"),
    ("layer.0.SelfAttention.k", "attn_k"),
    ("layer.0.SelfAttention.v", "attn_v"),
    ("layer.0.SelfAttention.o", "attn_o"),
    ("layer.0.SelfAttention.relative_attention_bias", "attn_rel_b"),
    ("layer.1.layer_norm", "ffn_norm"),
    ("layer.1.DenseReluDense.wi_0", "ffn_gate"),
    ("layer.1.DenseReluDense.wi_1", "ffn_up"),
    ("layer.1.DenseReluDense.wo", "ffn_down"),
];

/// The names of a decoder.
pub(in crate::text) fn decoder_keys(checkpoint: &Checkpoint) -> KeyMap {
    // A layer with four norms has one of this name, in a layer with two it is the norm before the feed-forward layer.
    let four_norms = checkpoint.get("blk.0.post_ffw_norm.weight").is_some();
    KeyMap::new(move |name| vec![decoder_name(name, four_norms).unwrap_or_else(|| name.to_owned())])
}

fn decoder_name(name: &str, four_norms: bool) -> Option<String> {
    match name {
        "embed_tokens.weight" => return Some(TOKENS.to_owned()),
        "norm.weight" => return Some("output_norm.weight".to_owned()),
        _ => {}
    }
    let (layer, part) = name.strip_prefix("layers.")?.strip_suffix(".weight")?.split_once('.')?;
    let part = match part {
        "post_attention_layernorm" if four_norms => "post_attention_norm",
        "post_attention_layernorm" => "ffn_norm",
        "post_feedforward_layernorm" => "post_ffw_norm",
        part => stored(&DECODER, part)?,
    };
    Some(format!("blk.{layer}.{part}.weight"))
}

/// The names of the encoder of a T5.
pub(in crate::text) fn t5_keys() -> KeyMap {
    KeyMap::new(|name| vec![t5_name(name).unwrap_or_else(|| name.to_owned())])
}

fn t5_name(name: &str) -> Option<String> {
    match name {
        "shared.weight" => return Some(TOKENS.to_owned()),
        "encoder.final_layer_norm.weight" => return Some("enc.output_norm.weight".to_owned()),
        _ => {}
    }
    let (layer, part) = name.strip_prefix("encoder.block.")?.strip_suffix(".weight")?.split_once('.')?;
    Some(format!("enc.blk.{layer}.{}.weight", stored(&T5, part)?))
}

fn stored(parts: &[(&str, &'static str)], part: &str) -> Option<&'static str> {
    parts.iter().find(|(canonical, _)| *canonical == part).map(|(_, stored)| *stored)
}

/// Whether a tensor of a decoder may stay unread: the last of `layers` layers, the final norm and the output head.
pub(in crate::text) fn is_ignorable(layers: usize, stored: &str) -> bool {
    let last = format!("blk.{}.", layers.saturating_sub(1));
    stored.starts_with(&last) || matches!(stored, "output_norm.weight" | "output.weight")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_norm_behind_attention_has_two_meanings() {
        let name = |four_norms| decoder_name("layers.3.post_attention_layernorm.weight", four_norms);
        assert_eq!(name(true).as_deref(), Some("blk.3.post_attention_norm.weight"));
        assert_eq!(name(false).as_deref(), Some("blk.3.ffn_norm.weight"));
        assert_eq!(decoder_name("layers.3.unheard_of.weight", false), None);
    }
}
