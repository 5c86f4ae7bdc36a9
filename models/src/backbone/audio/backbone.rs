//! The network of sound as one backbone among others.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::{AudioFlagDit, model_time};
use crate::Result;
use crate::backbone::any::{Backbone, Conditioning, Observe, Prepared, own, unwanted};
use crate::backbone::{BackboneConfig, ForwardOptions, Profile};

/// Times are those of the flow, which [`model_time`] converts. Of the options only the interrupt counts.
impl Backbone for AudioFlagDit {
    fn profile(&self) -> Profile {
        BackboneConfig::AudioFlagDit(self.config().clone()).profile()
    }

    fn device(&self) -> &Device {
        self.device()
    }

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn bind(&self, conditioning: &Conditioning) -> Result<Arc<dyn Prepared>> {
        match conditioning {
            Conditioning::Context(context) => Ok(Arc::new(self.prepare(context)?)),
            other => Err(unwanted(self, other)),
        }
    }

    fn forward_observed(
        &self,
        latent: &Tensor,
        time: &[f64],
        prepared: &dyn Prepared,
        options: &ForwardOptions,
        observe: &mut Observe<'_>,
    ) -> Result<Tensor> {
        let times: Vec<f64> = time.iter().map(|time| model_time(*time)).collect();
        self.velocity_observed(latent, &times, own(prepared)?, &options.interrupt, observe)
    }
}
