//! A store without a disk.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use lumina_engine::{Store, Stored};

/// A store in memory that outlives the engines that use it.
#[derive(Clone, Default)]
pub(crate) struct MemoryStore(Arc<Mutex<HashMap<String, Vec<u8>>>>);

impl Store for MemoryStore {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().get(name).cloned())
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().insert(name.to_owned(), content.to_owned());
        Ok(())
    }

    fn contains(&self, name: &str) -> bool {
        self.0.lock().unwrap().contains_key(name)
    }

    fn touch(&self, _: &str) {}

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().unwrap().remove(name);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<Stored>> {
        let stored = self.0.lock().unwrap();
        Ok(stored
            .iter()
            .map(|(name, bytes)| Stored { name: name.clone(), bytes: bytes.len() as u64, last_used: 0 })
            .collect())
    }
}

impl MemoryStore {
    /// Everything that is kept, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.lock().unwrap().keys().cloned().collect();
        names.sort();
        names
    }
}
