//! The networks that make pictures of a class: Flag-DiT and Next-DiT for ImageNet, and Next-DiT with mixtures of
//! experts.
//!
//! Source: `DiT_Llama` of Lumina-T2X `Flag-DiT-ImageNet/models/model.py`, `Next-DiT-ImageNet/models/models.py`, and
//! `Next-DiT-MoE/models/models.py`, `models1.py` and `models2.py`.

use candle_core::{DType, Device, Tensor};

use super::ForwardOptions;
use super::block::{BlockShape, BlockStyle, Feed};
use super::class_config::{ClassDitConfig, ClassDitKind};
use super::mixture::RoutedBy;
use super::sequence::Layout;
use super::trunk::{Condition, Stage, Trunk, TrunkNames};
use crate::weights::{Checkpoint, Expected, KeyMap, Weights};
use crate::{Interrupt, ModelError, Result};

/// A network that reads a class label.
///
/// A pure function of latent, time and label: time 0 is noise, time 1 is data.
#[derive(Clone, Debug)]
pub struct ClassDit {
    /// `[num_classes + 1, conditioning_size]`; the last row is for no class.
    labels: Tensor,
    trunk: Trunk,
    config: ClassDitConfig,
}

impl ClassDit {
    /// Loads a checkpoint.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(
        checkpoint: &Checkpoint,
        config: &ClassDitConfig,
        dtype: DType,
        device: &Device,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let weights = Weights::open(checkpoint, KeyMap::identity(), dtype, device, interrupt)?;
        Self::from_weights(&weights, config)
    }

    /// Loads from weights under their canonical names.
    ///
    /// # Errors
    /// As [`Weights::tensor`]; [`ModelError::Input`] for sizes that no network has.
    pub fn from_weights(weights: &Weights, config: &ClassDitConfig) -> Result<Self> {
        config.check().map_err(|reason| ModelError::input("the config", "one of a class DiT", reason))?;
        let experts = config.num_experts;
        let feeds = match config.kind {
            ClassDitKind::Flag | ClassDitKind::Next => vec![Feed::Dense],
            ClassDitKind::TimeMixture => vec![Feed::Mixture(RoutedBy::Time, experts)],
            ClassDitKind::SpaceMixture => vec![Feed::Mixture(RoutedBy::Token, experts)],
            ClassDitKind::BothMixtures => vec![
                Feed::NamedMixture(RoutedBy::Time, experts),
                Feed::NamedMixture(RoutedBy::Token, experts),
            ],
        };
        let style = if config.kind == ClassDitKind::Flag { BlockStyle::Flag } else { BlockStyle::NextPlain };
        let shape = BlockShape { sizes: config.sizes.clone(), caption: None, style, feeds };
        let table = [config.num_classes + 1, config.sizes.conditioning_size()];
        Ok(Self {
            labels: weights.under("y_embedder").under("embedding_table").tensor("weight", &table)?,
            trunk: Trunk::load(weights, &TrunkNames::PICTURES, &shape, true)?,
            config: config.clone(),
        })
    }

    /// The tensors that a checkpoint must have.
    ///
    /// # Errors
    /// As [`from_weights`](Self::from_weights).
    pub fn expected(config: &ClassDitConfig) -> Result<Expected> {
        let plan = Weights::plan();
        Self::from_weights(&plan, config)?;
        Ok(plan.planned())
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &ClassDitConfig {
        &self.config
    }

    /// The device that its weights are on.
    pub fn device(&self) -> &Device {
        self.trunk.device()
    }

    /// The number format of its weights.
    pub fn dtype(&self) -> DType {
        self.trunk.dtype()
    }

    /// The raw output of the network.
    ///
    /// # Shapes
    /// `latent` is `[batch, in_channels, height, width]`, `time` has one entry or one for each latent, `labels` one for
    /// each latent; the result is `[batch, out_channels, height, width]` in the number format of the latent.
    ///
    /// # Errors
    /// [`ModelError::Input`] when latent, time and labels do not fit the network or each other, for labels above
    /// [`ClassDitConfig::no_class`], and for other sizes than that of the training where the network is a Flag-DiT;
    /// [`ModelError::Interrupted`].
    pub fn forward(
        &self,
        latent: &Tensor,
        time: &[f64],
        labels: &[u32],
        options: &ForwardOptions,
    ) -> Result<Tensor> {
        self.forward_observed(latent, time, labels, options, &mut |_, _| Ok(()))
    }

    /// The velocity from noise to data: the first `in_channels` channels of [`forward`](Self::forward).
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn velocity(
        &self,
        latent: &Tensor,
        time: &[f64],
        labels: &[u32],
        options: &ForwardOptions,
    ) -> Result<Tensor> {
        self.trunk.velocity(&self.forward(latent, time, labels, options)?)
    }

    /// As [`forward`](Self::forward), and shows the state at every [`Stage`].
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and those of `observe`.
    pub fn forward_observed(
        &self,
        latent: &Tensor,
        time: &[f64],
        labels: &[u32],
        options: &ForwardOptions,
        observe: &mut dyn FnMut(Stage, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let batch = latent.dims().first().copied().unwrap_or(0);
        if labels.len() != batch {
            let found = labels.len().to_string();
            return Err(ModelError::input("the number of labels", format!("{batch}, one a latent"), found));
        }
        let last = self.config.no_class();
        if let Some(label) = labels.iter().find(|label| **label > last) {
            let expected = format!("a class from 0 to {}, or {last} for none", last.saturating_sub(1));
            return Err(ModelError::input("a label", expected, label.to_string()));
        }
        let layout = match self.config.kind {
            ClassDitKind::Flag => Layout::Line { row_end: None, frame_end: None },
            _ => Layout::Grid,
        };
        let side = self.config.sample_size;
        // Along the sequence, the position of a token says where it stands at one width only.
        if matches!(layout, Layout::Line { .. }) && latent.dims().get(2..) != Some(&[side, side]) {
            let expected = format!("[batch, {}, {side}, {side}]", self.config.sizes.in_channels);
            return Err(ModelError::input("the latent", expected, format!("{:?}", latent.dims())));
        }
        let labels = Tensor::new(labels, self.device())?;
        let pooled = self.labels.index_select(&labels, 0)?;
        let condition = Condition { pooled: &pooled, caption: None };
        self.trunk.forward(latent, time, &condition, layout, options, observe)
    }
}
