//! Encoder and decoder together.

use candle_core::{DType, Device, Tensor};

use super::decoder::Decoder;
use super::encoder::Encoder;
use super::{AutoencoderConfig, Gaussian, TileOptions};
use crate::nn::{Conv2d, Conv2dShape};
use crate::weights::{Checkpoint, Expected, KeyMap, Weights};
use crate::{Interrupt, ModelError, Result};

/// A place inside the autoencoder where its state can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoencoderStage {
    /// Behind the middle of the encoder.
    EncoderMiddle,
    /// Behind the middle of the decoder.
    DecoderMiddle,
    /// Behind a level of the decoder, its upsampling included; 0 is the one with the fewest pixels.
    DecoderLevel(usize),
}

/// diffusers' `AutoencoderKL`, the image autoencoder of Stable Diffusion, SDXL, SD3 and FLUX.
#[derive(Clone, Debug)]
pub struct AutoencoderKl {
    encoder: Encoder,
    decoder: Decoder,
    quant: Option<Conv2d>,
    post_quant: Option<Conv2d>,
    config: AutoencoderConfig,
    dtype: DType,
    device: Device,
}

impl AutoencoderKl {
    /// Loads from weights under the current names of diffusers (see [`AutoencoderKl::key_map`] for the older ones), in
    /// the number format that [`AutoencoderKl::compute_type`] gives for that of `weights`.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn load(weights: &Weights, config: &AutoencoderConfig) -> Result<Self> {
        let weights = &weights.with_dtype(Self::compute_type(weights.dtype(), weights.device()));
        let latent = config.latent_channels;
        let quant = config
            .use_quant_conv
            .then(|| Conv2d::load(&weights.under("quant_conv"), Conv2dShape::point(2 * latent, 2 * latent)));
        let post_quant = config
            .use_post_quant_conv
            .then(|| Conv2d::load(&weights.under("post_quant_conv"), Conv2dShape::point(latent, latent)));
        Ok(Self {
            encoder: Encoder::load(&weights.under("encoder"), config)?,
            decoder: Decoder::load(&weights.under("decoder"), config)?,
            quant: quant.transpose()?,
            post_quant: post_quant.transpose()?,
            config: config.clone(),
            dtype: weights.dtype(),
            device: weights.device().clone(),
        })
    }

    /// The number format that an autoencoder computes in where the rest of the pipeline computes in `wanted`: f32, but
    /// bf16 on a GPU when bf16 is wanted.
    ///
    /// Never f16, whose largest number the inner states of SDXL's autoencoder exceed (diffusers marks it with
    /// `force_upcast`). And not bf16 on the CPU, for which candle has no convolution.
    pub fn compute_type(wanted: DType, device: &Device) -> DType {
        if wanted == DType::BF16 && !device.is_cpu() { DType::BF16 } else { DType::F32 }
    }

    /// The tensors that a checkpoint must have.
    ///
    /// # Errors
    /// [`ModelError::Candle`] when memory runs out.
    pub fn expected(config: &AutoencoderConfig) -> Result<Expected> {
        let plan = Weights::plan();
        Self::load(&plan, config)?;
        Ok(plan.planned())
    }

    /// Current names, or those that attention had before diffusers 0.15: `query`, `key`, `value`, `proj_attn`.
    pub fn key_map(_checkpoint: &Checkpoint) -> KeyMap {
        const OLD: [(&str, &str); 4] = [
            (".to_q.", ".query."),
            (".to_k.", ".key."),
            (".to_v.", ".value."),
            (".to_out.0.", ".proj_attn."),
        ];
        KeyMap::new(|name| {
            let old =
                OLD.iter().filter(|(new, _)| name.contains(new)).map(|(new, old)| name.replace(new, old));
            std::iter::once(name.to_owned()).chain(old).collect()
        })
    }

    /// The number format that it computes in.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &AutoencoderConfig {
        &self.config
    }

    /// # Shapes
    /// `image` is `[batch, in_channels, height, width]` with values -1..1; mean and log-variance are
    /// `[batch, latent_channels, ..]` with each side halved and rounded down once per level, in f32.
    ///
    /// # Errors
    /// [`ModelError::Input`] for a wrong shape, [`ModelError::Interrupted`].
    pub fn encode(&self, image: &Tensor, interrupt: &Interrupt) -> Result<Gaussian> {
        self.encode_observed(image, interrupt, &mut |_, _| Ok(()))
    }

    /// As [`encode`](Self::encode), and shows the state at every [`AutoencoderStage`] of the encoder.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and those of `observe`.
    pub fn encode_observed(
        &self,
        image: &Tensor,
        interrupt: &Interrupt,
        observe: &mut dyn FnMut(AutoencoderStage, &Tensor) -> Result<()>,
    ) -> Result<Gaussian> {
        let least = self.config.downscale();
        match image.dims() {
            [batch, channels, height, width]
                if *batch > 0
                    && *channels == self.config.in_channels
                    && *height >= least
                    && *width >= least => {}
            found => {
                let channels = self.config.in_channels;
                let expected = format!("[batch, {channels}, height, width] with sides of at least {least}");
                return Err(ModelError::input("the image", expected, format!("{found:?}")));
            }
        }
        let state = self.encoder.forward(&self.to_network(image)?, interrupt, observe)?;
        let moments = match &self.quant {
            Some(quant) => quant.forward(&state)?,
            None => state,
        };
        Gaussian::from_moments(&moments.to_dtype(DType::F32)?)
    }

    /// Decodes a latent of the encoder's scale (see [`AutoencoderConfig::model_to_latent`]) in one piece.
    ///
    /// # Shapes
    /// `[batch, latent_channels, height, width]` to `[batch, out_channels, ..]` with sides `downscale` times as long,
    /// about -1..1 but not clamped, in f32.
    ///
    /// # Errors
    /// [`ModelError::Input`] for a wrong shape, [`ModelError::Interrupted`].
    pub fn decode(&self, latent: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
        self.decode_observed(latent, interrupt, &mut |_, _| Ok(()))
    }

    /// As [`decode`](Self::decode), and shows the state at every [`AutoencoderStage`] of the decoder.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and those of `observe`.
    pub fn decode_observed(
        &self,
        latent: &Tensor,
        interrupt: &Interrupt,
        observe: &mut dyn FnMut(AutoencoderStage, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        self.check_latent(latent)?;
        let state = self.to_network(latent)?;
        let state = match &self.post_quant {
            Some(post_quant) => post_quant.forward(&state)?,
            None => state,
        };
        Ok(self.decoder.forward(&state, interrupt, observe)?.to_dtype(DType::F32)?)
    }

    /// As [`decode`](Self::decode), in tiles where the latent is larger than one; the result is then on the CPU.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); [`ModelError::Input`] for options that do not fit together.
    pub fn decode_tiled(
        &self,
        latent: &Tensor,
        tiles: &TileOptions,
        interrupt: &Interrupt,
    ) -> Result<Tensor> {
        tiles.check()?;
        let (batch, height, width) = self.check_latent(latent)?;
        if height <= tiles.size && width <= tiles.size {
            return self.decode(latent, interrupt);
        }
        let (scale, channels) = (self.config.downscale(), self.config.out_channels);
        let mut canvas = Canvas::new(batch * channels, height * scale, width * scale);
        for rows in tiles.cut(height) {
            let row_weights = tiles.ramp(rows, height, scale);
            for columns in tiles.cut(width) {
                interrupt.check()?;
                let part =
                    latent.narrow(2, rows.0, rows.1 - rows.0)?.narrow(3, columns.0, columns.1 - columns.0)?;
                let pixels = self.decode(&part.contiguous()?, interrupt)?.flatten_all()?.to_vec1::<f32>()?;
                let column_weights = tiles.ramp(columns, width, scale);
                canvas.add(&pixels, (rows.0 * scale, columns.0 * scale), &row_weights, &column_weights);
            }
        }
        let shape = (batch, channels, height * scale, width * scale);
        Ok(Tensor::from_vec(canvas.finish(), shape, &Device::Cpu)?)
    }

    fn check_latent(&self, latent: &Tensor) -> Result<(usize, usize, usize)> {
        match latent.dims() {
            [batch, channels, height, width]
                if *channels == self.config.latent_channels && batch * height * width > 0 =>
            {
                Ok((*batch, *height, *width))
            }
            found => {
                let expected = format!("[batch, {}, height, width]", self.config.latent_channels);
                Err(ModelError::input("the latent", expected, format!("{found:?}")))
            }
        }
    }

    fn to_network(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.to_device(&self.device)?.to_dtype(self.dtype)?)
    }
}

/// A picture as the weighted mean of overlapping tiles.
struct Canvas {
    sum: Vec<f32>,
    weight: Vec<f32>,
    height: usize,
    width: usize,
}

impl Canvas {
    fn new(planes: usize, height: usize, width: usize) -> Self {
        let area = height * width;
        Self { sum: vec![0.0; planes * area], weight: vec![0.0; area], height, width }
    }

    fn add(&mut self, pixels: &[f32], (top, left): (usize, usize), rows: &[f32], columns: &[f32]) {
        let area = self.height * self.width;
        let at = |row: usize| (top + row) * self.width + left;
        for (row, row_weight) in rows.iter().enumerate() {
            for (weight, column_weight) in self.weight.iter_mut().skip(at(row)).zip(columns) {
                *weight += row_weight * column_weight;
            }
        }
        for (plane, tile) in self.sum.chunks_mut(area).zip(pixels.chunks(rows.len() * columns.len())) {
            for ((row, row_weight), line) in rows.iter().enumerate().zip(tile.chunks(columns.len())) {
                for ((sum, pixel), column_weight) in plane.iter_mut().skip(at(row)).zip(line).zip(columns) {
                    *sum += pixel * row_weight * column_weight;
                }
            }
        }
    }

    fn finish(mut self) -> Vec<f32> {
        for plane in self.sum.chunks_mut(self.weight.len().max(1)) {
            for (sum, weight) in plane.iter_mut().zip(&self.weight) {
                *sum /= weight;
            }
        }
        self.sum
    }
}
