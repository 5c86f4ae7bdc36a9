//! How much memory the mel autoencoder takes, from its sizes alone. Weights are not counted.

use candle_core::DType;

use super::MelAutoencoderConfig;
use crate::nn::AttentionShape;

impl MelAutoencoderConfig {
    /// Bytes that encoding `batch` spectrograms of `frames` frames takes, the spectrograms not counted.
    pub fn encode_bytes(&self, batch: usize, frames: usize, dtype: DType) -> u64 {
        let mut frames = frames as u64;
        let mut inputs = self.ch as u64;
        let mut peak = self.convolution(batch, frames, self.in_channels as u64, inputs, dtype);
        for (level, outputs) in self.channels().into_iter().map(|channels| channels as u64).enumerate() {
            peak = peak.max(self.convolution(batch, frames, inputs.max(outputs), outputs, dtype));
            if self.down_layers.contains(&level) {
                frames /= 2;
            }
            inputs = outputs;
        }
        peak.max(self.middle(batch, frames, dtype))
    }

    /// Bytes that decoding `batch` latents of `frames` frames takes, the spectrograms included.
    pub fn decode_bytes(&self, batch: usize, frames: usize, dtype: DType) -> u64 {
        let mut peak = self.middle(batch, frames as u64, dtype);
        let mut frames = frames as u64;
        let mut inputs = self.channels().last().copied().unwrap_or(1) as u64;
        for (level, outputs) in self.channels().into_iter().enumerate().rev() {
            let outputs = outputs as u64;
            peak = peak.max(self.convolution(batch, frames, inputs.max(outputs), outputs, dtype));
            if self.down_layers.iter().any(|down| down + 1 == level) {
                frames *= 2;
                peak = peak.max(self.convolution(batch, frames, outputs, outputs, dtype));
            }
            inputs = outputs;
        }
        peak.max(self.convolution(batch, frames, inputs, self.out_ch as u64, dtype))
    }

    /// A residual block at its peak: what goes in, is normed and activated, and the convolution, which lays out every
    /// window of its input.
    fn convolution(&self, batch: usize, frames: u64, inputs: u64, outputs: u64, dtype: DType) -> u64 {
        let channels = 3 * inputs + 4 * outputs + self.kernel_size.max(3) as u64 * inputs.max(outputs);
        (batch as u64 * frames).saturating_mul(channels).saturating_mul(dtype.size_in_bytes() as u64)
    }

    /// The attention between encoder and decoder, and the blocks around it.
    fn middle(&self, batch: usize, frames: u64, dtype: DType) -> u64 {
        let channels = self.channels().last().copied().unwrap_or(1);
        let tokens = usize::try_from(frames).unwrap_or(usize::MAX);
        let shape = AttentionShape { batch, heads: 1, queries: tokens, keys: tokens, head_dim: channels };
        let states =
            (batch as u64 * frames).saturating_mul(6 * channels as u64 * dtype.size_in_bytes() as u64);
        let attending = states.saturating_add(shape.plain_bytes(dtype));
        attending.max(self.convolution(batch, frames, channels as u64, channels as u64, dtype))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_sounds_take_more_and_the_released_size_is_of_a_sane_order() {
        let config = MelAutoencoderConfig::lumina();
        // Ten seconds: 624 frames, 312 latent ones.
        let (encode, decode) =
            (config.encode_bytes(1, 624, DType::F32), config.decode_bytes(1, 312, DType::F32));
        for bytes in [encode, decode] {
            assert!((10 << 20..200 << 20).contains(&bytes), "{bytes}");
        }
        assert!(config.encode_bytes(2, 624, DType::F32) > encode);
        assert!(config.decode_bytes(1, 624, DType::F32) > decode);
    }
}
