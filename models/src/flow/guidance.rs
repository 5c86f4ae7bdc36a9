//! Classifier-free guidance.

use candle_core::Tensor;

use crate::{ModelError, Result};

/// Which latent channels are guided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GuidedChannels {
    /// The first three; the others stay those of the prompt. What the reference does for pictures, also with four
    /// latent channels.
    #[default]
    FirstThree,
    /// All of them, as for audio.
    All,
}

/// `unconditional + scale * (conditional - unconditional)`.
///
/// Source: `forward_with_cfg` of Lumina-T2X `models/model.py`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guidance {
    /// The guidance scale; 1 leaves the prompt's velocity as it is.
    pub scale: f64,
    /// Which channels it acts on.
    pub channels: GuidedChannels,
}

impl Guidance {
    /// Guidance on the first three channels.
    pub fn new(scale: f64) -> Self {
        Self { scale, channels: GuidedChannels::FirstThree }
    }

    /// Whether an unconditional velocity is needed at all: diffusers leaves guidance out up to a scale of 1.
    pub fn is_active(&self) -> bool {
        self.scale > 1.0
    }

    /// # Shapes
    /// Both velocities `[batch, channels, ..]`; the result as well.
    ///
    /// # Errors
    /// [`ModelError::Input`] when the shapes differ.
    pub fn combine(&self, conditional: &Tensor, unconditional: &Tensor) -> Result<Tensor> {
        if conditional.dims() != unconditional.dims() || conditional.rank() < 2 {
            let (expected, found) =
                (format!("{:?}", conditional.dims()), format!("{:?}", unconditional.dims()));
            return Err(ModelError::input("the unconditional velocity", expected, found));
        }
        let channels = conditional.dim(1)?;
        let guided = match self.channels {
            GuidedChannels::FirstThree => channels.min(3),
            GuidedChannels::All => channels,
        };
        let conditional_part = conditional.narrow(1, 0, guided)?.contiguous()?;
        let unconditional_part = unconditional.narrow(1, 0, guided)?.contiguous()?;
        let mixed = (&unconditional_part + ((conditional_part - &unconditional_part)? * self.scale)?)?;
        if guided == channels {
            return Ok(mixed);
        }
        Ok(Tensor::cat(&[mixed, conditional.narrow(1, guided, channels - guided)?.contiguous()?], 1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_fourth_channel_stays_that_of_the_prompt() {
        let c = Tensor::new(&[[1.0_f32, 1.0, 1.0, 1.0]], &Device::Cpu).unwrap();
        let u = Tensor::new(&[[0.0_f32, 0.0, 0.0, 0.0]], &Device::Cpu).unwrap();
        let first = Guidance::new(4.0).combine(&c, &u).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(first, [[4.0, 4.0, 4.0, 1.0]]);
        let all = Guidance { scale: 4.0, channels: GuidedChannels::All }.combine(&c, &u).unwrap();
        assert_eq!(all.to_vec2::<f32>().unwrap(), [[4.0; 4]]);
    }
}
