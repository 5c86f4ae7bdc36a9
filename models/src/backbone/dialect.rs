//! The three ways in which the tensors of a Next-DiT are named.

use crate::weights::{Checkpoint, KeyMap};
use crate::{ModelError, Result};

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
    /// [`ModelError::Config`] when the checkpoint is another network, in words that say which one.
    pub fn detect(checkpoint: &Checkpoint) -> Result<Self> {
        let has = |name: &str| checkpoint.get(name).is_some();
        let refuse = |reason: &str| Err(ModelError::config(checkpoint.path(), reason));
        let dialect = if has("patch_embedder.proj.weight") {
            Self::Diffusers
        } else if has("patch_embedder.weight") {
            Self::EarlyDiffusers
        } else if has("x_embedder.weight") {
            Self::Original
        } else {
            return refuse("this is no Next-DiT: it has neither `x_embedder` nor `patch_embedder`");
        };
        if has("eol_token") {
            return refuse(
                "this is a Flag-DiT of Lumina-T2I (it has `eol_token`), only Next-DiT is supported",
            );
        }
        if has("y_embedder.embedding_table.weight") {
            return refuse(
                "this is a class-conditional DiT (it has `y_embedder`), only text-to-image is supported",
            );
        }
        let modulation = dialect.key_map().resolve("layers.0.adaLN_modulation.1.weight", checkpoint);
        let query = dialect.key_map().resolve("layers.0.attention.wq.weight", checkpoint);
        let rows = |key: Option<String>| key.and_then(|key| checkpoint.get(&key)?.shape.first().copied());
        // Found by its shape, as the names are nearly the same.
        if let Some((modulation, size)) = rows(modulation).zip(rows(query))
            && size.checked_mul(6) == Some(modulation)
        {
            return refuse(
                "this is the first upload of Lumina-Next-T2I (2.1B parameters, before 2024-05-31): another network, \
                 whose modulation has six parts and not four; use the current files",
            );
        }
        Ok(dialect)
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
