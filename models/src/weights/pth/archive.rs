//! A file that `torch.save` wrote: a zip file with a pickle and one entry for each storage.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use safetensors::Dtype;

use super::pickle::{Pickle, TensorReference, Value};
use super::zip::{ZipDirectory, read_range};
use super::{PthError, branch};
use crate::{ModelError, Result};

/// How files begin that torch wrote before version 1.6: a pickle of a magic number.
const OLD_MAGIC: [u8; 14] = *b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// The tensors and the plain fields of a file that `torch.save` wrote; no weight byte is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PthArchive {
    tensors: BTreeMap<String, PthTensor>,
    fields: BTreeMap<String, PthField>,
    notes: Vec<String>,
}

/// Where one tensor lies and what it is.
#[derive(Clone, Debug, PartialEq)]
pub struct PthTensor {
    /// Number format.
    pub dtype: Dtype,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// First byte, counted from the start of the file: of the tensor, or of its storage when it is a view.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// Set when its numbers do not lie one after the other.
    pub view: Option<PthView>,
}

/// A tensor that takes some numbers of a storage, or takes them in another order.
#[derive(Clone, Debug, PartialEq)]
pub struct PthView {
    /// Numbers in the storage before its first.
    pub offset: usize,
    /// Numbers between neighbours in each dimension.
    pub strides: Vec<usize>,
}

/// A plain value that lies beside the tensors, such as an argument of a training.
#[derive(Clone, Debug, PartialEq)]
pub enum PthField {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
}

impl PthArchive {
    /// Reads and checks the pickle and the directory of `path`.
    ///
    /// # Errors
    /// [`ModelError::FileNotFound`] or [`ModelError::Read`] when the file cannot be read, [`ModelError::Pth`] when it is
    /// damaged or holds something else than tensors and plain values.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(|source| ModelError::read(path, source))?;
        Self::read(&mut file).map_err(|error| match error {
            PthError::Read(source) => ModelError::read(path, source),
            reason => ModelError::Pth { path: path.to_owned(), reason },
        })
    }

    /// As [`open`](Self::open), from an open file or from bytes in a [`std::io::Cursor`].
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(file: &mut (impl Read + Seek)) -> std::result::Result<Self, PthError> {
        refuse_old_format(file)?;
        let directory = ZipDirectory::read(file)?;
        let folders = directory.entries().keys().filter_map(|name| name.strip_suffix("/data.pkl"));
        let mut folders = folders.filter(|folder| !folder.contains('/'));
        let (Some(folder), None) = (folders.next(), folders.next()) else {
            return Err(PthError::Content(
                "it is a zip file, but not one that `torch.save` wrote".to_owned(),
            ));
        };
        if let Ok(entry) = directory.stored(&format!("{folder}/byteorder"))
            && read_range(file, entry.start, (entry.end - entry.start).min(16))? != b"little"
        {
            return Err(PthError::Content("its numbers are not little-endian".to_owned()));
        }
        let entry = directory.stored(&format!("{folder}/data.pkl"))?;
        let length = entry.end - entry.start;
        if length > Pickle::MAX_BYTES {
            return Err(PthError::Content(format!("its pickle has {length} bytes, more than any has")));
        }
        let bytes = read_range(file, entry.start, length)?;
        Self::assemble(&Pickle::parse(&bytes)?, &directory, folder)
    }

    fn assemble(
        pickle: &Pickle<'_>,
        directory: &ZipDirectory,
        folder: &str,
    ) -> std::result::Result<Self, PthError> {
        let mut archive = Self::default();
        for (key, value) in pickle.entries(pickle.root()).unwrap_or_default() {
            if let (Some(name), Some(field)) = (pickle.text(*key), PthField::of(pickle, *value)) {
                archive.fields.insert(name.to_owned(), field);
            }
        }
        let (entries, notes) = branch::choose(pickle)?;
        archive.notes = notes;
        for (key, value) in entries {
            let Some(tensor) = pickle.tensor(*value) else { continue };
            let name = pickle.text(*key);
            let name =
                name.ok_or_else(|| PthError::Content("it holds a tensor without a name".to_owned()))?;
            let tensor = PthTensor::place(pickle, name, tensor, directory, folder)?;
            if archive.tensors.insert(name.to_owned(), tensor).is_some() {
                return Err(PthError::Content(format!("it holds `{name}` twice")));
            }
        }
        Ok(archive)
    }

    /// Every tensor by its name. Empty for a file of arguments.
    pub fn tensors(&self) -> &BTreeMap<String, PthTensor> {
        &self.tensors
    }

    /// The plain values at the top of the file.
    pub fn fields(&self) -> &BTreeMap<String, PthField> {
        &self.fields
    }

    /// What was chosen where the file left a choice, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl PthTensor {
    fn place(
        pickle: &Pickle<'_>,
        name: &str,
        tensor: &TensorReference,
        directory: &ZipDirectory,
        folder: &str,
    ) -> std::result::Result<Self, PthError> {
        let key = pickle.text(Value::Text(tensor.storage.key)).unwrap_or_default();
        let entry = directory.stored(&format!("{folder}/data/{key}"))?;
        let held = entry.end - entry.start;
        // Every format of torch has whole bytes.
        let width = tensor.format.bitsize() as u64 / 8;
        let needed =
            tensor.storage.count.checked_mul(if tensor.storage.format.is_some() { width } else { 1 });
        if needed != Some(held) {
            return Err(PthError::Content(format!(
                "the storage of `{name}` has {held} bytes, its pickle says {} numbers of {width} bytes",
                tensor.storage.count
            )));
        }
        let (dtype, shape) = (tensor.format, tensor.shape.clone());
        if !tensor.is_contiguous() {
            let view = Some(PthView { offset: tensor.offset, strides: tensor.strides.clone() });
            return Ok(Self { dtype, shape, start: entry.start, end: entry.end, view });
        }
        // Inside the storage: checked when the tensor was rebuilt.
        let start = entry.start + tensor.offset as u64 * width;
        let end = start + shape.iter().product::<usize>() as u64 * width;
        Ok(Self { dtype, shape, start, end, view: None })
    }
}

impl PthField {
    fn of(pickle: &Pickle<'_>, value: Value) -> Option<Self> {
        Some(match value {
            Value::None => Self::None,
            Value::Bool(value) => Self::Bool(value),
            Value::Int(value) => Self::Int(value),
            Value::Float(value) => Self::Float(value),
            Value::Text(_) => Self::Text(pickle.text(value)?.to_owned()),
            Value::Global(_) | Value::Object(_) | Value::Dropped => return None,
        })
    }
}

fn refuse_old_format(file: &mut (impl Read + Seek)) -> std::result::Result<(), PthError> {
    let mut start = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.by_ref().take(OLD_MAGIC.len() as u64).read_to_end(&mut start)?;
    if start == OLD_MAGIC {
        return Err(PthError::Content(
            "it is in the format that torch wrote before version 1.6, which is not read: load it in torch and save it \
             again, best as safetensors"
                .to_owned(),
        ));
    }
    Ok(())
}
