//! Outputs kept in memory, within a budget.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Outputs;
use super::held::{Entries, Entry};
use crate::key::Key;

/// Outputs by key, within a budget. Memory that several entries hold on to counts once.
///
/// When the budget is exceeded, entries go that cost least to make again for each byte; of equals, the one that was
/// unused for longest.
///
/// **The large entry.** By that rule a model would go first, and one that is larger than the budget would be loaded for
/// every run. So one entry that is larger than half of the budget may stand beside it, as long as it and the others fit
/// into a limit together, which is that of the machine's memory where the program says so and the budget otherwise. The
/// others then keep to the budget, and to what the large entry leaves of the limit.
///
/// - Another entry of that size takes its place if it cost more to make, or if the run at hand does not use the large
///   one: the model before the last edit.
/// - An entry that fits into the budget but not beside the large one takes its place if the run does not use that;
///   otherwise it is not kept.
pub struct MemoryCache {
    budget: u64,
    limit: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: Entries,
    /// Other keys of entries.
    aliases: HashMap<Key, Key>,
    /// The number of aliases at which those of entries that are gone are dropped.
    most_aliases: usize,
    /// The entry that stands beside the budget.
    large: Option<Key>,
    /// The number of the run at hand.
    run: u64,
}

impl MemoryCache {
    /// An empty cache that keeps at most `budget` bytes.
    pub fn new(budget: u64) -> Self {
        Self { budget, limit: budget, state: Mutex::default() }
    }

    /// Lets one large entry stand beside the budget as long as everything fits into `limit` bytes.
    pub fn with_limit(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// Notes that a run begins: what it uses from now on is kept rather than what is left from earlier ones.
    pub(crate) fn begin_run(&self) {
        self.state().run += 1;
    }

    /// The outputs of a key.
    pub fn get(&self, key: &Key) -> Option<Outputs> {
        let mut state = self.state();
        let key = state.resolve(key);
        let run = state.run;
        state.entries.touch(&key, run)
    }

    /// Lets an entry be found under another key too.
    pub(super) fn alias(&self, other: Key, key: Key) {
        let mut state = self.state();
        let key = state.resolve(&key);
        if other == key || state.entries.get(&key).is_none() {
            return;
        }
        state.aliases.insert(other, key);
        // Aliases of entries that are gone are harmless, as long as they are few. Twice as many as were left before, so
        // that looking through them costs little for each.
        if state.aliases.len() > state.most_aliases {
            let State { entries, aliases, most_aliases, .. } = &mut *state;
            aliases.retain(|_, key| entries.get(key).is_some());
            *most_aliases = 1000.max(2 * aliases.len());
        }
    }

    /// Keeps outputs that took `cost` to make, if they fit.
    pub fn insert(&self, key: Key, outputs: Outputs, cost: Duration) {
        let mut state = self.state();
        let run = state.run;
        state.aliases.remove(&key);
        if state.large == Some(key) {
            state.large = None;
        }
        let added = state.entries.insert(key, outputs, cost, run);
        if added > self.budget / 2 && added <= self.limit && state.gives_way(cost) {
            state.large = Some(key);
        }
        if state.large != Some(key) && added > self.room(&state) {
            // Dropping all others would not be enough.
            if added > self.budget || state.large_is_in_use() {
                state.entries.remove(&key);
                return;
            }
            state.drop_large();
        }
        while state.beside_large() > self.room(&state) {
            let large = state.large;
            let next = state.entries.first(|other, _| *other != key && Some(*other) != large);
            if !next.is_some_and(|next| state.entries.remove(&next)) {
                break;
            }
        }
    }

    /// Drops entries until at most `bytes` are kept beside what the run at hand uses, which would stay in memory anyway;
    /// gives the number of bytes dropped. The large entry goes last.
    pub fn shrink(&self, bytes: u64) -> u64 {
        let mut state = self.state();
        let before = state.entries.bytes();
        let run = state.run;
        let most = bytes.saturating_add(state.entries.bytes_of_run(run));
        while state.entries.bytes() > most {
            let large = state.large;
            let next = state.entries.first(|key, entry| entry.run != run && Some(*key) != large);
            match next {
                Some(key) => _ = state.entries.remove(&key),
                None if large.is_some() && !state.large_is_in_use() => state.drop_large(),
                None => break,
            }
        }
        before - state.entries.bytes()
    }

    /// Bytes kept.
    pub fn bytes(&self) -> u64 {
        self.state().entries.bytes()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut state = self.state();
        *state = State { run: state.run, ..State::default() };
    }

    /// Bytes that entries beside the large one may have.
    fn room(&self, state: &State) -> u64 {
        match state.large {
            Some(_) => self.budget.min(self.limit.saturating_sub(state.large_bytes())),
            None => self.budget,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held leaves counters at worst, never a wrong value under a key.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The key that an entry is kept under.
    fn resolve(&self, key: &Key) -> Key {
        let kept = self.aliases.get(key).filter(|kept| self.entries.get(kept).is_some());
        *kept.unwrap_or(key)
    }

    fn large_entry(&self) -> Option<&Entry> {
        self.entries.get(&self.large?)
    }

    /// Does the run at hand use the large entry?
    fn large_is_in_use(&self) -> bool {
        self.large_entry().is_some_and(|entry| entry.run == self.run)
    }

    /// Does the large entry give way to another one of that size that took `cost` to make?
    fn gives_way(&self, cost: Duration) -> bool {
        !self.large_is_in_use() || self.large_entry().is_none_or(|entry| entry.cost <= cost)
    }

    fn drop_large(&mut self) {
        if let Some(key) = self.large.take() {
            self.entries.remove(&key);
        }
    }

    /// Bytes of all entries but the large one.
    fn beside_large(&self) -> u64 {
        self.entries.bytes().saturating_sub(self.large_bytes())
    }

    fn large_bytes(&self) -> u64 {
        self.large_entry().map_or(0, |entry| entry.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Digest;
    use crate::value::Value;

    fn text(length: usize) -> Outputs {
        Outputs::new(vec![Value::text("x".repeat(length))], &Digest::of(b"made"))
    }

    fn keys<const N: usize>(names: [&str; N]) -> [Key; N] {
        names.map(|name| Digest::of(name.as_bytes()))
    }

    /// Which of some keys are kept. Asking does not count as a use.
    fn kept<const N: usize>(cache: &MemoryCache, keys: [Key; N]) -> [bool; N] {
        keys.map(|key| cache.state().entries.get(&key).is_some())
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_budget_is_kept_and_the_cheapest_goes_first() {
        let cache = MemoryCache::new(1000);
        let [cheap, dear, new] = keys(["cheap", "dear", "new"]);
        cache.insert(cheap, text(400), Duration::from_millis(1));
        cache.insert(dear, text(400), SECOND);
        cache.insert(new, text(400), Duration::from_millis(1));
        assert!(cache.bytes() <= 1000);
        assert_eq!(kept(&cache, [cheap, dear, new]), [false, true, true]);
    }

    #[test]
    fn of_equals_the_one_unused_for_longest_goes() {
        let cache = MemoryCache::new(1000);
        let [first, second, third] = keys(["first", "second", "third"]);
        cache.insert(first, text(300), SECOND);
        cache.insert(second, text(300), SECOND);
        assert!(cache.get(&first).is_some());
        cache.insert(third, text(300), SECOND);
        assert_eq!(kept(&cache, [first, second, third]), [true, false, true]);
    }

    #[test]
    fn what_is_larger_than_the_budget_is_not_kept_and_drops_nothing() {
        let cache = MemoryCache::new(300);
        let [small, large] = keys(["small", "large"]);
        cache.insert(small, text(50), Duration::ZERO);
        cache.insert(large, text(500), SECOND);
        assert_eq!(kept(&cache, [small, large]), [true, false]);
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

    #[test]
    fn memory_that_entries_share_counts_once_and_is_free_when_the_last_is_gone() {
        let cache = MemoryCache::new(10_000);
        let shared = Value::text("x".repeat(1000));
        let outputs = |values: Vec<Value>| Outputs::new(values, &Digest::of(b"made"));
        let [one, list] = keys(["one", "list"]);
        cache.insert(one, outputs(vec![shared.clone()]), SECOND);
        cache.insert(list, outputs(vec![Value::List([shared.clone(), shared].into())]), SECOND);
        assert_eq!(cache.bytes(), 1000 + 2 * 64);
        cache.state().entries.remove(&one);
        assert_eq!(cache.bytes(), 1000 + 64);
        cache.state().entries.remove(&list);
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn a_model_larger_than_the_budget_stays_while_results_come_and_go() {
        let cache = MemoryCache::new(1000).with_limit(2000);
        let [model, first] = keys(["model", "first"]);
        cache.insert(model, text(1500), SECOND);
        cache.insert(first, text(300), SECOND);
        for turn in 0..20 {
            cache.begin_run();
            assert!(cache.get(&model).is_some());
            cache.insert(Digest::of(&[turn]), text(300), SECOND);
            assert!(cache.bytes() <= 2000);
        }
        assert_eq!(kept(&cache, [model, first]), [true, false]);
    }

    #[test]
    fn a_model_that_does_not_fit_into_the_limit_is_not_kept() {
        let cache = MemoryCache::new(1000).with_limit(2000);
        cache.insert(Digest::of(b"model"), text(2500), SECOND);
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn of_two_models_in_one_run_the_dearer_stays_and_of_two_runs_that_of_the_last() {
        let cache = MemoryCache::new(1000).with_limit(2000);
        let [dear, cheap] = keys(["dear", "cheap"]);
        cache.insert(dear, text(1500), 2 * SECOND);
        cache.insert(cheap, text(1500), SECOND);
        assert_eq!(kept(&cache, [dear, cheap]), [true, false]);
        cache.begin_run();
        cache.insert(cheap, text(1500), SECOND);
        assert_eq!(kept(&cache, [dear, cheap]), [false, true]);
    }

    #[test]
    fn a_large_entry_of_an_earlier_run_makes_room_for_results() {
        let cache = MemoryCache::new(1000).with_limit(2000);
        let [model, result] = keys(["model", "result"]);
        cache.insert(model, text(1700), SECOND);
        cache.insert(result, text(400), SECOND);
        assert_eq!(kept(&cache, [model, result]), [true, false]);
        cache.begin_run();
        cache.insert(result, text(400), SECOND);
        assert_eq!(kept(&cache, [model, result]), [false, true]);
    }

    #[test]
    fn making_room_spares_what_the_run_uses() {
        let cache = MemoryCache::new(1000);
        let [used, left] = keys(["used", "left"]);
        cache.insert(used, text(300), Duration::ZERO);
        cache.insert(left, text(300), SECOND);
        cache.begin_run();
        assert!(cache.get(&used).is_some());
        assert_eq!(cache.shrink(0), 364);
        assert_eq!(kept(&cache, [used, left]), [true, false]);
        cache.begin_run();
        assert_eq!(cache.shrink(0), 364);
    }
}
