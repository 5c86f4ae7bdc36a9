//! Encoder and decoder together.

use candle_core::{DType, Device, Tensor};

use super::MelAutoencoderConfig;
use super::blocks::conv;
use super::decoder::Decoder;
use super::encoder::Encoder;
use crate::nn::{Conv1d, Conv1dShape};
use crate::vae::{AutoencoderKl, Gaussian};
use crate::weights::{Checkpoint, Expected, KeyMap, Weights};
use crate::{Interrupt, ModelError, Result};

/// Before every name in a checkpoint that holds backbone, autoencoder and text encoders.
const PREFIX: &str = "first_stage_model.";

/// A point inside the network at which [`MelAutoencoder::decode_observed`] and
/// [`encode_observed`](MelAutoencoder::encode_observed) show its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MelStage {
    /// After the first convolution of the encoder.
    EncoderInput,
    /// After the attention of the encoder.
    EncoderMiddle,
    /// After the attention of the decoder.
    DecoderMiddle,
    /// After a level of the decoder; level 0 comes last.
    DecoderLevel(usize),
}

/// The one-dimensional autoencoder of Lumina's audio and music.
///
/// Source: `AutoencoderKL` of Lumina-T2X `lumina_audio/models/autoencoder1d.py`.
#[derive(Clone, Debug)]
pub struct MelAutoencoder {
    encoder: Encoder,
    decoder: Decoder,
    quant: Conv1d,
    post_quant: Conv1d,
    config: MelAutoencoderConfig,
    dtype: DType,
    device: Device,
}

impl MelAutoencoder {
    /// The tensor with the factor on latents, in a checkpoint of the whole system.
    pub const SCALE: &'static str = "scale_factor";

    /// Loads from weights under their original names, in the number format that [`AutoencoderKl::compute_type`] gives
    /// for that of `weights`.
    ///
    /// # Errors
    /// As [`Weights::tensor`]; [`ModelError::Input`] for sizes that do not fit together.
    pub fn load(weights: &Weights, config: &MelAutoencoderConfig) -> Result<Self> {
        config.check().map_err(|reason| {
            ModelError::input(
                "the config of the mel autoencoder",
                "sizes that fit together",
                format!("wrong ({reason})"),
            )
        })?;
        let weights = &weights.with_dtype(AutoencoderKl::compute_type(weights.dtype(), weights.device()));
        let (inner, outer) = (config.z_channels, config.embed_dim);
        Ok(Self {
            encoder: Encoder::load(&weights.under("encoder"), config)?,
            decoder: Decoder::load(&weights.under("decoder"), config)?,
            quant: conv(&weights.under("quant_conv"), Conv1dShape::same(2 * inner, 2 * outer, 1))?,
            post_quant: conv(&weights.under("post_quant_conv"), Conv1dShape::same(outer, inner, 1))?,
            config: config.clone(),
            dtype: weights.dtype(),
            device: weights.device().clone(),
        })
    }

    /// The tensors that a checkpoint must have.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn expected(config: &MelAutoencoderConfig) -> Result<Expected> {
        let plan = Weights::plan();
        Self::load(&plan, config)?;
        Ok(plan.planned())
    }

    /// Names with or without the prefix that they have beside a backbone, whichever `checkpoint` has.
    pub fn key_map(checkpoint: &Checkpoint) -> KeyMap {
        let prefixed = checkpoint.tensors().keys().any(|key| key.starts_with(PREFIX));
        if prefixed { KeyMap::with_prefix(PREFIX) } else { KeyMap::identity() }
    }

    /// Whether a stored tensor may stay unread: everything else of a checkpoint of the whole system, and what training
    /// alone needs.
    pub fn is_ignorable(checkpoint: &Checkpoint, stored: &str) -> bool {
        let map = Self::key_map(checkpoint).names("");
        let ours = map.first().is_none_or(|prefix| stored.starts_with(prefix.as_str()));
        let name = stored.strip_prefix(PREFIX).unwrap_or(stored);
        !ours || name.starts_with("loss.") || name.starts_with("discriminator.")
    }

    /// The factor on latents that a checkpoint of the whole system stores: the backbone's latents are `factor` times
    /// those of the encoder.
    ///
    /// # Errors
    /// As [`Weights::tensor`]; [`ModelError::Input`] when it is not a number that one can divide by.
    pub fn stored_scale(checkpoint: &Checkpoint) -> Result<Option<f64>> {
        let never = Interrupt::never();
        let weights = Weights::open(checkpoint, KeyMap::identity(), DType::F32, &Device::Cpu, &never)?;
        let Some(scale) = weights.optional(Self::SCALE, &[])? else { return Ok(None) };
        let scale = f64::from(scale.to_scalar::<f32>()?);
        if !(1e-6..1e6).contains(&scale.abs()) {
            let expected = "a number that one can divide by";
            return Err(ModelError::input("the stored `scale_factor`", expected, scale.to_string()));
        }
        Ok(Some(scale))
    }

    /// The number format that it computes in.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &MelAutoencoderConfig {
        &self.config
    }

    /// # Shapes
    /// `mel` is `[batch, in_channels, frames]`; mean and log-variance are `[batch, embed_dim, ..]` with the frames
    /// halved and rounded down once per entry of `down_layers`, in f32.
    ///
    /// # Errors
    /// [`ModelError::Input`] for a wrong shape, [`ModelError::Interrupted`].
    pub fn encode(&self, mel: &Tensor, interrupt: &Interrupt) -> Result<Gaussian> {
        self.encode_observed(mel, interrupt, &mut |_, _| Ok(()))
    }

    /// As [`encode`](Self::encode), and shows the state at every [`MelStage`] of the encoder.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and those of `observe`.
    pub fn encode_observed(
        &self,
        mel: &Tensor,
        interrupt: &Interrupt,
        observe: &mut dyn FnMut(MelStage, &Tensor) -> Result<()>,
    ) -> Result<Gaussian> {
        let input =
            self.input("the mel spectrogram", mel, self.config.in_channels, self.config.downscale())?;
        let moments = self.quant.forward(&self.encoder.forward(&input, interrupt, observe)?)?;
        Gaussian::from_moments(&moments.to_dtype(DType::F32)?)
    }

    /// Decodes a latent of the encoder's scale: one of the backbone is divided by
    /// [`stored_scale`](Self::stored_scale) first.
    ///
    /// # Shapes
    /// `[batch, embed_dim, frames]` to `[batch, out_ch, downscale * frames]`, in f32.
    ///
    /// # Errors
    /// [`ModelError::Input`] for a wrong shape, [`ModelError::Interrupted`].
    pub fn decode(&self, latent: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
        self.decode_observed(latent, interrupt, &mut |_, _| Ok(()))
    }

    /// As [`decode`](Self::decode), and shows the state at every [`MelStage`] of the decoder.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and those of `observe`.
    pub fn decode_observed(
        &self,
        latent: &Tensor,
        interrupt: &Interrupt,
        observe: &mut dyn FnMut(MelStage, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let state =
            self.post_quant.forward(&self.input("the latent", latent, self.config.embed_dim, 1)?)?;
        Ok(self.decoder.forward(&state, interrupt, observe)?.to_dtype(DType::F32)?)
    }

    fn input(&self, what: &str, tensor: &Tensor, channels: usize, least: usize) -> Result<Tensor> {
        match tensor.dims() {
            [batch, found, frames] if *found == channels && *batch > 0 && *frames >= least => {
                Ok(tensor.to_device(&self.device)?.to_dtype(self.dtype)?)
            }
            found => {
                let expected = format!("[batch, {channels}, frames] with at least {least} frames");
                Err(ModelError::input(what, expected, format!("{found:?}")))
            }
        }
    }
}
