//! Outputs by content key: in memory, and on disk where the program gives a place for it.

mod books;
mod disk;
mod held;
mod memory;

use std::sync::Arc;
use std::time::Duration;

pub use disk::DiskCache;
pub use memory::MemoryCache;

use crate::key::{Digest, Key, content, made};
use crate::registry::Registry;
use crate::value::Value;
use crate::world::World;

/// What a node gave.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// One for each output.
    pub values: Arc<[Value]>,
    /// What each is known by: a digest of its content, or of how it was made.
    pub(crate) identities: Arc<[Digest]>,
}

impl Outputs {
    /// Outputs that were made under a key.
    pub(crate) fn new(values: Vec<Value>, key: &Key) -> Self {
        let identity = |(output, value)| content(value).unwrap_or_else(|| made(key, output));
        let identities = values.iter().enumerate().map(identity).collect();
        Self { values: values.into(), identities }
    }
}

/// Both caches. What is found on disk is kept in memory from then on.
pub struct Cache {
    /// Outputs of this process.
    pub memory: MemoryCache,
    /// Outputs of all processes.
    pub disk: Option<DiskCache>,
}

impl Cache {
    /// The outputs of a key.
    pub fn get(&self, key: &Key, registry: &Registry, world: &dyn World) -> Option<Outputs> {
        if let Some(outputs) = self.memory.get(key) {
            return Some(outputs);
        }
        let (outputs, cost) = self.disk.as_ref()?.get(key, registry, world)?;
        self.memory.insert(*key, outputs.clone(), cost);
        Some(outputs)
    }

    /// Keeps outputs that took `cost` to make, under a key and, where that is another one, under the key by which a plan
    /// will look for them.
    pub(crate) fn insert(
        &self,
        key: Key,
        planned: Key,
        outputs: &Outputs,
        cost: Duration,
        registry: &Registry,
    ) {
        self.memory.insert(key, outputs.clone(), cost);
        self.memory.alias(planned, key);
        if let Some(disk) = &self.disk {
            disk.insert(&[key, planned], outputs, cost, registry);
        }
    }

    /// Notes that what a plan will look for under one key is kept under another.
    pub(crate) fn alias(&self, planned: Key, key: Key) {
        self.memory.alias(planned, key);
        if let Some(disk) = &self.disk {
            disk.alias(&planned, &key);
        }
    }
}
