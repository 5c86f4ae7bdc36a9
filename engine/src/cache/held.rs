//! What the memory cache holds: entries in the order in which they go, and the memory that they share.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::Outputs;
use crate::key::Key;
use crate::value::{Held, Value};

/// Entries cost something even when their values are tiny.
const ENTRY_BYTES: u64 = 64;

/// Entries by key. Memory that several of them hold on to counts once.
#[derive(Default)]
pub(super) struct Entries {
    by_key: HashMap<Key, Entry>,
    /// What goes first comes first.
    order: BTreeMap<Rank, Key>,
    /// Memory by where it is: how often entries hold on to it, and its bytes. The entries keep it alive, so a place
    /// means the same piece as long as it is here.
    shared: HashMap<usize, (usize, u64)>,
    bytes: u64,
    clock: u64,
}

pub(super) struct Entry {
    pub(super) outputs: Outputs,
    pub(super) cost: Duration,
    /// The run that used it last.
    pub(super) run: u64,
    /// Bytes it would hold alone.
    pub(super) bytes: u64,
    /// Bytes that are in the entry itself.
    own: u64,
    held: Vec<Held>,
    rank: Rank,
}

/// What an entry costs to make again for each byte, as the bits of a number from 0, which are in the order of the
/// numbers; then when it was last used.
type Rank = (u64, u64);

impl Entries {
    /// Bytes of all entries together.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Entry> {
        self.by_key.get(key)
    }

    /// Notes that an entry is used in a run; gives its outputs.
    pub(super) fn touch(&mut self, key: &Key, run: u64) -> Option<Outputs> {
        self.clock += 1;
        let entry = self.by_key.get_mut(key)?;
        self.order.remove(&entry.rank);
        entry.rank.1 = self.clock;
        entry.run = run;
        self.order.insert(entry.rank, *key);
        Some(entry.outputs.clone())
    }

    /// Adds an entry in place of one with the same key; gives the bytes that are held now and were not before.
    pub(super) fn insert(&mut self, key: Key, outputs: Outputs, cost: Duration, run: u64) -> u64 {
        self.remove(&key);
        self.clock += 1;
        let mut held = Vec::new();
        outputs.values.iter().for_each(|value| value.held(&mut |piece| held.push(piece)));
        held.sort_unstable();
        held.dedup_by_key(|(place, _)| *place);
        let own = ENTRY_BYTES + outputs.values.iter().map(Value::own_bytes).sum::<u64>();
        let bytes = own + held.iter().map(|(_, bytes)| bytes).sum::<u64>();
        let before = self.bytes;
        self.bytes += own;
        for (place, bytes) in &held {
            let (users, _) = self.shared.entry(*place).or_insert((0, *bytes));
            if *users == 0 {
                self.bytes += bytes;
            }
            *users += 1;
        }
        let rank = ((cost.as_secs_f64() / bytes as f64).to_bits(), self.clock);
        self.order.insert(rank, key);
        self.by_key.insert(key, Entry { outputs, cost, run, bytes, own, held, rank });
        self.bytes - before
    }

    /// Drops an entry. What others hold on to as well stays.
    pub(super) fn remove(&mut self, key: &Key) -> bool {
        let Some(entry) = self.by_key.remove(key) else { return false };
        self.order.remove(&entry.rank);
        self.bytes -= entry.own;
        for (place, bytes) in &entry.held {
            if let Some((users, _)) = self.shared.get_mut(place) {
                *users -= 1;
                if *users == 0 {
                    self.shared.remove(place);
                    self.bytes -= bytes;
                }
            }
        }
        true
    }

    /// The first entry in the order in which they go that may go.
    pub(super) fn first(&self, may_go: impl Fn(&Key, &Entry) -> bool) -> Option<Key> {
        self.order.values().find(|key| self.by_key.get(key).is_some_and(|entry| may_go(key, entry))).copied()
    }

    /// Bytes of the entries that a run uses.
    pub(super) fn bytes_of_run(&self, run: u64) -> u64 {
        let entries = self.by_key.values().filter(|entry| entry.run == run);
        let mut held = Vec::new();
        let mut bytes = 0;
        for entry in entries {
            bytes += entry.own;
            held.extend_from_slice(&entry.held);
        }
        held.sort_unstable();
        held.dedup_by_key(|(place, _)| *place);
        bytes + held.iter().map(|(_, bytes)| bytes).sum::<u64>()
    }
}
