//! Which dictionary of a torch file holds the weights.

use super::PthError;
use super::pickle::{Pickle, Value};

/// Names under which trainings keep weights, the best for use first: an average over the training before its last state.
const BRANCHES: [&str; 10] = [
    "ema",
    "model_ema",
    "params_ema",
    "state_dict",
    "model",
    "generator",
    "module",
    "params",
    "net",
    "weights",
];
/// Branches that a message lists.
const SHOWN: usize = 5;

type Entries<'p> = &'p [(Value, Value)];

/// The entries of the dictionary of weights, and what is to be said about the choice.
///
/// The file itself is that dictionary, unless one of its entries has a name of `BRANCHES` and holds tensors; or it is
/// the only one of its entries that holds tensors. A file without any tensor gives no entries.
pub(super) fn choose<'p>(pickle: &'p Pickle<'_>) -> Result<(Entries<'p>, Vec<String>), PthError> {
    let root = pickle.entries(pickle.root());
    let root = root.ok_or_else(|| PthError::Content("it holds no dictionary".to_owned()))?;
    let mut branches: Vec<(&str, Entries<'p>)> = root
        .iter()
        .filter_map(|(key, value)| Some((pickle.text(*key)?, pickle.entries(*value)?)))
        .filter(|(_, entries)| holds_tensors(pickle, entries))
        .collect();
    let rank = |name: &str| BRANCHES.iter().position(|known| *known == name).unwrap_or(BRANCHES.len());
    branches.sort_by_key(|(name, _)| rank(name));
    let Some(&(name, entries)) = branches.first() else { return Ok((root, Vec::new())) };
    let others = branches.iter().skip(1).map(|(name, _)| format!("`{}`", name.escape_debug()));
    let others: Vec<String> = others.take(SHOWN).collect();
    let is_known = rank(name) < BRANCHES.len();
    if !is_known && holds_tensors(pickle, root) {
        return Ok((root, Vec::new()));
    }
    if !is_known && !others.is_empty() {
        return Err(PthError::Content(format!(
            "it holds several dictionaries of tensors, `{}`, {}, and none of their names says which has the weights",
            name.escape_debug(),
            others.join(", ")
        )));
    }
    let unread =
        if others.is_empty() { String::new() } else { format!(", not those of {}", others.join(", ")) };
    Ok((entries, vec![format!("the tensors are those of `{}`{unread}", name.escape_debug())]))
}

fn holds_tensors(pickle: &Pickle<'_>, entries: Entries<'_>) -> bool {
    entries.iter().any(|(_, value)| pickle.tensor(*value).is_some())
}
