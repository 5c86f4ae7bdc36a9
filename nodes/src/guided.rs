//! A backbone bound to its conditioning, with classifier-free guidance.

use std::sync::Arc;

use candle_core::Tensor;
use lumina_models::backbone::{
    Backbone, Conditioning, ForwardOptions, Prepared, Profile, RopeFactors, RopeScaling,
};
use lumina_models::flow::Guidance;
use lumina_models::text::TextFeatures;
use lumina_models::{Interrupt, ModelError, Result};

use crate::value::{Space, VelocityField};

/// What of prompts does not change from step to step: the prompts, then what to move away from where guidance acts.
pub(crate) fn prepare(
    network: &dyn Backbone,
    positive: &TextFeatures,
    negative: &TextFeatures,
    times: usize,
    guidance: Guidance,
) -> Result<Arc<dyn Prepared>> {
    let positive = positive.repeat(times)?;
    let caption = if guidance.is_active() {
        TextFeatures::concat(&[&positive, &negative.repeat(times)?])?
    } else {
        positive
    };
    network.bind(&Conditioning::Caption(caption))
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

    /// The square root of the ratio of areas, or 1; also where nothing is known of the training.
    fn factor(self, area: usize, training_side: Option<usize>) -> f64 {
        let Some(side) = training_side else { return 1.0 };
        let factor = (area as f64).sqrt() / side as f64;
        match self {
            Stretch::Never => 1.0,
            Stretch::AboveTraining if factor <= 1.0 => 1.0,
            Stretch::AboveTraining | Stretch::Always => factor,
        }
    }

    /// How positions change for a latent of `area` cells.
    ///
    /// Where they run along the sequence, the base is multiplied by the ratio of areas at every time, as
    /// `lumina_t2i/demo.py` of Lumina-T2X has it.
    fn factors(self, profile: &Profile, area: usize, watershed: f64, time: f64) -> RopeFactors {
        let scale_factor = self.factor(area, profile.sample_size);
        if profile.in_line {
            return RopeFactors { linear: 1.0, ntk: scale_factor.powi(2) };
        }
        RopeScaling { scale_factor, watershed }.factors_at(time)
    }
}

/// A backbone with everything but latent and time fixed.
#[derive(Clone)]
pub(crate) struct Guided {
    pub(crate) network: Arc<dyn Backbone>,
    pub(crate) space: Space,
    pub(crate) images: usize,
    pub(crate) caption: Arc<dyn Prepared>,
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
            return self.network.velocity(latent, &[time], &*self.caption, options);
        }
        let both = Tensor::cat(&[latent, latent], 0)?;
        let velocity = self.network.velocity(&both, &[time], &*self.caption, options)?;
        let conditional = velocity.narrow(0, 0, self.images)?;
        self.guidance.combine(&conditional, &velocity.narrow(0, self.images, self.images)?)
    }

    fn one_by_one(&self, latent: &Tensor, time: f64, options: &ForwardOptions) -> Result<Tensor> {
        let mut velocities = Vec::with_capacity(self.images);
        for picture in 0..self.images {
            let one = latent.narrow(0, picture, 1)?;
            let half =
                |row: usize| self.network.velocity(&one, &[time], &*self.caption.rows(row, 1)?, options);
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
        let profile = self.network.profile();
        let options = ForwardOptions {
            rope: self.stretch.factors(&profile, height * width, self.watershed, time).into(),
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
    use std::any::Any;
    use std::path::Path;

    use lumina_models::backbone::{BackboneConfig, FlagDitConfig, NextDitConfig, Observe};
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

    /// A network of a plugin: its velocity is the mean of its caption, whatever the latent.
    struct Mean;

    struct Means(Vec<f32>);

    impl Prepared for Means {
        fn batch(&self) -> usize {
            self.0.len()
        }

        fn rows(&self, start: usize, count: usize) -> Result<Arc<dyn Prepared>> {
            Ok(Arc::new(Self(self.0[start..start + count].to_vec())))
        }

        fn byte_size(&self) -> u64 {
            0
        }
    }

    impl Backbone for Mean {
        fn profile(&self) -> Profile {
            let config = NextDitConfig { in_channels: 4, cross_attention_dim: 2, ..NextDitConfig::default() };
            Profile { name: "a mean", ..BackboneConfig::NextDit(config).profile() }
        }

        fn device(&self) -> &Device {
            &Device::Cpu
        }

        fn dtype(&self) -> DType {
            DType::F32
        }

        fn bind(&self, conditioning: &Conditioning) -> Result<Arc<dyn Prepared>> {
            let Conditioning::Caption(caption) = conditioning else { panic!("{}", conditioning.name()) };
            Ok(Arc::new(Means(caption.features.mean((1, 2))?.to_vec1()?)))
        }

        fn forward_observed(
            &self,
            latent: &Tensor,
            _: &[f64],
            prepared: &dyn Prepared,
            _: &ForwardOptions,
            _: &mut Observe<'_>,
        ) -> Result<Tensor> {
            let means = (prepared as &dyn Any).downcast_ref::<Means>().unwrap();
            let means = Tensor::new(means.0.as_slice(), &Device::Cpu)?.reshape(((), 1, 1, 1))?;
            Ok(latent.zeros_like()?.broadcast_add(&means)?)
        }
    }

    #[test]
    fn a_network_of_a_plugin_is_guided_like_any_other() {
        let caption = |value: f32| {
            let features = Tensor::full(value, (1, 3, 2), &Device::Cpu).unwrap();
            TextFeatures::new(features, &Tensor::ones((1, 3), DType::U32, &Device::Cpu).unwrap()).unwrap()
        };
        let guidance = Guidance { scale: 3.0, channels: GuidedChannels::All };
        let field = Guided {
            caption: prepare(&Mean, &caption(5.0), &caption(1.0), 1, guidance).unwrap(),
            network: Arc::new(Mean),
            space: Space::plain(4, 2),
            images: 1,
            guidance,
            base_sequence_length: None,
            stretch: Stretch::Never,
            watershed: 1.0,
            one_at_a_time: false,
        };
        let latent = Tensor::zeros((1, 4, 2, 2), DType::F32, &Device::Cpu).unwrap();
        let field: Arc<dyn VelocityField> = Arc::new(field);
        for field in [&field, &field.sequential().unwrap()] {
            let velocity = field.velocity(&latent, 0.5, &Interrupt::never()).unwrap();
            assert_eq!(velocity.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [13.0; 16]);
        }
    }

    #[test]
    fn positions_in_a_line_get_a_larger_base_as_in_the_demo_of_flag_dit() {
        let config = FlagDitConfig::default();
        let profile = BackboneConfig::FlagDit(config.clone()).profile();
        let factors = |stretch: Stretch, time| stretch.factors(&profile, 208 * 208, 0.3, time);
        for time in [0.1, 0.9] {
            let expected = RopeFactors { linear: 1.0, ntk: config.ntk_factor(208, 208) };
            assert_eq!(factors(Stretch::Always, time), expected);
            assert_eq!(factors(Stretch::Never, time), RopeFactors::default());
        }
        let unknown = Profile { sample_size: None, ..profile.clone() };
        assert_eq!(Stretch::Always.factors(&unknown, 208 * 208, 0.3, 0.1), RopeFactors::default());
    }
}
