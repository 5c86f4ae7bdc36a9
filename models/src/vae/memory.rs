//! How much memory the autoencoder takes, from its sizes alone.
//!
//! The sums follow the code of `blocks.rs`, `decoder.rs` and `encoder.rs` line by line: which states are alive at the
//! same time, in channels. Weights are not counted.

use candle_core::{DType, Device};

use super::{AutoencoderConfig, TileOptions};
use crate::nn::AttentionShape;

/// Channels alive at one resolution, times its pixels, times the bytes of a number.
#[derive(Clone, Copy)]
struct Sizes {
    element: u64,
    /// A GPU lays out every window of a convolution at once; the CPU copies the input and takes a few rows at a time.
    unfolds: bool,
}

impl Sizes {
    /// What a 3 x 3 convolution holds at its peak, from the channels that are alive before it: input copy and output,
    /// then output with and without bias.
    fn convolution(self, alive: u64, inputs: u64, outputs: u64) -> u64 {
        let copy = if self.unfolds { 9 * inputs + outputs } else { inputs };
        alive + outputs + copy.max(outputs)
    }

    /// Channels of a residual block; its input counts.
    fn residual(self, inputs: u64, outputs: u64) -> u64 {
        // Input, normed, after SiLU.
        let first = self.convolution(3 * inputs, inputs, outputs);
        // The first half's result stays until the block is done.
        let second = self.convolution(inputs + 3 * outputs, outputs, outputs);
        let sum = if inputs == outputs { 4 * outputs } else { 2 * inputs + 4 * outputs };
        first.max(second).max(sum)
    }

    fn bytes(self, channels: u64, pixels: u64) -> u64 {
        channels.saturating_mul(pixels).saturating_mul(self.element)
    }
}

impl AutoencoderConfig {
    fn sizes(&self, dtype: DType, device: &Device) -> Sizes {
        Sizes { element: dtype.size_in_bytes() as u64, unfolds: !device.is_cpu() }
    }

    fn channels(&self) -> Vec<u64> {
        self.block_out_channels.iter().map(|&channels| channels as u64).collect()
    }

    /// The level between encoder and decoder, of `height x width` cells.
    fn middle(&self, sizes: Sizes, dtype: DType, batch: usize, (height, width): (usize, usize)) -> u64 {
        let channels = self.block_out_channels.last().copied().unwrap_or(1);
        let pixels = (batch * height * width) as u64;
        let residual = sizes.bytes(sizes.residual(channels as u64, channels as u64), pixels);
        if !self.mid_block_add_attention {
            return residual;
        }
        let cells = height * width;
        let shape = AttentionShape { batch, heads: 1, queries: cells, keys: cells, head_dim: channels };
        // Input, normed, laid out anew, query, key, value.
        residual.max(sizes.bytes(6 * channels as u64, pixels) + shape.plain_bytes(dtype))
    }

    /// Bytes that decoding one latent of `height x width` cells takes in one piece, the picture included, in the number
    /// format that the autoencoder computes in.
    pub fn decode_bytes(&self, height: usize, width: usize, dtype: DType, device: &Device) -> u64 {
        let (sizes, channels) = (self.sizes(dtype, device), self.channels());
        let mut pixels = (height * width) as u64;
        let mut peak = self.middle(sizes, dtype, 1, (height, width));
        let mut inputs = channels.last().copied().unwrap_or(1);
        for (index, &outputs) in channels.iter().rev().enumerate() {
            let level = sizes.residual(inputs, outputs).max(sizes.residual(outputs, outputs));
            peak = peak.max(sizes.bytes(level, pixels));
            if index + 1 < channels.len() {
                let before = sizes.bytes(outputs, pixels);
                pixels = pixels.saturating_mul(4);
                let doubled = sizes.convolution(outputs, outputs, outputs);
                peak = peak.max(before.saturating_add(sizes.bytes(doubled, pixels)));
            }
            inputs = outputs;
        }
        // State, normed, after SiLU.
        let last = sizes.convolution(3 * inputs, inputs, self.out_channels as u64);
        peak.max(sizes.bytes(last, pixels))
    }

    /// As [`decode_bytes`](Self::decode_bytes), in tiles where the latent is larger than one.
    pub fn decode_tiled_bytes(
        &self,
        (height, width): (usize, usize),
        tiles: &TileOptions,
        dtype: DType,
        device: &Device,
    ) -> u64 {
        if height <= tiles.size && width <= tiles.size {
            return self.decode_bytes(height, width, dtype, device);
        }
        let one = self.decode_bytes(height.min(tiles.size), width.min(tiles.size), dtype, device);
        let area = (height * width * self.downscale() * self.downscale()) as u64;
        // The sum of the tiles and their weights.
        one.saturating_add(area * (self.out_channels as u64 + 1) * 4)
    }

    /// Bytes that encoding `batch` pictures of `height x width` pixels at once takes, the pictures not counted, in the
    /// number format that the autoencoder computes in.
    pub fn encode_bytes(
        &self,
        batch: usize,
        (height, width): (usize, usize),
        dtype: DType,
        device: &Device,
    ) -> u64 {
        let (sizes, channels) = (self.sizes(dtype, device), self.channels());
        let (mut height, mut width) = (height, width);
        let pixels = |height: usize, width: usize| (batch * height * width) as u64;
        let mut inputs = channels.first().copied().unwrap_or(1);
        let first = sizes.convolution(0, self.in_channels as u64, inputs);
        let mut peak = sizes.bytes(first, pixels(height, width));
        for (index, &outputs) in channels.iter().enumerate() {
            let level = if self.layers_per_block > 1 { sizes.residual(outputs, outputs) } else { 0 };
            let level = level.max(sizes.residual(inputs, outputs));
            peak = peak.max(sizes.bytes(level, pixels(height, width)));
            if index + 1 < channels.len() {
                // State and its padded copy, then what the convolution makes of the latter.
                let before = sizes.bytes(2 * outputs, pixels(height, width));
                let copy = sizes.bytes(outputs, pixels(height, width));
                (height, width) = (height / 2, width / 2);
                let output = sizes.bytes(2 * outputs, pixels(height, width));
                let unfolded = sizes.bytes(9 * outputs, pixels(height, width));
                let work = if sizes.unfolds { unfolded } else { copy };
                peak = peak.max(before.saturating_add(work).saturating_add(output));
            }
            inputs = outputs;
        }
        peak.max(self.middle(sizes, dtype, batch, (height, width)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> AutoencoderConfig {
        AutoencoderConfig {
            block_out_channels: vec![16, 32, 64, 128],
            latent_channels: 16,
            norm_num_groups: 8,
            ..AutoencoderConfig::default()
        }
    }

    #[test]
    fn the_first_block_at_full_size_decides_over_small_decodes() {
        // 32 channels to 16: four times the input, with its copy, and the output.
        let pixels = 256 * 256;
        let bytes = small().decode_bytes(32, 32, DType::F32, &Device::Cpu);
        assert_eq!(bytes, (4 * 32 + 16) * pixels * 4);
    }

    #[test]
    fn tiles_bound_the_memory_of_a_decode() {
        let config = small();
        let tiles = TileOptions { size: 32, overlap: 8 };
        let whole = config.decode_bytes(128, 128, DType::F32, &Device::Cpu);
        let tiled = config.decode_tiled_bytes((128, 128), &tiles, DType::F32, &Device::Cpu);
        assert!(tiled * 4 < whole, "{tiled} {whole}");
        // A latent of one tile is decoded whole.
        let one = config.decode_tiled_bytes((32, 32), &tiles, DType::F32, &Device::Cpu);
        assert_eq!(one, config.decode_bytes(32, 32, DType::F32, &Device::Cpu));
    }
}
