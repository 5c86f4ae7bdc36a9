//! Reading tensors by canonical name.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Tensor};

use super::files::Files;
use super::{Checkpoint, Expected, KeyMap, Matrix};
use crate::{Interrupt, Result};

/// The tensors of a checkpoint under their canonical names, converted to one number format on one device.
///
/// A clone, or a view [`under`](Self::under) a prefix, shares the files and the record of what was read.
///
/// [`Weights::plan`] gives a loader without files: it writes down what is asked for and hands out zeros that take no
/// memory. What a network expects is found by loading it from a plan, so that the list and the code cannot disagree.
#[derive(Clone)]
pub struct Weights {
    source: Arc<Source>,
    prefix: String,
    dtype: DType,
}

enum Source {
    Files(Box<Files>),
    Plan(Mutex<Expected>),
}

impl Weights {
    /// Maps the files of `checkpoint` into memory.
    ///
    /// # Errors
    /// [`ModelError::FileNotFound`] or [`ModelError::Read`] when a file has gone since its header was read.
    pub fn open(
        checkpoint: &Checkpoint,
        keys: KeyMap,
        dtype: DType,
        device: &Device,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let files = Files::open(checkpoint, keys, device, interrupt)?;
        Ok(Self { source: Arc::new(Source::Files(Box::new(files))), prefix: String::new(), dtype })
    }

    /// A loader that only writes down what is asked for.
    pub fn plan() -> Self {
        let source = Arc::new(Source::Plan(Mutex::default()));
        Self { source, prefix: String::new(), dtype: DType::F32 }
    }

    /// What was asked of a [`plan`](Self::plan) so far; nothing for a loader with files.
    pub fn planned(&self) -> Expected {
        match &*self.source {
            Source::Plan(expected) => lock(expected).clone(),
            Source::Files(_) => Expected::default(),
        }
    }

    /// Whether it is a [`plan`](Self::plan): nothing should be computed from its tensors, which would then take memory.
    pub(crate) fn is_plan(&self) -> bool {
        matches!(&*self.source, Source::Plan(_))
    }

    /// The same tensors, with names that continue `prefix.`.
    pub fn under(&self, prefix: impl Display) -> Self {
        let prefix = format!("{}{prefix}.", self.prefix);
        Self { source: Arc::clone(&self.source), prefix, dtype: self.dtype }
    }

    /// The same tensors, converted to `dtype`.
    pub fn with_dtype(&self, dtype: DType) -> Self {
        Self { dtype, ..self.clone() }
    }

    /// The number format that [`tensor`](Self::tensor) converts to.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The device that tensors are put on.
    pub fn device(&self) -> &Device {
        match &*self.source {
            Source::Files(files) => files.device(),
            Source::Plan(_) => &Device::Cpu,
        }
    }

    /// The tensor `name` under the prefix.
    ///
    /// # Errors
    /// [`ModelError::MissingKeys`], [`ModelError::Shape`] or [`ModelError::DType`] with the file and the stored name;
    /// [`ModelError::Interrupted`].
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.tensor_as_stored(name, shape)?;
        Ok(tensor.to_dtype(self.dtype())?.to_device(self.device())?)
    }

    /// As [`tensor`](Self::tensor), or none when the checkpoint has no such tensor.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor), but for a missing one.
    pub fn optional(&self, name: &str, shape: &[usize]) -> Result<Option<Tensor>> {
        let canonical = format!("{}{name}", self.prefix);
        match &*self.source {
            Source::Plan(expected) => {
                lock(expected).optional.push((canonical, shape.to_vec()));
                Ok(None)
            }
            Source::Files(files) if !files.has(&canonical) => Ok(None),
            Source::Files(_) => self.tensor(name, shape).map(Some),
        }
    }

    /// The tensor `name` in the number format of the file, on the CPU. For tables of which few rows are needed.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub fn tensor_as_stored(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let canonical = format!("{}{name}", self.prefix);
        match &*self.source {
            Source::Plan(expected) => {
                lock(expected).required.push((canonical, shape.to_vec()));
                Ok(Tensor::zeros((), DType::F32, &Device::Cpu)?.broadcast_as(shape)?)
            }
            Source::Files(files) => files.read(&canonical, shape),
        }
    }

    /// The matrix `name` under the prefix, kept quantised where the file has it so and products with it can be computed.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub fn matrix(&self, name: &str, shape: &[usize]) -> Result<Matrix> {
        match self.quantized(name, shape, self.device())? {
            Some(matrix) if matrix.multiplies() => Ok(matrix),
            _ => self.tensor(name, shape).map(Matrix::Plain),
        }
    }

    /// As [`matrix`](Self::matrix), or none when the checkpoint has no such tensor.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor), but for a missing one.
    pub fn optional_matrix(&self, name: &str, shape: &[usize]) -> Result<Option<Matrix>> {
        match self.quantized(name, shape, self.device())? {
            Some(matrix) if matrix.multiplies() => Ok(Some(matrix)),
            _ => Ok(self.optional(name, shape)?.map(Matrix::Plain)),
        }
    }

    /// As [`matrix`](Self::matrix), in the format of the file and on the CPU. For tables of which few rows are needed.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub fn matrix_as_stored(&self, name: &str, shape: &[usize]) -> Result<Matrix> {
        match self.quantized(name, shape, &Device::Cpu)? {
            Some(matrix) => Ok(matrix),
            None => self.tensor_as_stored(name, shape).map(Matrix::Plain),
        }
    }

    /// The matrix `name`, if it is there and quantised.
    fn quantized(&self, name: &str, shape: &[usize], device: &Device) -> Result<Option<Matrix>> {
        match &*self.source {
            Source::Plan(_) => Ok(None),
            Source::Files(files) => {
                let matrix = files.read_quantized(&format!("{}{name}", self.prefix), shape, device)?;
                Ok(matrix.map(|matrix| Matrix::Quantized(Arc::new(matrix))))
            }
        }
    }

    /// The stored names that were never read.
    pub fn unused(&self) -> Vec<String> {
        match &*self.source {
            Source::Plan(_) => Vec::new(),
            Source::Files(files) => files.unused(),
        }
    }
}

/// A panic elsewhere leaves a set of names half written at worst; that is no reason to panic here as well.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;

    use super::*;
    use crate::ModelError;

    #[test]
    fn a_plan_lists_what_was_asked_for() {
        let plan = Weights::plan();
        let layer = plan.under("layers").under(3);
        assert_eq!(layer.tensor("weight", &[2, 5]).unwrap().dims(), [2, 5]);
        assert!(layer.optional("bias", &[2]).unwrap().is_none());
        let expected = plan.planned();
        assert_eq!(expected.required, [("layers.3.weight".to_owned(), vec![2, 5])]);
        assert_eq!(expected.optional, [("layers.3.bias".to_owned(), vec![2])]);
    }

    #[test]
    fn half_precision_is_widened_and_wrong_shapes_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        let data: Vec<u8> =
            [1.5_f32, -2.0].iter().flat_map(|&v| half::bf16::from_f32(v).to_le_bytes()).collect();
        let view = safetensors::tensor::TensorView::new(Dtype::BF16, vec![2], &data).unwrap();
        std::fs::write(&path, safetensors::serialize([("w", view.clone()), ("unread", view)], None).unwrap())
            .unwrap();
        let checkpoint = Checkpoint::open_file(&path).unwrap();
        let weights =
            Weights::open(&checkpoint, KeyMap::identity(), DType::F32, &Device::Cpu, &Interrupt::never())
                .unwrap();
        assert_eq!(weights.tensor("w", &[2]).unwrap().to_vec1::<f32>().unwrap(), [1.5, -2.0]);
        assert_eq!(weights.unused(), ["unread"]);
        let error = weights.tensor("w", &[3]).unwrap_err().to_string();
        assert!(error.contains("w.safetensors") && error.contains("[3]") && error.contains("[2]"), "{error}");
    }

    #[test]
    fn loading_can_be_interrupted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        let view = safetensors::tensor::TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
        std::fs::write(&path, safetensors::serialize([("w", view)], None).unwrap()).unwrap();
        let checkpoint = Checkpoint::open_file(&path).unwrap();
        let stop = Interrupt::new(|| true);
        let weights =
            Weights::open(&checkpoint, KeyMap::identity(), DType::F32, &Device::Cpu, &stop).unwrap();
        assert!(matches!(weights.tensor("w", &[1]), Err(ModelError::Interrupted)));
    }
}
