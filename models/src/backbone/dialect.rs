//! The three ways in which the tensors of a Next-DiT are named.

use super::detect::Family;
use crate::Result;
use crate::weights::{Checkpoint, KeyMap};

/// How a checkpoint names its tensors. Known from the names, never from those of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Lumina-T2X `models/model.py`; the canonical names of this crate.
    Original,
    /// diffusers `LuminaNextDiT2DModel`.
    Diffusers,
    /// Early diffusers uploads, as `scripts/convert_lumina_to_diffusers.py` still writes them.
    EarlyDiffusers,
}

impl Dialect {
    /// Finds the dialect.
    ///
    /// # Errors
    /// [`ModelError::Config`](crate::ModelError::Config) when the checkpoint is another network, in words that say which one.
    pub fn detect(checkpoint: &Checkpoint) -> Result<Self> {
        match Family::detect(checkpoint)? {
            Family::NextDit(dialect) => Ok(dialect),
            other => Err(other.not("a Next-DiT for text", checkpoint)),
        }
    }

    /// From canonical names to stored ones.
    pub fn key_map(self) -> KeyMap {
        match self {
            Self::Original => KeyMap::identity(),
            Self::Diffusers => KeyMap::new(|name| vec![diffusers_name(name)]),
            Self::EarlyDiffusers => {
                KeyMap::new(|name| vec![early_diffusers_name(name), diffusers_name(name)])
            }
        }
    }

    /// The stored name of a canonical one.
    pub fn stored_name(self, canonical: &str) -> String {
        match self {
            Self::Original => canonical.to_owned(),
            Self::Diffusers => diffusers_name(canonical),
            Self::EarlyDiffusers => early_diffusers_name(canonical),
        }
    }
}

/// Parts outside of the blocks.
const OUTER: [(&str, &str); 7] = [
    ("x_embedder.", "patch_embedder.proj."),
    ("t_embedder.mlp.0.", "time_caption_embed.timestep_embedder.linear_1."),
    ("t_embedder.mlp.2.", "time_caption_embed.timestep_embedder.linear_2."),
    ("cap_embedder.", "time_caption_embed.caption_embedder."),
    ("final_layer.adaLN_modulation.1.", "norm_out.linear_1."),
    ("final_layer.linear.", "norm_out.linear_2."),
    ("pad_token", "pad_token"),
];

/// Parts of a block. `wq_y` and `q_norm_y` are not in the original, which has one query for both attentions.
const INNER: [(&str, &str); 18] = [
    ("attention.gate", "gate"),
    ("attention.wq.", "attn1.to_q."),
    ("attention.wk.", "attn1.to_k."),
    ("attention.wv.", "attn1.to_v."),
    ("attention.wq_y.", "attn2.to_q."),
    ("attention.wk_y.", "attn2.to_k."),
    ("attention.wv_y.", "attn2.to_v."),
    ("attention.wo.", "attn2.to_out.0."),
    ("attention.q_norm.", "attn1.norm_q."),
    ("attention.k_norm.", "attn1.norm_k."),
    ("attention.q_norm_y.", "attn2.norm_q."),
    ("attention.ky_norm.", "attn2.norm_k."),
    ("adaLN_modulation.1.", "norm1.linear."),
    ("attention_norm1.", "norm1.norm."),
    ("attention_norm2.", "norm2."),
    ("attention_y_norm.", "norm1_context."),
    ("feed_forward.w", "feed_forward.linear_"),
    ("ffn_norm", "ffn_norm"),
];

/// Where the early names differ from the current ones.
const EARLY: [(&str, &str); 6] = [
    ("x_embedder.", "patch_embedder."),
    ("final_layer.adaLN_modulation.1.", "final_layer.adaLN_modulation.1."),
    ("final_layer.linear.", "final_layer.linear."),
    ("adaLN_modulation.1.", "adaLN_modulation.1."),
    ("attention_norm1.", "attn_norm1."),
    ("attention_norm2.", "attn_norm2."),
];

fn diffusers_name(canonical: &str) -> String {
    let (layer, rest) = split_layer(canonical);
    let table: &[(&str, &str)] = if layer.is_empty() { &OUTER } else { &INNER };
    rename(rest, table).map_or_else(|| canonical.to_owned(), |rest| format!("{layer}{rest}"))
}

fn early_diffusers_name(canonical: &str) -> String {
    let (layer, rest) = split_layer(canonical);
    rename(rest, &EARLY).map_or_else(|| diffusers_name(canonical), |rest| format!("{layer}{rest}"))
}

fn rename(name: &str, table: &[(&str, &str)]) -> Option<String> {
    table.iter().find_map(|(from, to)| name.strip_prefix(from).map(|rest| format!("{to}{rest}")))
}

/// `layers.N.` and what follows; nothing and all of it outside of the blocks.
fn split_layer(name: &str) -> (&str, &str) {
    let end = name
        .strip_prefix("layers.")
        .and_then(|rest| rest.find('.').map(|dot| "layers.".len() + dot + 1))
        .unwrap_or(0);
    name.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conversion_script() {
        let name = |dialect: Dialect, canonical| dialect.stored_name(canonical);
        assert_eq!(name(Dialect::Diffusers, "layers.3.attention.wq.weight"), "layers.3.attn1.to_q.weight");
        assert_eq!(
            name(Dialect::Diffusers, "layers.3.feed_forward.w2.weight"),
            "layers.3.feed_forward.linear_2.weight"
        );
        assert_eq!(name(Dialect::Diffusers, "layers.11.ffn_norm2.weight"), "layers.11.ffn_norm2.weight");
        assert_eq!(name(Dialect::Diffusers, "final_layer.linear.bias"), "norm_out.linear_2.bias");
        assert_eq!(name(Dialect::EarlyDiffusers, "x_embedder.bias"), "patch_embedder.bias");
        assert_eq!(
            name(Dialect::EarlyDiffusers, "layers.0.attention_norm1.weight"),
            "layers.0.attn_norm1.weight"
        );
        assert_eq!(
            name(Dialect::EarlyDiffusers, "layers.0.attention.wk_y.weight"),
            "layers.0.attn2.to_k.weight"
        );
    }
}
