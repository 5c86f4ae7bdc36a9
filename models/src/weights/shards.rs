//! Weights that a training split among ranks, joined again.
//!
//! Lumina-T2X trains with the layers of fairscale, each of which keeps a part of its weights on every rank, and saves one
//! file for each rank: `consolidated.00-of-02.pth`, `consolidated.01-of-02.pth`. Which dimension is split follows from
//! the name of the tensor.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Checkpoint;
use super::stored::{Storage, StoredTensor};
use crate::{ModelError, Result};

/// The name of the file of one rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RankName {
    /// `consolidated` or `consolidated_ema`.
    pub(super) stem: String,
    pub(super) rank: usize,
    /// How many ranks there are.
    pub(super) world: usize,
    extension: String,
}

impl RankName {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (stem, rest) = name.split_once('.')?;
        let (place, extension) = rest.split_once('.')?;
        let (rank, world) = place.split_once("-of-")?;
        let number = |digits: &str| {
            let is_number = digits.len() >= 2 && digits.bytes().all(|digit| digit.is_ascii_digit());
            if is_number { digits.parse::<usize>().ok() } else { None }
        };
        let (rank, world) = (number(rank)?, number(world)?);
        let is_weights = stem == "consolidated" || stem == "consolidated_ema";
        let extension = extension.to_owned();
        (is_weights && rank < world).then_some(Self { stem: stem.to_owned(), rank, world, extension })
    }

    /// The file of another rank of the same training.
    pub(super) fn of_rank(&self, rank: usize) -> String {
        format!("{}.{rank:02}-of-{:02}.{}", self.stem, self.world, self.extension)
    }
}

/// How fairscale splits a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Split {
    /// Parts along a dimension, in the order of the ranks.
    Along(usize),
    /// Every rank has the whole of it.
    Nothing,
}

impl Split {
    /// The rule for `name`, as the constructors in Lumina-T2X `models/model.py` choose the layers.
    fn of(name: &str) -> Option<Self> {
        let (owner, field) = name.rsplit_once('.').unwrap_or(("", name));
        let ends = |modules: &[&str]| {
            modules.iter().any(|module| {
                owner.strip_suffix(module).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
        };
        const BY_ROWS: [&str; 12] = [
            "wq",
            "wk",
            "wv",
            "wk_y",
            "wv_y",
            "w1",
            "w3",
            "x_embedder",
            "t_embedder.mlp.0",
            "cap_embedder.1",
            "adaLN_modulation.1",
            "final_layer.linear",
        ];
        Some(match field {
            "weight" | "bias" if ends(&BY_ROWS) => Self::Along(0),
            // Over the heads of one rank: their statistics are split as well.
            "weight" | "bias" if ends(&["q_norm", "k_norm", "ky_norm"]) => Self::Along(0),
            "gate" if ends(&["attention"]) => Self::Along(0),
            "weight" if ends(&["wo", "w2", "t_embedder.mlp.2", "y_embedder.embedding_table"]) => {
                Self::Along(1)
            }
            "bias" if ends(&["wo", "w2", "t_embedder.mlp.2"]) => Self::Nothing,
            "weight" | "bias" if ends(&["cap_embedder.0"]) => Self::Nothing,
            "eol_token" | "eof_token" | "pad_token" if owner.is_empty() => Self::Nothing,
            "weight" if is_norm(owner) => Self::Nothing,
            _ => return None,
        })
    }
}

/// A norm over the whole width, which every rank has.
fn is_norm(owner: &str) -> bool {
    let module = owner.rsplit('.').next().unwrap_or(owner);
    let known = ["attention_norm", "attention_y_norm", "ffn_norm"];
    known.iter().any(|name| {
        module.strip_prefix(name).is_some_and(|end| matches!(end, "" | "1" | "2" | "_time" | "_space"))
    })
}

/// Opens the file of every rank that belongs to `dir/name` and joins them.
///
/// Tensors that every rank has whole are taken from the first rank; whether the others agree is not looked at.
///
/// # Errors
/// [`ModelError::FileNotFound`] for a missing rank; [`ModelError::MissingKeys`], [`ModelError::Shape`] or
/// [`ModelError::Config`] when the ranks do not fit each other, or when it is not known how a tensor is split.
pub(super) fn open(dir: &Path, name: &RankName) -> Result<Checkpoint> {
    let paths = (0..name.world).map(|rank| {
        let path = dir.join(name.of_rank(rank));
        if path.is_file() {
            Ok(path)
        } else {
            Err(ModelError::FileNotFound { searched: vec![path.clone()], path })
        }
    });
    let paths = paths.collect::<Result<Vec<PathBuf>>>()?;
    let ranks = paths.iter().enumerate().map(|(file, path)| Ok(super::open::tensors(path, file)?.0));
    let ranks = ranks.collect::<Result<Vec<BTreeMap<String, StoredTensor>>>>()?;
    let tensors = join(&paths, ranks)?;
    Ok(Checkpoint::of_ranks(dir.join(name.of_rank(0)), paths, tensors))
}

fn join(
    paths: &[PathBuf],
    ranks: Vec<BTreeMap<String, StoredTensor>>,
) -> Result<BTreeMap<String, StoredTensor>> {
    let mut ranks = ranks.into_iter();
    let mut first = ranks.next().unwrap_or_default();
    let mut others: Vec<_> = ranks.zip(paths.iter().skip(1)).collect();
    let mut joined = BTreeMap::new();
    while let Some((name, tensor)) = first.pop_first() {
        let mut parts = vec![tensor];
        for (rank, path) in &mut others {
            let part = rank.remove(&name);
            let missing = || ModelError::MissingKeys { path: path.clone(), keys: vec![name.clone()] };
            parts.push(part.ok_or_else(missing)?);
        }
        joined.insert(name.clone(), join_parts(paths, &name, parts)?);
    }
    match others.iter().find_map(|(rank, _)| rank.keys().next()) {
        None => Ok(joined),
        Some(name) => Err(ModelError::MissingKeys {
            path: paths.first().cloned().unwrap_or_default(),
            keys: vec![name.clone()],
        }),
    }
}

fn join_parts(paths: &[PathBuf], name: &str, mut parts: Vec<StoredTensor>) -> Result<StoredTensor> {
    let path = || paths.first().cloned().unwrap_or_default();
    let split = Split::of(name);
    let split = split.ok_or_else(|| {
        ModelError::config(path(), format!("it is not known how `{name}` is split among ranks"))
    })?;
    let Some(first) = parts.first().cloned() else {
        return Err(ModelError::MissingKeys { path: path(), keys: vec![name.to_owned()] });
    };
    let mut shape = first.shape.clone();
    for (part, file) in parts.iter().zip(paths).skip(1) {
        let fits = part.shape == first.shape && part.format == first.format;
        if !fits && part.shape == first.shape {
            let reason = format!("`{name}` is {}, and {} in the first rank", part.format, first.format);
            return Err(ModelError::config(file, reason));
        }
        if !fits {
            return Err(ModelError::Shape {
                path: file.clone(),
                key: name.to_owned(),
                expected: first.shape,
                found: part.shape.clone(),
            });
        }
    }
    let Split::Along(dimension) = split else { return Ok(parts.swap_remove(0)) };
    let size = shape.get_mut(dimension);
    let size = size.ok_or_else(|| {
        ModelError::config(path(), format!("`{name}` has no dimension {dimension} to be split along"))
    })?;
    let too_large = || ModelError::config(path(), format!("`{name}` is too large"));
    *size = size.checked_mul(parts.len()).ok_or_else(too_large)?;
    shape.iter().try_fold(1_usize, |all, &size| all.checked_mul(size)).ok_or_else(too_large)?;
    Ok(StoredTensor { format: first.format, shape, storage: Storage::Joined { dimension, parts } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_told_by_their_names() {
        let name = RankName::parse("consolidated_ema.01-of-02.pth").unwrap();
        assert_eq!(
            (name.rank, name.world, name.of_rank(0).as_str()),
            (1, 2, "consolidated_ema.00-of-02.pth")
        );
        for name in [
            "consolidated.pth",
            "consolidated.02-of-02.pth",
            "consolidated.+1-of-02.pth",
            "consolidated.0-of-2.pth",
            "consolidated.00-of-99999999999999999999.pth",
            "optimizer.00000-of-00002.pth",
            "model-00001-of-00002.safetensors",
        ] {
            assert_eq!(RankName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn the_rule_follows_the_layer() {
        for (name, rule) in [
            ("layers.0.attention.wq.weight", Some(Split::Along(0))),
            ("layers.0.attention.wo.weight", Some(Split::Along(1))),
            ("layers.0.attention.gate", Some(Split::Along(0))),
            ("layers.0.attention.ky_norm.bias", Some(Split::Along(0))),
            ("layers.0.feed_forward.experts.3.w2.weight", Some(Split::Along(1))),
            ("layers.0.attention_norm1.weight", Some(Split::Nothing)),
            ("layers.0.ffn_norm_time.weight", Some(Split::Nothing)),
            ("t_embedder.mlp.2.bias", Some(Split::Nothing)),
            ("cap_embedder.0.weight", Some(Split::Nothing)),
            ("cap_embedder.1.bias", Some(Split::Along(0))),
            ("final_layer.adaLN_modulation.1.weight", Some(Split::Along(0))),
            ("eol_token", Some(Split::Nothing)),
            ("layers.0.feed_forward.gate.weight", None),
            ("layers.0.attention.new_q_norm.weight", None),
            ("decoder.conv_in.weight", None),
        ] {
            assert_eq!(Split::of(name), rule, "{name}");
        }
    }
}
