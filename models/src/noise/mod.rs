//! Noise from a seed, made on the host in f32: the same numbers on every device.

mod philox;
mod torch_cpu;

use candle_core::{Device, Tensor};

use crate::{ModelError, Result};

/// Which stream of numbers a seed means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generator {
    /// Philox 4x32-10: element i depends on the seed and on i alone, whatever the shape.
    #[default]
    Philox,
    /// The numbers of `torch.manual_seed(seed); torch.randn(shape)` on the CPU.
    TorchCpu,
}

impl Generator {
    /// `count` standard normal numbers.
    pub fn normal_values(self, seed: u64, count: usize) -> Vec<f32> {
        match self {
            Self::Philox => philox::normal(seed, count),
            Self::TorchCpu => torch_cpu::normal(seed, count),
        }
    }

    /// A tensor of standard normal numbers in f32.
    ///
    /// # Errors
    /// [`ModelError::Input`] for a shape of more than 2^32 numbers.
    pub fn normal(self, seed: u64, shape: &[usize], device: &Device) -> Result<Tensor> {
        let count = shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
        let count = count.filter(|&count| count as u64 <= 1 << 32).ok_or_else(|| {
            ModelError::input("the shape of the noise", "at most 2^32 numbers", format!("{shape:?}"))
        })?;
        Ok(Tensor::from_vec(self.normal_values(seed, count), shape, device)?)
    }
}
