//! The device and number format of a run.

use std::fmt;

use candle_core::{DType, Device};
use lumina_engine::World;
use thiserror::Error;

/// A resource of the world: where tensors live and in which format networks compute.
#[derive(Clone, Debug)]
pub struct Compute {
    /// Where.
    pub device: Device,
    /// In which format.
    pub dtype: DType,
    name: String,
}

/// A device or format that cannot be used.
#[derive(Debug, Error)]
pub enum ComputeError {
    /// Not the name of a device.
    #[error("no device is called `{0}`: use `auto`, `cpu` or `cuda:0`")]
    UnknownDevice(String),
    /// A format that networks do not compute in.
    #[error("no number format is called `{0}`: use `f32`, `bf16` or `f16`")]
    UnknownDType(String),
    /// The program was built without support for the device, or the device does not work.
    #[error("cannot use `{name}`: {cause}")]
    Unavailable {
        /// The device.
        name: String,
        /// Why not.
        cause: String,
    },
}

impl Compute {
    /// Opens a device by name: `auto`, `cpu`, `cuda:0`.
    ///
    /// # Errors
    /// When there is no such device or format.
    pub fn open(device: &str, dtype: &str) -> Result<Self, ComputeError> {
        let dtype = match dtype {
            "f32" => DType::F32,
            "bf16" => DType::BF16,
            "f16" => DType::F16,
            other => return Err(ComputeError::UnknownDType(other.to_owned())),
        };
        let device_name = match device {
            "auto" if candle_core::utils::cuda_is_available() => "cuda:0",
            "auto" => "cpu",
            other => other,
        };
        let unavailable = |cause: String| ComputeError::Unavailable { name: device_name.to_owned(), cause };
        let opened = match device_name.split_once(':') {
            None if device_name == "cpu" => Device::Cpu,
            None if device_name == "cuda" => cuda(0).map_err(unavailable)?,
            Some(("cuda", index)) => {
                let index = index.parse().map_err(|_| ComputeError::UnknownDevice(device.to_owned()))?;
                cuda(index).map_err(unavailable)?
            }
            _ => return Err(ComputeError::UnknownDevice(device.to_owned())),
        };
        Ok(Self { device: opened, dtype, name: device_name.to_owned() })
    }

    /// The device and format of a world; the CPU in f32 where the world has none.
    pub fn of(world: &dyn World) -> Self {
        let default = || Self { device: Device::Cpu, dtype: DType::F32, name: "cpu".to_owned() };
        world.resources().get::<Compute>().map_or_else(default, |compute| (*compute).clone())
    }
}

impl fmt::Display for Compute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.name, self.dtype.as_str())
    }
}

fn cuda(index: usize) -> Result<Device, String> {
    if !candle_core::utils::cuda_is_available() {
        return Err("this program was built without CUDA".to_owned());
    }
    // One explicit stream for all threads: the per-thread default streams are not ordered among each other.
    Device::new_cuda_with_stream(index).map_err(|error| error.to_string())
}
