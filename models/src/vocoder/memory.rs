//! How much memory a vocoder takes, from its sizes alone. Weights are not counted.

use super::BigVganConfig;

impl BigVganConfig {
    /// Bytes that `batch` mel spectrograms of `frames` frames take on their way to sound, the sound included, in f32.
    pub fn wave_bytes(&self, batch: usize, frames: usize) -> u64 {
        let kernel = self.resblock_kernel_sizes.iter().copied().max().unwrap_or(1) as u64;
        let mut length = (batch * frames) as u64;
        let mut peak = 0_u64;
        for (stage, rate) in self.upsample_rates.iter().enumerate() {
            length = length.saturating_mul(*rate as u64);
            // The state, the sum and a branch's own; before and behind the activation, which works at twice the length;
            // and the windows of the widest convolution.
            let channels = self.channels(stage) as u64 * (5 + 3 * 2 + kernel);
            peak = peak.max(length.saturating_mul(channels));
        }
        peak.saturating_mul(4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_of_the_released_size_take_less_than_a_gigabyte_and_longer_ones_more() {
        let config = BigVganConfig::lumina();
        let bytes = config.wave_bytes(1, 624);
        assert!((100 << 20..1 << 30).contains(&bytes), "{bytes}");
        assert_eq!(config.wave_bytes(2, 624), 2 * bytes);
    }
}
