//! Everything outside: files and devices. The engine does no input or output of its own.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::key::Digest;

/// What the engine and the nodes may know and do outside themselves. Tests give a fake one.
pub trait World: Send + Sync {
    /// Finds an existing file or folder that a graph names.
    ///
    /// # Errors
    /// All places that were searched.
    fn find(&self, path: &Path) -> Result<PathBuf, NotFound>;

    /// The content of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The digest of a file's content.
    fn digest(&self, path: &Path) -> io::Result<Digest>;

    /// Writes a whole file or nothing: a reader never sees half of it. Makes missing folders.
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    /// Could a file be written there? Asked while the graph is checked; leaves nothing behind.
    fn can_write(&self, path: &Path) -> io::Result<()>;

    /// Does this file exist?
    fn exists(&self, path: &Path) -> bool;

    /// Device and number format, for keys: results on another device are other results.
    fn environment(&self) -> String;

    /// Things that plugins share, by type: for example the device to compute on.
    fn resources(&self) -> &Resources;
}

/// A path that does not exist in any of the places searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFound {
    /// What was looked for.
    pub path: PathBuf,
    /// Where.
    pub searched: Vec<PathBuf>,
}

/// Values by type.
#[derive(Clone, Default)]
pub struct Resources(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl Resources {
    /// Adds a value, in place of one of the same type.
    pub fn insert<T: Any + Send + Sync>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// The value of a type.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(self.0.get(&TypeId::of::<T>())?).downcast().ok()
    }
}
