//! The heart: where a latent moves at a time. Backbones, guidance and patches all look like this to a sampler.

use std::sync::Arc;

use candle_core::Tensor;
use lumina_engine::Domain;
use lumina_models::{Interrupt, Result};

use super::Space;

/// A velocity field: a pure function of latent and time.
pub trait VelocityField: Send + Sync {
    /// The velocity of a latent at a time from 0 (noise) to 1 (data).
    ///
    /// # Shapes
    /// `[batch, channels, height, width]` to the same.
    ///
    /// # Errors
    /// When the latent does not fit, and when interrupted.
    fn velocity(&self, latent: &Tensor, time: f64, interrupt: &Interrupt) -> Result<Tensor>;

    /// The same field, evaluated in parts one after the other rather than at once: slower, with less memory, and with
    /// the same numbers but for rounding. `None` where there are no parts.
    fn sequential(&self) -> Option<Arc<dyn VelocityField>> {
        None
    }

    /// The latents it moves.
    fn space(&self) -> &Space;

    /// Bytes it holds beside the networks, which are counted where they were loaded.
    fn byte_size(&self) -> u64;
}

/// A shared velocity field.
#[derive(Clone)]
pub struct VelocityValue(pub Arc<dyn VelocityField>);

impl Domain for VelocityValue {
    const NAME: &'static str = "Velocity";

    fn byte_size(&self) -> u64 {
        self.0.byte_size()
    }
}
