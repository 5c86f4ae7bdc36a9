//! The sizes of a mel autoencoder from the shapes of its tensors.

use super::{MelAutoencoder, MelAutoencoderConfig};
use crate::weights::Checkpoint;
use crate::{ModelError, Result};

impl MelAutoencoderConfig {
    /// From the shapes of a checkpoint, which tell all of it.
    ///
    /// # Errors
    /// [`ModelError::MissingKeys`] when it is no mel autoencoder, [`ModelError::Config`] when its sizes do not fit
    /// together.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let keys = MelAutoencoder::key_map(checkpoint);
        let shape = |name: &str| keys.resolve(name, checkpoint).and_then(|key| checkpoint.get(&key));
        let size = |name: &str, axis: usize| {
            shape(name).and_then(|tensor| tensor.shape.get(axis)).copied().ok_or_else(|| {
                ModelError::MissingKeys { path: checkpoint.path().to_owned(), keys: keys.names(name) }
            })
        };
        let ch = size("encoder.conv_in.weight", 0)?;
        let (mut ch_mult, mut down_layers, mut attn_layers) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(first) = shape(&format!("encoder.down.{}.block.0.conv1.weight", ch_mult.len())) {
            let level = ch_mult.len();
            if shape(&format!("encoder.down.{level}.downsample.conv.weight")).is_some() {
                down_layers.push(level);
            }
            if shape(&format!("encoder.down.{level}.attn.0.norm.weight")).is_some() {
                attn_layers.push(level);
            }
            ch_mult.push(first.shape.first().copied().unwrap_or(0) / ch.max(1));
        }
        let block = |index: usize| format!("encoder.down.0.block.{index}.conv1.weight");
        let num_res_blocks = (0..).take_while(|index| shape(&block(*index)).is_some()).count();
        let config = Self {
            embed_dim: size("post_quant_conv.weight", 1)?,
            in_channels: size("encoder.conv_in.weight", 1)?,
            out_ch: size("decoder.conv_out.weight", 0)?,
            z_channels: size("post_quant_conv.weight", 0)?,
            kernel_size: size("encoder.conv_in.weight", 2)?,
            ch,
            ch_mult,
            num_res_blocks,
            attn_layers,
            down_layers,
        };
        config.check().map_err(|reason| ModelError::config(checkpoint.path(), reason))?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_tensors_tell_what_the_config_says() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/audio_autoencoder1d");
        let checkpoint = Checkpoint::open(&dir, "weights").unwrap();
        let found = MelAutoencoderConfig::from_checkpoint(&checkpoint).unwrap();
        let file: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.join("config.json")).unwrap()).unwrap();
        let told = MelAutoencoderConfig::parse(file["constructor"].to_string().as_bytes()).unwrap();
        // Levels that do not exist have no tensors.
        assert_eq!(found, MelAutoencoderConfig { attn_layers: Vec::new(), ..told });
    }
}
