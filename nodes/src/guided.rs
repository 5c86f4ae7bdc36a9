//! A backbone bound to its conditioning, with classifier-free guidance.

use std::sync::Arc;

use candle_core::Tensor;
use lumina_models::backbone::{ForwardOptions, NextDit, PreparedCaption, RopeScaling};
use lumina_models::flow::Guidance;
use lumina_models::text::TextFeatures;
use lumina_models::{Interrupt, ModelError, Result};

use crate::value::{Space, VelocityField};

/// What of prompts does not change from step to step: the prompts, then what to move away from where guidance acts.
pub(crate) fn prepare(
    network: &NextDit,
    positive: &TextFeatures,
    negative: &TextFeatures,
    times: usize,
    guidance: Guidance,
) -> Result<PreparedCaption> {
    let positive = positive.repeat(times)?;
    if !guidance.is_active() {
        return network.prepare(&positive);
    }
    network.prepare(&TextFeatures::concat(&[&positive, &negative.repeat(times)?])?)
}

/// When positions are stretched.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Stretch {
    Always,
    AboveTraining,
    Never,
}

impl Stretch {
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "lumina" => Stretch::AboveTraining,
            "none" => Stretch::Never,
            _ => Stretch::Always,
        }
    }

    /// The watershed that the implementation named has by default (Lumina-T2X `sample.py`, diffusers `LuminaPipeline`).
    pub(crate) fn watershed(self) -> f64 {
        match self {
            Stretch::AboveTraining => 0.3,
            Stretch::Always | Stretch::Never => 1.0,
        }
    }

    /// The square root of the ratio of areas, or 1.
    fn factor(self, area: usize, training_side: usize) -> f64 {
        let factor = (area as f64).sqrt() / training_side as f64;
        match self {
            Stretch::Never => 1.0,
            Stretch::AboveTraining if factor <= 1.0 => 1.0,
            Stretch::AboveTraining | Stretch::Always => factor,
        }
    }
}

/// A backbone with everything but latent and time fixed.
#[derive(Clone)]
pub(crate) struct Guided {
    pub(crate) network: Arc<NextDit>,
    pub(crate) space: Space,
    pub(crate) images: usize,
    pub(crate) caption: PreparedCaption,
    pub(crate) guidance: Guidance,
    pub(crate) base_sequence_length: Option<usize>,
    pub(crate) stretch: Stretch,
    pub(crate) watershed: f64,
    /// Pictures and halves of guidance one after the other, not as one batch.
    pub(crate) one_at_a_time: bool,
}

impl Guided {
    fn at_once(&self, latent: &Tensor, time: f64, options: &ForwardOptions) -> Result<Tensor> {
        if !self.guidance.is_active() {
            return self.network.velocity(latent, &[time], &self.caption, options);
        }
        let both = Tensor::cat(&[latent, latent], 0)?;
        let velocity = self.network.velocity(&both, &[time], &self.caption, options)?;
        let conditional = velocity.narrow(0, 0, self.images)?;
        self.guidance.combine(&conditional, &velocity.narrow(0, self.images, self.images)?)
    }

    fn one_by_one(&self, latent: &Tensor, time: f64, options: &ForwardOptions) -> Result<Tensor> {
        let mut velocities = Vec::with_capacity(self.images);
        for picture in 0..self.images {
            let one = latent.narrow(0, picture, 1)?;
            let half =
                |row: usize| self.network.velocity(&one, &[time], &self.caption.rows(row, 1)?, options);
            let conditional = half(picture)?;
            velocities.push(if self.guidance.is_active() {
                self.guidance.combine(&conditional, &half(self.images + picture)?)?
            } else {
                conditional
            });
        }
        Ok(Tensor::cat(&velocities, 0)?)
    }
}

impl VelocityField for Guided {
    fn velocity(&self, latent: &Tensor, time: f64, interrupt: &Interrupt) -> Result<Tensor> {
        let (batch, _, height, width) = latent.dims4()?;
        if batch != self.images {
            let expected = format!("{} latents, one for each prompt and picture", self.images);
            return Err(ModelError::input("the batch", expected, batch.to_string()));
        }
        let scale_factor = self.stretch.factor(height * width, self.network.config().sample_size);
        let options = ForwardOptions {
            rope: RopeScaling { scale_factor, watershed: self.watershed }.factors_at(time).into(),
            base_sequence_length: self.base_sequence_length,
            interrupt: interrupt.clone(),
        };
        if self.one_at_a_time {
            self.one_by_one(latent, time, &options)
        } else {
            self.at_once(latent, time, &options)
        }
    }

    fn sequential(&self) -> Option<Arc<dyn VelocityField>> {
        Some(Arc::new(Self { one_at_a_time: true, ..self.clone() }))
    }

    fn space(&self) -> &Space {
        &self.space
    }

    fn byte_size(&self) -> u64 {
        self.caption.byte_size()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lumina_models::flow::GuidedChannels;
    use lumina_models::noise::Generator;
    use lumina_models::{DType, Device, PipelineFolder};

    use super::*;

    /// The small model guided for two prompts of which one has padding.
    fn guided(scale: f64) -> Guided {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../weights/lumina-next-tiny");
        let folder = PipelineFolder::open(&path).unwrap();
        let never = Interrupt::never();
        let network = folder.load_backbone(&Device::Cpu, DType::F32, &never).unwrap();
        let features = |seed| {
            let width = folder.backbone.cross_attention_dim;
            let features = Generator::Philox.normal(seed, &[2, 8, width], &Device::Cpu).unwrap();
            let mask = Tensor::new(&[[1_u32; 8], [1, 1, 1, 1, 1, 0, 0, 0]], &Device::Cpu).unwrap();
            TextFeatures::new(features, &mask).unwrap()
        };
        let guidance = Guidance { scale, channels: GuidedChannels::All };
        Guided {
            caption: prepare(&network, &features(1), &features(2), 1, guidance).unwrap(),
            network: Arc::new(network),
            space: Space::new(&folder.backbone, &folder.autoencoder),
            images: 2,
            guidance,
            base_sequence_length: Some(16),
            stretch: Stretch::Always,
            watershed: 1.0,
            one_at_a_time: false,
        }
    }

    #[test]
    fn one_after_the_other_gives_the_numbers_of_all_at_once() {
        let never = Interrupt::never();
        let latent = Generator::Philox.normal(3, &[2, 16, 8, 6], &Device::Cpu).unwrap();
        for scale in [1.0, 3.0] {
            let field = guided(scale);
            let at_once = field.velocity(&latent, 0.25, &never).unwrap();
            let sequential = field.sequential().unwrap().velocity(&latent, 0.25, &never).unwrap();
            let largest =
                |tensor: Tensor| tensor.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            // Sums over another number of rows are rounded in another order.
            let apart = largest((&at_once - &sequential).unwrap()) / largest(at_once.clone());
            assert!(apart < 1e-5, "{apart} at scale {scale}");
            // The two prompts are not the same one.
            let rows = (at_once.narrow(0, 0, 1).unwrap() - at_once.narrow(0, 1, 1).unwrap()).unwrap();
            assert!(largest(rows) > 0.1);
        }
    }
}
