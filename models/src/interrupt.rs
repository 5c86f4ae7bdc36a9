//! A way to stop long work from outside.

use std::fmt;
use std::sync::Arc;

use crate::{ModelError, Result};

/// A question asked often during long work: should it stop?
///
/// It is asked per transformer block, per text encoder layer, per autoencoder block or tile and per loaded tensor.
#[derive(Clone)]
pub struct Interrupt(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Interrupt {
    /// Stops as soon as `asked` returns true.
    pub fn new(asked: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(asked)))
    }

    /// Never stops.
    pub fn never() -> Self {
        Self(None)
    }

    /// # Errors
    /// [`ModelError::Interrupted`] when the work should stop.
    pub fn check(&self) -> Result<()> {
        match &self.0 {
            Some(asked) if asked() => Err(ModelError::Interrupted),
            _ => Ok(()),
        }
    }
}

impl Default for Interrupt {
    fn default() -> Self {
        Self::never()
    }
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Interrupt(..)" } else { "Interrupt(never)" })
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
}
