//! From the names that the code uses to the names that a file uses.

use std::fmt;
use std::sync::Arc;

use super::Checkpoint;

type Names = dyn Fn(&str) -> Vec<String> + Send + Sync;

/// Canonical name to the stored names it may have, the best first.
#[derive(Clone)]
pub struct KeyMap(Arc<Names>);

impl KeyMap {
    /// Files that use the canonical names.
    pub fn identity() -> Self {
        Self::new(|name| vec![name.to_owned()])
    }

    /// A map from a function that lists the possible stored names of a canonical one.
    pub fn new(names: impl Fn(&str) -> Vec<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(names))
    }

    /// Files whose names all begin with `prefix`.
    pub fn with_prefix(prefix: &'static str) -> Self {
        Self::new(move |name| vec![format!("{prefix}{name}")])
    }

    /// The stored names that `canonical` may have.
    pub fn names(&self, canonical: &str) -> Vec<String> {
        (self.0)(canonical)
    }

    /// The stored name of `canonical` in `checkpoint`, if it is there.
    pub fn resolve(&self, canonical: &str, checkpoint: &Checkpoint) -> Option<String> {
        self.names(canonical).into_iter().find(|name| checkpoint.get(name).is_some())
    }
}

impl fmt::Debug for KeyMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMap(..)")
    }
}
