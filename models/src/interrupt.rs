//! A way to stop long work from outside, and to hear from it.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{ModelError, Result};

/// A question asked often during long work: should it stop?
///
/// It is asked per transformer block, per text encoder layer, per autoencoder block or tile and per loaded tensor. The
/// other way round, work that goes on in spite of something odd leaves a warning here.
#[derive(Clone, Default)]
pub struct Interrupt {
    asked: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
    /// Shared by all clones.
    warnings: Arc<Mutex<Vec<ModelError>>>,
}

impl Interrupt {
    /// Stops as soon as `asked` returns true.
    pub fn new(asked: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { asked: Some(Arc::new(asked)), warnings: Arc::default() }
    }

    /// Never stops.
    pub fn never() -> Self {
        Self::default()
    }

    /// # Errors
    /// [`ModelError::Interrupted`] when the work should stop.
    pub fn check(&self) -> Result<()> {
        match &self.asked {
            Some(asked) if asked() => Err(ModelError::Interrupted),
            _ => Ok(()),
        }
    }

    /// What was odd so far, one entry for each file; asked again, what has been odd since.
    ///
    /// Loading leaves a [`ModelError::NotFinite`] for files with tensors that hold infinities or what is not a number.
    pub fn take_warnings(&self) -> Vec<ModelError> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes that `key` of the file `path` has numbers that are not finite.
    pub(crate) fn not_finite(&self, path: &Path, key: &str) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        for warning in warnings.iter_mut() {
            if let ModelError::NotFinite { path: known, keys } = warning
                && known == path
            {
                if !keys.iter().any(|known| known == key) {
                    keys.push(key.to_owned());
                }
                return;
            }
        }
        warnings.push(ModelError::NotFinite { path: path.to_owned(), keys: vec![key.to_owned()] });
    }
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.asked.is_some() { "Interrupt(..)" } else { "Interrupt(never)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stops_only_when_asked() {
        assert!(Interrupt::never().check().is_ok());
        assert!(matches!(Interrupt::new(|| true).check(), Err(ModelError::Interrupted)));
    }

    #[test]
    fn warnings_are_gathered_by_file_and_taken_once() {
        let interrupt = Interrupt::never();
        let other = interrupt.clone();
        for (path, key) in [("f", "a"), ("g", "b"), ("f", "c"), ("f", "a")] {
            other.not_finite(Path::new(path), key);
        }
        let texts: Vec<String> = interrupt.take_warnings().iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "`f` has numbers that are infinite or no numbers in 2 tensors: `a`, `c`",
                "`g` has numbers that are infinite or no numbers in 1 tensor: `b`"
            ]
        );
        assert!(other.take_warnings().is_empty());
    }
}
