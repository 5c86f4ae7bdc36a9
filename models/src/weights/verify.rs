//! Comparing a checkpoint with what a network needs, from headers alone.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Checkpoint, KeyMap, StoredFormat, shape_fits};
use crate::ModelError;

/// The tensors that a network reads, by canonical name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// Tensors that must be there, with their shapes.
    pub required: Vec<(String, Vec<usize>)>,
    /// Tensors that are read when they are there.
    pub optional: Vec<(String, Vec<usize>)>,
}

impl Expected {
    /// The number of numbers in the required tensors.
    pub fn parameters(&self) -> u64 {
        let count = |shape: &Vec<usize>| shape.iter().map(|&size| size as u64).product::<u64>();
        self.required.iter().map(|(_, shape)| count(shape)).sum()
    }
}

/// A tensor whose stored shape does not fit the config.
#[derive(Clone, Debug, PartialEq)]
pub struct ShapeMismatch {
    /// The file that holds it.
    pub file: PathBuf,
    /// Its stored name.
    pub key: String,
    /// The shape that follows from the config.
    pub expected: Vec<usize>,
    /// The stored shape.
    pub found: Vec<usize>,
}

/// A tensor whose numbers are stored in a format that cannot be a weight.
#[derive(Clone, Debug, PartialEq)]
pub struct FormatMismatch {
    /// The file that holds it.
    pub file: PathBuf,
    /// Its stored name.
    pub key: String,
    /// The stored format.
    pub found: StoredFormat,
}

/// The differences between a checkpoint and a network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The checkpoint.
    pub path: PathBuf,
    /// Stored names that were looked for and are not there.
    pub missing: Vec<String>,
    /// Stored names that the network does not read. Not a mistake by itself, but often the sign of a wrong config.
    pub unused: Vec<String>,
    /// Tensors of a wrong shape.
    pub wrong_shape: Vec<ShapeMismatch>,
    /// Tensors of a format that cannot be a weight.
    pub wrong_format: Vec<FormatMismatch>,
    /// Tensors that the network reads, in formats that cannot be read, with the names of these.
    pub unreadable: Vec<(String, &'static str)>,
}

impl Report {
    /// Whether the network can be loaded.
    pub fn is_loadable(&self) -> bool {
        self.errors().is_empty()
    }

    /// The mistakes as errors: missing tensors first, then wrong shapes, then formats. Unused tensors are not among them.
    pub fn errors(&self) -> Vec<ModelError> {
        let mut errors = Vec::new();
        if !self.missing.is_empty() {
            errors.push(ModelError::MissingKeys { path: self.path.clone(), keys: self.missing.clone() });
        }
        errors.extend(self.wrong_shape.iter().map(|wrong| ModelError::Shape {
            path: wrong.file.clone(),
            key: wrong.key.clone(),
            expected: wrong.expected.clone(),
            found: wrong.found.clone(),
        }));
        errors.extend(self.wrong_format.iter().map(|wrong| ModelError::DType {
            path: wrong.file.clone(),
            key: wrong.key.clone(),
            found: wrong.found.to_string(),
        }));
        if !self.unreadable.is_empty() {
            let (path, tensors) = (self.path.clone(), self.unreadable.clone());
            errors.push(ModelError::UnreadableFormat { path, tensors });
        }
        errors
    }
}

/// Compares `checkpoint` with `expected`; `ignorable` says which unused stored names are not worth a word.
pub fn verify(
    checkpoint: &Checkpoint,
    keys: &KeyMap,
    expected: &Expected,
    ignorable: &dyn Fn(&str) -> bool,
) -> Report {
    let mut report = Report { path: checkpoint.path().to_owned(), ..Report::default() };
    let mut used = BTreeSet::new();
    let required = expected.required.iter().map(|entry| (entry, true));
    for ((name, shape), required) in required.chain(expected.optional.iter().map(|entry| (entry, false))) {
        let stored = keys.resolve(name, checkpoint);
        let Some((stored, tensor)) = stored.and_then(|key| checkpoint.get(&key).map(|tensor| (key, tensor)))
        else {
            if required {
                report.missing.push(keys.names(name).into_iter().next().unwrap_or_else(|| name.clone()));
            }
            continue;
        };
        if !shape_fits(&tensor.shape, shape) {
            report.wrong_shape.push(ShapeMismatch {
                file: checkpoint.file_of(tensor).to_owned(),
                key: stored.clone(),
                expected: shape.clone(),
                found: tensor.shape.clone(),
            });
        }
        match tensor.format {
            StoredFormat::Unreadable(format) => report.unreadable.push((stored.clone(), format)),
            format if !format.is_weight() => report.wrong_format.push(FormatMismatch {
                file: checkpoint.file_of(tensor).to_owned(),
                key: stored.clone(),
                found: format,
            }),
            _ => {}
        }
        used.insert(stored);
    }
    let unread = checkpoint.tensors().keys().filter(|key| !used.contains(*key) && !ignorable(key));
    report.unused = unread.cloned().collect();
    report
}
