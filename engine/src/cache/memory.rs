//! Outputs kept in memory, within a budget.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Outputs;
use crate::key::Key;
use crate::value::Value;

/// Outputs by key. When they exceed the budget, those that cost least to make again per byte go first.
pub struct MemoryCache {
    budget: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<Key, Entry>,
    /// Other keys of entries.
    aliases: HashMap<Key, Key>,
    bytes: u64,
    clock: u64,
}

struct Entry {
    outputs: Outputs,
    bytes: u64,
    cost: Duration,
    last_used: u64,
}

impl MemoryCache {
    /// An empty cache that keeps at most `budget` bytes.
    pub fn new(budget: u64) -> Self {
        Self { budget, state: Mutex::default() }
    }

    /// The outputs of a key.
    pub fn get(&self, key: &Key) -> Option<Outputs> {
        let mut state = self.state();
        state.clock += 1;
        let now = state.clock;
        let key = state.aliases.get(key).copied().unwrap_or(*key);
        let entry = state.entries.get_mut(&key)?;
        entry.last_used = now;
        Some(entry.outputs.clone())
    }

    /// Lets an entry be found under another key too.
    pub(super) fn alias(&self, other: Key, key: Key) {
        let mut state = self.state();
        let key = state.aliases.get(&key).copied().unwrap_or(key);
        if other == key || !state.entries.contains_key(&key) {
            return;
        }
        state.aliases.insert(other, key);
        // Aliases of entries that are gone are harmless, as long as they are few.
        if state.aliases.len() > 1000 + 4 * state.entries.len() {
            let State { entries, aliases, .. } = &mut *state;
            aliases.retain(|_, key| entries.contains_key(key));
        }
    }

    /// Keeps outputs that took `cost` to make. Outputs larger than the budget are not kept.
    pub fn insert(&self, key: Key, outputs: Outputs, cost: Duration) {
        // An entry costs something even when its values are tiny.
        let bytes = 64 + outputs.values.iter().map(Value::byte_size).sum::<u64>();
        if bytes > self.budget {
            return;
        }
        let mut state = self.state();
        state.clock += 1;
        let entry = Entry { outputs, bytes, cost, last_used: state.clock };
        state.bytes += bytes;
        if let Some(old) = state.entries.insert(key, entry) {
            state.bytes -= old.bytes;
        }
        while state.bytes > self.budget && state.evict(Some(&key)) {}
    }

    /// Drops entries until at most `bytes` are kept; gives the number of bytes dropped.
    pub fn shrink(&self, bytes: u64) -> u64 {
        let mut state = self.state();
        let before = state.bytes;
        while state.bytes > bytes && state.evict(None) {}
        before - state.bytes
    }

    /// Bytes kept.
    pub fn bytes(&self) -> u64 {
        self.state().bytes
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held leaves counters at worst, never a wrong value under a key.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Drops the entry that is cheapest to make again per byte; of equals, the one unused for longest.
    fn evict(&mut self, keep: Option<&Key>) -> bool {
        let worth = |entry: &Entry| entry.cost.as_secs_f64() / entry.bytes as f64;
        let cheapest = self
            .entries
            .iter()
            .filter(|(key, _)| Some(*key) != keep)
            .min_by(|(_, a), (_, b)| worth(a).total_cmp(&worth(b)).then(a.last_used.cmp(&b.last_used)))
            .map(|(key, _)| *key);
        match cheapest.and_then(|key| self.entries.remove(&key)) {
            Some(entry) => {
                self.bytes -= entry.bytes;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Digest;

    fn text(length: usize) -> Outputs {
        Outputs::new(vec![Value::text("x".repeat(length))], &Digest::of(b"made"))
    }

    #[test]
    fn the_budget_is_kept_and_the_cheapest_goes_first() {
        let cache = MemoryCache::new(1000);
        let [cheap, dear, new] = ["cheap", "dear", "new"].map(|name| Digest::of(name.as_bytes()));
        cache.insert(cheap, text(400), Duration::from_millis(1));
        cache.insert(dear, text(400), Duration::from_secs(1));
        cache.insert(new, text(400), Duration::from_millis(1));
        assert!(cache.bytes() <= 1000);
        assert!(cache.get(&cheap).is_none());
        assert!(cache.get(&dear).is_some() && cache.get(&new).is_some());
    }

    #[test]
    fn what_is_larger_than_the_budget_is_not_kept() {
        let cache = MemoryCache::new(100);
        cache.insert(Digest::of(b"a"), text(500), Duration::ZERO);
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn replacing_an_entry_does_not_count_it_twice() {
        let cache = MemoryCache::new(1000);
        let key = Digest::of(b"a");
        cache.insert(key, text(100), Duration::ZERO);
        let once = cache.bytes();
        cache.insert(key, text(100), Duration::ZERO);
        assert_eq!(cache.bytes(), once);
    }
}
