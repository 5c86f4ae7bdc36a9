//! What stands in front of the names of a network inside a larger file.

use crate::weights::{Checkpoint, KeyMap};

/// The shortest `prefix` for which `prefix` + `anchor` is stored; it is empty or ends with a dot.
pub(super) fn prefix_of(checkpoint: &Checkpoint, anchor: &str) -> Option<String> {
    let prefixes = checkpoint.tensors().keys().filter_map(|key| key.strip_suffix(anchor));
    prefixes
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        .min_by_key(|prefix| prefix.len())
        .map(str::to_owned)
}

/// Names behind the prefix that [`prefix_of`] finds, as they are where it finds none.
pub(super) fn prefixed(checkpoint: &Checkpoint, anchor: &str) -> KeyMap {
    match prefix_of(checkpoint, anchor) {
        Some(prefix) => KeyMap::new(move |name| vec![format!("{prefix}{name}")]),
        None => KeyMap::identity(),
    }
}
