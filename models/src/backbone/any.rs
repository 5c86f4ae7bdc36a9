//! What all backbones have in common, so that one can stand for another.

use std::any::Any;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::{ForwardOptions, PreparedCaption, Profile, Stage};
use crate::text::TextFeatures;
use crate::{ModelError, Result};

/// What is shown the state of a network at every [`Stage`].
pub type Observe<'a> = dyn FnMut(Stage, &Tensor) -> Result<()> + 'a;

/// What a backbone is told to make.
#[derive(Clone, Debug)]
pub enum Conditioning {
    /// Text features with a mask, one row for each latent.
    Caption(TextFeatures),
    /// Features of which every token counts, `[batch, tokens, width]`.
    Context(Tensor),
    /// Class labels, one for each latent.
    Classes(Vec<u32>),
}

impl Conditioning {
    /// In words.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Caption(_) => "a caption",
            Self::Context(_) => "a context",
            Self::Classes(_) => "classes",
        }
    }
}

/// What one network made of a [`Conditioning`]: the part of an evaluation that depends on neither latent nor time.
pub trait Prepared: Any + Send + Sync {
    /// Number of latents that it is for.
    fn batch(&self) -> usize;

    /// What the latents `start..start + count` need, alone.
    ///
    /// # Errors
    /// When there are not so many.
    fn rows(&self, start: usize, count: usize) -> Result<Arc<dyn Prepared>>;

    /// Bytes that it holds.
    fn byte_size(&self) -> u64;
}

/// A network from latent, time and conditioning to velocity: a pure function.
///
/// Time 0 is noise, time 1 is data, for every network; those that count time otherwise convert it. A backbone of a
/// plugin implements this trait as those here do.
pub trait Backbone: Send + Sync {
    /// What it reads and writes.
    fn profile(&self) -> Profile;

    /// The device that its weights are on.
    fn device(&self) -> &Device;

    /// The number format of its weights.
    fn dtype(&self) -> DType;

    /// Makes of a conditioning what does not change from step to step.
    ///
    /// # Errors
    /// [`ModelError::Input`] when it is of another kind than [`Profile::wants`], or of another width; for all else that
    /// the network refuses.
    fn bind(&self, conditioning: &Conditioning) -> Result<Arc<dyn Prepared>>;

    /// As [`forward`](Self::forward), and shows the state at every [`Stage`].
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and those of `observe`.
    fn forward_observed(
        &self,
        latent: &Tensor,
        time: &[f64],
        prepared: &dyn Prepared,
        options: &ForwardOptions,
        observe: &mut Observe<'_>,
    ) -> Result<Tensor>;

    /// As [`forward_list`](Self::forward_list), and shows the state at every [`Stage`].
    ///
    /// # Errors
    /// As [`forward_list`](Self::forward_list), and those of `observe`.
    fn forward_list_observed(
        &self,
        latents: &[Tensor],
        _time: &[f64],
        _prepared: &dyn Prepared,
        _options: &ForwardOptions,
        _observe: &mut Observe<'_>,
    ) -> Result<Vec<Tensor>> {
        let found = format!("{} latents one by one", latents.len());
        Err(ModelError::input("the input", format!("a batch, as this is {}", self.profile().name), found))
    }

    /// The raw output of the network.
    ///
    /// # Shapes
    /// `latent` is `[batch, in_channels, height, width]` (`[batch, in_channels, length]` for sound), `time` has one entry
    /// or one for each latent; the result is `[batch, out_channels, height, width]` in the number format of the latent.
    ///
    /// # Errors
    /// [`ModelError::Input`] when latent, time and conditioning do not fit the network or each other;
    /// [`ModelError::Interrupted`].
    fn forward(
        &self,
        latent: &Tensor,
        time: &[f64],
        prepared: &dyn Prepared,
        options: &ForwardOptions,
    ) -> Result<Tensor> {
        self.forward_observed(latent, time, prepared, options, &mut |_, _| Ok(()))
    }

    /// The velocity from noise to data: the first `in_channels` channels of [`forward`](Self::forward), without the
    /// variances that were never trained.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    fn velocity(
        &self,
        latent: &Tensor,
        time: &[f64],
        prepared: &dyn Prepared,
        options: &ForwardOptions,
    ) -> Result<Tensor> {
        let output = self.forward(latent, time, prepared, options)?;
        Ok(output.narrow(1, 0, self.profile().in_channels)?.contiguous()?)
    }

    /// As [`forward`](Self::forward), for latents of different sizes.
    ///
    /// # Shapes
    /// Each latent is `[in_channels, height, width]`, each result `[out_channels, height, width]`.
    ///
    /// # Errors
    /// As [`forward`](Self::forward); [`ModelError::Input`] for networks without [`Profile::mixed_sizes`].
    fn forward_list(
        &self,
        latents: &[Tensor],
        time: &[f64],
        prepared: &dyn Prepared,
        options: &ForwardOptions,
    ) -> Result<Vec<Tensor>> {
        self.forward_list_observed(latents, time, prepared, options, &mut |_, _| Ok(()))
    }
}

/// Labels of classes, one for each latent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels(pub Vec<u32>);

impl Prepared for Labels {
    fn batch(&self) -> usize {
        self.0.len()
    }

    fn rows(&self, start: usize, count: usize) -> Result<Arc<dyn Prepared>> {
        let rows = start.checked_add(count).and_then(|end| self.0.get(start..end)).ok_or_else(|| {
            let found = format!("{count} from {start} on");
            ModelError::input("the rows of the labels", format!("some of {}", self.0.len()), found)
        })?;
        Ok(Arc::new(Self(rows.to_vec())))
    }

    fn byte_size(&self) -> u64 {
        size_of_val(self.0.as_slice()) as u64
    }
}

impl Prepared for PreparedCaption {
    fn batch(&self) -> usize {
        self.batch()
    }

    fn rows(&self, start: usize, count: usize) -> Result<Arc<dyn Prepared>> {
        Ok(Arc::new(self.rows(start, count)?))
    }

    fn byte_size(&self) -> u64 {
        self.byte_size()
    }
}

/// What a network prepared, as its own type.
pub(crate) fn own<T: Prepared>(prepared: &dyn Prepared) -> Result<&T> {
    let prepared: &dyn Any = prepared;
    let other = || ModelError::input("the prepared conditioning", "one of this network", "one of another");
    prepared.downcast_ref().ok_or_else(other)
}

/// The refusal of a conditioning of another kind.
pub(crate) fn unwanted(network: &dyn Backbone, found: &Conditioning) -> ModelError {
    let profile = network.profile();
    let expected = format!("{}, as this is {}", profile.wants, profile.name);
    ModelError::input("the conditioning", expected, found.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_labels_are_those_of_their_latents() {
        let labels = Labels(vec![3, 10, 7]);
        let rows = labels.rows(1, 2).unwrap();
        assert_eq!(own::<Labels>(&*rows).unwrap(), &Labels(vec![10, 7]));
        assert_eq!((rows.batch(), rows.byte_size()), (2, 8));
        assert!(labels.rows(2, 2).is_err() && labels.rows(usize::MAX, 2).is_err());
    }

    #[test]
    fn what_another_network_prepared_is_refused() {
        let labels: &dyn Prepared = &Labels(vec![1]);
        let error = own::<PreparedCaption>(labels).unwrap_err().to_string();
        assert_eq!(error, "the prepared conditioning is one of another, expected one of this network");
    }
}
