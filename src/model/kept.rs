//! A map for what is looked up for every event: by hash, because comparing ids that share long beginnings is what an
//! ordered map would spend its time on. Like [`Tracked`](super::Tracked) it remembers which entries changed.
//!
//! Its order never shows: what is written from it is sorted first. So the seed of the hash may be another in every process
//! and every map, and is: nobody can craft ids that all fall into one place. Rows and state are the same all the same.

use std::borrow::Borrow;
use std::hash::Hash;

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;

use super::changes::{Changes, Entry, Log};

/// An unordered map with a log of what changed since it was last [written](Kept::written).
#[derive(Clone, Debug)]
pub struct Kept<K, V> {
    entries: HashMap<K, Entry<V>, RandomState>,
    log: Log<K>,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self {
            entries: HashMap::default(),
            log: Log::default(),
        }
    }
}

impl<K: Ord + Hash + Clone, V> Kept<K, V> {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|entry| &entry.value)
    }

    pub fn contains<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.entries.contains_key(key)
    }

    /// The value at `key`, which counts as changed from now on.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let entry = self.entries.get_mut(key)?;
        Some(self.log.touch(key, entry))
    }

    /// The value at `key`, made by `new` if there is none. It counts as changed from now on.
    pub fn entry(&mut self, key: &K, new: impl FnOnce() -> V) -> &mut V {
        let entry = self
            .entries
            .entry_ref(key)
            .or_insert_with(|| Entry::new(new()));
        self.log.touch(key, entry)
    }

    /// Sets the value at `key` and returns the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.entries.entry_ref(&key) {
            EntryRef::Occupied(mut known) => {
                let before = self.log.touch(&key, known.get_mut());
                Some(std::mem::replace(before, value))
            }
            EntryRef::Vacant(place) => {
                self.log.touch(&key, place.insert(Entry::new(value)));
                None
            }
        }
    }

    /// Takes the value at `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        Some(self.log.removed(key, entry))
    }

    /// Takes out the `count` entries for which `rank` gives the least, those with smaller keys first. Finding them means
    /// looking at every entry, so whoever needs room takes out many at once. Returns how many went.
    pub fn forget_least<R: Ord>(&mut self, count: usize, rank: impl Fn(&V) -> R) -> u64 {
        let mut ranked: Vec<(R, K)> = self
            .unordered()
            .map(|(key, value)| (rank(value), key.clone()))
            .collect();
        ranked.sort_unstable();
        ranked.truncate(count);
        for (_, key) in &ranked {
            self.remove(key);
        }
        ranked.len() as u64
    }

    /// Every entry, in no order that anything may depend on.
    pub fn unordered(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }
}

impl<K: Ord + Hash + Clone, V: Clone> Kept<K, V> {
    /// What changed since the last call, or every entry if `all`; in key order.
    pub fn written(&mut self, all: bool) -> Changes<K, V> {
        if all {
            let mut all = self.log.take_all(self.entries.iter_mut());
            all.sort_by(|a, b| a.0.cmp(&b.0));
            return all;
        }
        self.log
            .take(|key| self.entries.get_mut(key).map(Entry::written))
    }

    /// Makes the changes that [`Kept::written`] wrote down.
    pub fn apply(&mut self, changes: Changes<K, V>) {
        for (key, value) in changes {
            match value {
                Some(value) => self.entries.insert(key, Entry::restored(value)),
                None => self.entries.remove(&key),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_and_went_between_two_writes_leaves_no_trace() {
        let mut map = Kept::default();
        map.insert(1, "a");
        map.remove(&1);
        assert!(map.written(false).is_empty());
        map.insert(1, "b");
        assert_eq!(map.written(false), [(1, Some("b"))]);
        map.remove(&1);
        map.insert(1, "c");
        map.remove(&1);
        assert_eq!(map.written(false), [(1, None)]);
        map.apply(vec![(2, Some("d"))]);
        map.remove(&2);
        assert_eq!(map.written(false), [(2, None)]);
    }

    #[test]
    fn changes_applied_in_order_give_the_same_map() {
        let mut map = Kept::default();
        map.insert(1, "a");
        map.insert(2, "b");
        let first = map.written(true);
        map.remove(&1);
        map.insert(1, "z");
        map.remove(&1);
        *map.get_mut(&2).unwrap() = "c";
        *map.entry(&3, || "x") = "d";
        let second = map.written(false);
        assert_eq!(second, [(1, None), (2, Some("c")), (3, Some("d"))]);
        assert!(map.written(false).is_empty());

        let mut restored = Kept::default();
        restored.apply(first);
        restored.apply(second);
        assert_eq!(restored.written(true), map.written(true));
    }
}
