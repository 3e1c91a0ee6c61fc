//! An ordered map that remembers which of its entries changed.

use std::collections::btree_map::{self, BTreeMap};
use std::ops::RangeBounds;

use super::changes::{Changes, Entry, Log};

/// An ordered map with a log of what changed since it was last [written](Tracked::written).
#[derive(Clone, Debug)]
pub struct Tracked<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    log: Log<K>,
}

impl<K, V> Default for Tracked<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            log: Log::default(),
        }
    }
}

impl<K: Ord + Clone, V> Tracked<K, V> {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.entries.get(key).map(|entry| &entry.value)
    }

    pub fn contains<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
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
            .entry(key.clone())
            .or_insert_with(|| Entry::new(new()));
        self.log.touch(key, entry)
    }

    /// Sets the value at `key` and returns the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.entries.entry(key) {
            btree_map::Entry::Occupied(mut known) => {
                let key = known.key().clone();
                let before = self.log.touch(&key, known.get_mut());
                Some(std::mem::replace(before, value))
            }
            btree_map::Entry::Vacant(place) => {
                let key = place.key().clone();
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

    /// The first key.
    pub fn first(&self) -> Option<&K> {
        self.entries.first_key_value().map(|(key, _)| key)
    }

    /// Takes the first entry out if its key satisfies `due`.
    pub fn pop_first_if(&mut self, due: impl FnOnce(&K) -> bool) -> Option<(K, V)> {
        let entry = self.entries.first_entry()?;
        if !due(entry.key()) {
            return None;
        }
        let (key, entry) = entry.remove_entry();
        let value = self.log.removed(&key, entry);
        Some((key, value))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }

    pub fn range(&self, range: impl RangeBounds<K>) -> impl Iterator<Item = (&K, &V)> {
        let entries = self.entries.range(range);
        entries.map(|(key, entry)| (key, &entry.value))
    }
}

impl<K: Ord + Clone, V: Clone> Tracked<K, V> {
    /// What changed since the last call, or every entry if `all`; in key order.
    pub fn written(&mut self, all: bool) -> Changes<K, V> {
        if all {
            return self.log.take_all(self.entries.iter_mut());
        }
        self.log
            .take(|key| self.entries.get_mut(key).map(Entry::written))
    }

    /// Makes the changes that [`Tracked::written`] wrote down.
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
    fn changes_applied_in_order_give_the_same_map() {
        let mut map = Tracked::default();
        map.insert(1, "a");
        map.insert(2, "b");
        let first = map.written(true);
        map.remove(&1);
        *map.get_mut(&2).unwrap() = "c";
        map.insert(3, "d");
        let second = map.written(false);
        assert_eq!(second, [(1, None), (2, Some("c")), (3, Some("d"))]);
        assert!(map.written(false).is_empty());

        let mut restored = Tracked::default();
        restored.apply(first);
        restored.apply(second);
        assert!(restored.iter().eq(map.iter()));
    }

    #[test]
    fn setting_a_value_again_returns_the_one_before_and_is_written() {
        let mut map = Tracked::default();
        assert_eq!(map.insert(1, "a"), None);
        map.written(true);
        assert_eq!(map.insert(1, "b"), Some("a"));
        assert_eq!(map.insert(1, "c"), Some("b"));
        assert_eq!(map.written(false), [(1, Some("c"))]);
        assert_eq!(map.pop_first_if(|key| *key > 1), None);
        assert_eq!(map.pop_first_if(|key| *key == 1), Some((1, "c")));
        assert_eq!(map.written(false), [(1, None)]);
    }
}
