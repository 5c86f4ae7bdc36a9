//! In which number format the state is carried from step to step.

use candle_core::{DType, Tensor};

use crate::Result;

/// How the state and every intermediate result of a step are rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatePrecision {
    /// Not at all beyond the number format of the latent, which should be float32.
    #[default]
    Full,
    /// To bfloat16 after every operation, as torchdiffeq does when it is given a latent in bfloat16: the released
    /// pictures of Lumina-T2X are made so. Times and distances between them are float32, the network is told times in
    /// bfloat16. The tensors themselves are float32, with values that bfloat16 can hold.
    ///
    /// Source: `solvers.py`, `fixed_grid.py` and `misc.py` (`_PerturbFunc`) of torchdiffeq 0.2.5; a tensor without
    /// dimensions does not change the number format of a tensor with some.
    Bfloat16,
}

impl StatePrecision {
    /// The tensor as the state holds it.
    ///
    /// # Errors
    /// Those of the device.
    pub fn rounded(self, tensor: Tensor) -> Result<Tensor> {
        match self {
            Self::Full => Ok(tensor),
            Self::Bfloat16 => Ok(tensor.to_dtype(DType::BF16)?.to_dtype(DType::F32)?),
        }
    }

    /// The tensor times all `factors`: at once, or one after the other where each product is rounded.
    ///
    /// # Errors
    /// Those of the device.
    pub fn scaled(self, tensor: &Tensor, factors: &[f64]) -> Result<Tensor> {
        match self {
            Self::Full => Ok((tensor * factors.iter().product::<f64>())?),
            Self::Bfloat16 => {
                let mut scaled = tensor.clone();
                for &factor in factors {
                    scaled = self.rounded((scaled * factor)?)?;
                }
                Ok(scaled)
            }
        }
    }

    /// `a + b`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn sum(self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.rounded((a + b)?)
    }

    /// `a - b`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn difference(self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.rounded((a - b)?)
    }

    /// `latent + change * factors`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn moved(self, latent: &Tensor, change: &Tensor, factors: &[f64]) -> Result<Tensor> {
        self.sum(latent, &self.scaled(change, factors)?)
    }

    /// The time as the solver reckons with it.
    pub(super) fn clock(self, time: f64) -> f64 {
        match self {
            Self::Full => time,
            Self::Bfloat16 => f64::from(time as f32),
        }
    }

    /// The time as the network is told it.
    pub(super) fn told(self, time: f64) -> f64 {
        match self {
            Self::Full => time,
            Self::Bfloat16 => half::bf16::from_f32(time as f32).to_f64(),
        }
    }
}
