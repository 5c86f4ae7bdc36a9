//! Outputs by content key: in memory, and on disk where the program gives a place for it.

mod disk;
mod memory;

use std::sync::Arc;
use std::time::Duration;

pub use disk::DiskCache;
pub use memory::MemoryCache;

use crate::key::Key;
use crate::registry::Registry;
use crate::value::Value;
use crate::world::World;

/// Both caches. What is found on disk is kept in memory from then on.
pub struct Cache {
    /// Outputs of this process.
    pub memory: MemoryCache,
    /// Outputs of all processes.
    pub disk: Option<DiskCache>,
}

impl Cache {
    /// The outputs of a key.
    pub fn get(&self, key: &Key, registry: &Registry, world: &dyn World) -> Option<Arc<[Value]>> {
        if let Some(outputs) = self.memory.get(key) {
            return Some(outputs);
        }
        let (outputs, cost) = self.disk.as_ref()?.get(key, registry, world)?;
        self.memory.insert(*key, Arc::clone(&outputs), cost);
        Some(outputs)
    }

    /// Keeps outputs that took `cost` to make.
    pub fn insert(&self, key: Key, outputs: &Arc<[Value]>, cost: Duration, registry: &Registry) {
        self.memory.insert(key, Arc::clone(outputs), cost);
        if let Some(disk) = &self.disk {
            disk.insert(&key, outputs, cost, registry);
        }
    }
}
