//! Reading stored tensors from mapped files.

use std::collections::BTreeSet;
use std::sync::Mutex;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use safetensors::Dtype;

use super::finite::copy;
use super::loader::lock;
use super::mapping::MappedFile;
use super::matrix::quantized;
use super::stored::{Span, Storage, StoredFormat, StoredTensor, gather};
use super::{Checkpoint, KeyMap, shape_fits};
use crate::{Interrupt, ModelError, Result};

/// The files of a checkpoint, and a record of what was read.
pub(super) struct Files {
    checkpoint: Checkpoint,
    maps: Vec<MappedFile>,
    keys: KeyMap,
    device: Device,
    interrupt: Interrupt,
    used: Mutex<BTreeSet<String>>,
}

impl Files {
    /// # Errors
    /// [`ModelError::FileNotFound`] or [`ModelError::Read`] when a file has gone since its header was read.
    pub(super) fn open(
        checkpoint: &Checkpoint,
        keys: KeyMap,
        device: &Device,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        Ok(Self {
            checkpoint: checkpoint.clone(),
            maps: checkpoint.files().iter().map(|path| MappedFile::open(path)).collect::<Result<_>>()?,
            keys,
            device: device.clone(),
            interrupt: interrupt.clone(),
            used: Mutex::default(),
        })
    }

    /// The device that tensors are put on.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// Whether there is such a tensor.
    pub(super) fn has(&self, canonical: &str) -> bool {
        self.keys.resolve(canonical, &self.checkpoint).is_some()
    }

    /// The stored names that were never read.
    pub(super) fn unused(&self) -> Vec<String> {
        let used = lock(&self.used);
        self.checkpoint.tensors().keys().filter(|key| !used.contains(*key)).cloned().collect()
    }

    /// A tensor on the CPU, in the format of the file; in f32 where that is quantised.
    pub(super) fn read(&self, canonical: &str, shape: &[usize]) -> Result<Tensor> {
        let (key, tensor) = self.find(canonical, shape)?;
        let loaded = self.stored(&key, tensor)?.reshape(shape)?;
        lock(&self.used).insert(key);
        Ok(loaded)
    }

    /// A tensor that is stored quantised, kept so; none when it is not there, or stored otherwise.
    pub(super) fn read_quantized(
        &self,
        canonical: &str,
        shape: &[usize],
        device: &Device,
    ) -> Result<Option<QTensor>> {
        let key = self.keys.resolve(canonical, &self.checkpoint);
        let Some(stored) = key.and_then(|key| self.checkpoint.get(&key)) else { return Ok(None) };
        let (StoredFormat::Quantized(format), Storage::Span(span)) = (stored.format, &stored.storage) else {
            return Ok(None);
        };
        let (key, tensor) = self.find(canonical, shape)?;
        let loaded = self.with_bytes(tensor, span, |bytes| quantized(bytes, format, shape, device))?;
        lock(&self.used).insert(key);
        Ok(Some(loaded))
    }

    /// The stored name of a tensor, and the tensor, whose shape fits.
    fn find(&self, canonical: &str, shape: &[usize]) -> Result<(String, &StoredTensor)> {
        self.interrupt.check()?;
        let lacking = |keys| ModelError::MissingKeys { path: self.checkpoint.path().to_owned(), keys };
        let Some(key) = self.keys.resolve(canonical, &self.checkpoint) else {
            return Err(lacking(self.keys.names(canonical)));
        };
        let Some(tensor) = self.checkpoint.get(&key) else { return Err(lacking(vec![key])) };
        if shape_fits(&tensor.shape, shape) {
            return Ok((key, tensor));
        }
        let (expected, found) = (shape.to_vec(), tensor.shape.clone());
        Err(ModelError::Shape { path: self.checkpoint.file_of(tensor).to_owned(), key, expected, found })
    }

    /// The numbers of `tensor`, which is stored as `key`, in its stored shape.
    fn stored(&self, key: &str, tensor: &StoredTensor) -> Result<Tensor> {
        let shape = tensor.shape.as_slice();
        let (span, view) = match &tensor.storage {
            Storage::Span(span) => (span, None),
            Storage::Strided { span, offset, strides } => (span, Some((*offset, strides))),
            Storage::Joined { dimension, parts } => {
                let parts = parts.iter().map(|part| self.stored(key, part)).collect::<Result<Vec<_>>>()?;
                return Ok(Tensor::cat(&parts, *dimension)?);
            }
        };
        let dtype = match self.readable(key, tensor)? {
            Readable::Plain(dtype) => dtype,
            Readable::Quantized(format) => {
                let dequantized = |bytes: &[u8]| {
                    Ok(quantized(bytes, format, shape, &Device::Cpu)?.dequantize(&Device::Cpu)?)
                };
                return self.with_bytes(tensor, span, dequantized);
            }
        };
        let (loaded, is_finite) = self.with_bytes(tensor, span, |bytes| {
            let Some((offset, strides)) = view else { return copy(bytes, dtype, shape) };
            let numbers = gather(bytes, dtype.size_in_bytes(), shape, offset, strides)
                .ok_or_else(|| self.damaged(tensor, &format!("`{key}` leaves its storage")))?;
            copy(&numbers, dtype, shape)
        })?;
        if !is_finite {
            self.interrupt.not_finite(self.checkpoint.file_of(tensor), key);
        }
        Ok(loaded)
    }

    /// Hands the bytes of `span` to `copy`, after which they no longer count as memory of this process.
    fn with_bytes<T>(
        &self,
        tensor: &StoredTensor,
        span: &Span,
        copy: impl FnOnce(&[u8]) -> Result<T>,
    ) -> Result<T> {
        let map = self.maps.get(span.file);
        let mapped = map.and_then(|map| Some((map, map.bytes(span.start, span.end)?)));
        let (map, bytes) = mapped
            .ok_or_else(|| self.damaged(tensor, "the file became shorter after its header was read"))?;
        let copied = copy(bytes)?;
        map.release(span.start, span.end);
        Ok(copied)
    }

    fn damaged(&self, tensor: &StoredTensor, reason: &str) -> ModelError {
        ModelError::Header { path: self.checkpoint.file_of(tensor).to_owned(), reason: reason.to_owned() }
    }

    fn readable(&self, key: &str, tensor: &StoredTensor) -> Result<Readable> {
        match tensor.format {
            StoredFormat::Plain(Dtype::F64) => Ok(Readable::Plain(DType::F64)),
            StoredFormat::Plain(Dtype::F32) => Ok(Readable::Plain(DType::F32)),
            StoredFormat::Plain(Dtype::F16) => Ok(Readable::Plain(DType::F16)),
            StoredFormat::Plain(Dtype::BF16) => Ok(Readable::Plain(DType::BF16)),
            StoredFormat::Plain(_) => Err(ModelError::DType {
                path: self.checkpoint.file_of(tensor).to_owned(),
                key: key.to_owned(),
                found: tensor.format.to_string(),
            }),
            StoredFormat::Quantized(format) => Ok(Readable::Quantized(format)),
            // All of them at once: a user would mend one only to meet the next.
            StoredFormat::Unreadable(_) => Err(ModelError::UnreadableFormat {
                path: self.checkpoint.path().to_owned(),
                tensors: self.checkpoint.unreadable(),
            }),
        }
    }
}

/// What can be read.
enum Readable {
    Plain(DType),
    Quantized(GgmlDType),
}
