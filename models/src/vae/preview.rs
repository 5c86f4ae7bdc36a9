//! A cheap look at a latent: a linear map from its channels to colours, in place of the decoder.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;

use super::AutoencoderConfig;
use crate::{ModelError, Result};

/// Factors from the four channels of Stable Diffusion's autoencoder to red, green, blue in -1..1, as other programs
/// that show previews have them.
const STABLE_DIFFUSION: [[f32; 3]; 4] = [
    [0.3512, 0.2297, 0.3227],
    [0.3250, 0.4974, 0.2350],
    [-0.2829, 0.1762, 0.2721],
    [-0.2120, -0.2616, -0.7177],
];

/// The same for that of SDXL.
const SDXL: [[f32; 3]; 4] = [
    [0.3651, 0.4232, 0.4341],
    [-0.2533, -0.0042, 0.1068],
    [0.1076, 0.1111, -0.0362],
    [-0.3165, -0.2492, -0.2188],
];

/// What is added for SDXL.
const SDXL_BIAS: [f32; 3] = [0.1084, -0.0175, -0.0011];

/// The most pictures of a batch that are shown.
const MOST_PICTURES: usize = 8;

/// The most pixels a cell may become on each side: more than any autoencoder makes of one.
const MOST_PIXELS: usize = 64;

/// How latents, in the scale of the backbone, are turned into small pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct PreviewMap(Kind);

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Linear(Linear),
    FirstChannels,
}

/// The file `vae/preview.json`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Linear {
    /// Pixels of a cell on each side.
    pixels: usize,
    /// For each latent channel, what it adds to each pixel's red, green, blue; pixels of a cell row by row.
    factors: Vec<Vec<f32>>,
    /// What each pixel has without any channel.
    bias: Vec<f32>,
}

impl PreviewMap {
    /// The file beside an autoencoder that says how latents are shown without decoding them. It is ours, and may be
    /// absent.
    pub const FILE: &'static str = "preview.json";

    /// The preview map of a folder, or the one that is known for such an autoencoder.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for a missing file.
    pub fn of_folder(folder: &Path, config: &AutoencoderConfig) -> Result<Self> {
        match Self::read(&folder.join(Self::FILE), config) {
            Err(ModelError::FileNotFound { .. }) => Ok(Self::of(config)),
            found => found,
        }
    }

    /// Reads a `vae/preview.json`: `pixels`, the number of pixels that a latent cell becomes on each side; `factors`, a
    /// row of `3 * pixels * pixels` numbers for each latent channel; `bias`, one such row. Pixel rows come first, then
    /// columns, then red, green, blue, in which -1 is black and 1 is full colour.
    ///
    /// # Errors
    /// [`ModelError::FileNotFound`]; [`ModelError::Config`] when the numbers of `config`'s autoencoder do not fit.
    pub fn read(path: &Path, config: &AutoencoderConfig) -> Result<Self> {
        crate::config_file::read(path, |text| Self::parse(text, config.latent_channels))
    }

    fn parse(text: &[u8], channels: usize) -> std::result::Result<Self, String> {
        let map: Linear = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if !(1..=MOST_PIXELS).contains(&map.pixels) {
            return Err(format!("`pixels` is {}, expected 1 to {MOST_PIXELS}", map.pixels));
        }
        let width = 3 * map.pixels * map.pixels;
        if map.factors.len() != channels {
            return Err(format!("`factors` has {} rows, expected {channels}", map.factors.len()));
        }
        if let Some(row) = map.factors.iter().chain([&map.bias]).find(|row| row.len() != width) {
            return Err(format!("a row of `factors` or `bias` has {} numbers, expected {width}", row.len()));
        }
        Ok(Self(Kind::Linear(map)))
    }

    /// The map for an autoencoder that comes without one: the known factors where its scale is that of Stable Diffusion
    /// (0.18215) or SDXL (0.13025), else the first three channels as colours.
    pub fn of(config: &AutoencoderConfig) -> Self {
        let is_scale =
            |scale: f64| config.latent_channels == 4 && (config.scaling_factor - scale).abs() < 1e-6;
        let linear = |factors: [[f32; 3]; 4], bias: [f32; 3]| {
            let factors = factors.iter().map(|row| row.to_vec()).collect();
            Self(Kind::Linear(Linear { pixels: 1, factors, bias: bias.to_vec() }))
        };
        if is_scale(0.13025) {
            linear(SDXL, SDXL_BIAS)
        } else if is_scale(0.18215) {
            linear(STABLE_DIFFUSION, [0.0; 3])
        } else {
            Self::first_channels()
        }
    }

    /// The first three channels as colours, brought to one contrast: shapes show, colours mean nothing.
    pub fn first_channels() -> Self {
        Self(Kind::FirstChannels)
    }

    /// Width, height and the bytes (red, green, blue, row by row) of a picture of a latent; of a batch the first few
    /// pictures stand side by side.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]`.
    ///
    /// # Errors
    /// [`ModelError::Input`] when the latent has another number of channels than the map.
    pub fn picture(&self, latent: &Tensor) -> Result<(usize, usize, Vec<u8>)> {
        let (batch, channels, height, width) = latent.dims4()?;
        let shown = batch.min(MOST_PICTURES);
        let latent = latent.narrow(0, 0, shown)?.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
        let values = latent.contiguous()?.flatten_all()?.to_vec1::<f32>()?;
        let map = match &self.0 {
            Kind::Linear(map) => map.clone(),
            Kind::FirstChannels => contrast(&values, channels, height * width),
        };
        if map.factors.len() != channels {
            let expected = format!("[batch, {}, height, width]", map.factors.len());
            return Err(ModelError::input("the latent", expected, format!("{:?}", latent.dims())));
        }
        let pixels = map.pixels;
        let (row_length, rows) = (shown * width * pixels, height * pixels);
        let mut rgb = vec![0_u8; 3 * row_length * rows];
        for (index, picture) in values.chunks(channels * height * width).enumerate() {
            for cell in 0..height * width {
                let (top, left) = (cell / width * pixels, (index * width + cell % width) * pixels);
                let mut colours = map.bias.clone();
                for (factors, plane) in map.factors.iter().zip(picture.chunks(height * width)) {
                    for (colour, factor) in colours.iter_mut().zip(factors) {
                        *colour += factor * plane[cell];
                    }
                }
                for (row, line) in colours.chunks(3 * pixels).enumerate() {
                    let start = 3 * ((top + row) * row_length + left);
                    for (byte, colour) in rgb[start..].iter_mut().zip(line) {
                        *byte = ((colour / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round() as u8;
                    }
                }
            }
        }
        Ok((row_length, rows, rgb))
    }
}

/// A map that shows the first three channels: mean and two deviations on either side become black to full colour.
fn contrast(values: &[f32], channels: usize, area: usize) -> Linear {
    let mut map = Linear { pixels: 1, factors: vec![vec![0.0; 3]; channels], bias: vec![0.0; 3] };
    for colour in 0..3 {
        // With less than three channels the last one stands for the missing ones.
        let channel = colour.min(channels.saturating_sub(1));
        let plane = || values.chunks(area.max(1)).skip(channel).step_by(channels.max(1)).flatten();
        let count = plane().count().max(1) as f32;
        let mean = plane().sum::<f32>() / count;
        let variance = plane().map(|value| (value - mean).powi(2)).sum::<f32>() / count;
        let factor = 0.5 / variance.sqrt().max(1e-6);
        if let Some(factors) = map.factors.get_mut(channel) {
            factors[colour] = factor;
        }
        map.bias[colour] = -mean * factor;
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latent(values: &[f32], shape: [usize; 4]) -> Tensor {
        Tensor::from_slice(values, &shape[..], &Device::Cpu).unwrap()
    }

    #[test]
    fn a_cell_becomes_a_block_of_pixels_row_by_row() {
        let text = br#"{"pixels": 2, "factors": [[1,1,1, 0,0,0, 0,0,0, 0,0,0]], "bias": [0,0,0, -1,-1,-1, 1,-1,-1, -1,-1,1]}"#;
        let map = PreviewMap::parse(text, 1).unwrap();
        let (width, height, rgb) = map.picture(&latent(&[1.0, -1.0], [1, 1, 1, 2])).unwrap();
        assert_eq!((width, height), (4, 2));
        let rows: Vec<&[u8]> = rgb.chunks(12).collect();
        assert_eq!(rows[0], [255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(rows[1], [255, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 255]);
    }

    #[test]
    fn pictures_of_a_batch_stand_side_by_side() {
        let text = br#"{"pixels": 1, "factors": [[1, 0, 0]], "bias": [0, -1, -1]}"#;
        let map = PreviewMap::parse(text, 1).unwrap();
        let (width, height, rgb) = map.picture(&latent(&[1.0, -1.0, -1.0, 1.0], [2, 1, 2, 1])).unwrap();
        assert_eq!((width, height), (2, 2));
        assert_eq!(rgb, [255, 0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0]);
    }

    #[test]
    fn known_scales_have_known_factors_and_others_show_the_first_channels() {
        let of = |scaling_factor, latent_channels| {
            let config =
                AutoencoderConfig { scaling_factor, latent_channels, ..AutoencoderConfig::default() };
            PreviewMap::of(&config)
        };
        assert_ne!(of(0.13025, 4), of(0.18215, 4));
        assert_eq!(of(0.13025, 16), PreviewMap(Kind::FirstChannels));
        assert_eq!(of(0.3611, 16), PreviewMap(Kind::FirstChannels));
        // A large value in SDXL's first channel is light, in its last one dark.
        let sum = |values: &[f32]| {
            let (_, _, rgb) = of(0.13025, 4).picture(&latent(values, [1, 4, 1, 1])).unwrap();
            rgb.iter().map(|byte| u32::from(*byte)).sum::<u32>()
        };
        assert!(sum(&[1.0, 0.0, 0.0, 0.0]) > sum(&[0.0; 4]) && sum(&[0.0; 4]) > sum(&[0.0, 0.0, 0.0, 1.0]));
    }

    #[test]
    fn without_a_map_every_channel_has_one_contrast() {
        let map = PreviewMap(Kind::FirstChannels);
        let (_, _, rgb) = map.picture(&latent(&[0.0, 1000.0, 0.0, 0.001], [1, 2, 1, 2])).unwrap();
        assert_eq!(rgb, [64, 64, 64, 191, 191, 191]);
        // A flat channel, and NaN, are shown somehow but do no harm.
        map.picture(&latent(&[f32::NAN, 1.0, 1.0, 1.0], [1, 2, 1, 2])).unwrap();
    }

    #[test]
    fn a_map_of_another_autoencoder_is_refused_with_the_field() {
        let text = br#"{"pixels": 1, "factors": [[1, 0, 0]], "bias": [0, 0, 0]}"#;
        assert!(PreviewMap::parse(text, 4).unwrap_err().contains("`factors` has 1 rows, expected 4"));
        let text = br#"{"pixels": 2, "factors": [[1, 0, 0]], "bias": [0, 0, 0]}"#;
        assert!(PreviewMap::parse(text, 1).unwrap_err().contains("expected 12"));
        assert!(PreviewMap::parse(br#"{"pixels": 0, "factors": [], "bias": []}"#, 0).is_err());
    }
}
