//! An ordered map that remembers which of its entries changed: what a state delta is written from.
//!
//! A snapshot is a delta from nothing, so there is one format and one way to restore: apply what was written, in order.

use std::collections::BTreeMap;
use std::ops::RangeBounds;

/// Changed entries: a value that was set, or `None` for one that was removed.
pub type Changes<K, V> = Vec<(K, Option<V>)>;

/// An ordered map with a list of the keys touched since the last [`Tracked::take_changes`].
#[derive(Clone, Debug)]
pub struct Tracked<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    /// Keys that were changed or removed; one can stand here more than once.
    changed: Vec<K>,
}

#[derive(Clone, Debug)]
struct Entry<V> {
    value: V,
    changed: bool,
}

impl<K, V> Default for Tracked<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            changed: Vec::new(),
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
        if !entry.changed {
            entry.changed = true;
            self.changed.push(key.clone());
        }
        Some(&mut entry.value)
    }

    /// The value at `key`, made by `new` if there is none. It counts as changed from now on.
    pub fn entry(&mut self, key: &K, new: impl FnOnce() -> V) -> &mut V {
        let entry = self.entries.entry(key.clone()).or_insert_with(|| Entry {
            value: new(),
            changed: false,
        });
        if !entry.changed {
            entry.changed = true;
            self.changed.push(key.clone());
        }
        &mut entry.value
    }

    /// Sets the value at `key` and returns the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let entry = Entry {
            value,
            changed: true,
        };
        let before = self.entries.insert(key.clone(), entry);
        if before.as_ref().is_none_or(|before| !before.changed) {
            self.changed.push(key);
        }
        before.map(|before| before.value)
    }

    /// Takes the value at `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.changed.push(key.clone());
        Some(entry.value)
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
        self.changed.push(key.clone());
        Some((key, entry.value))
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
    /// What changed since this was last asked, in key order.
    pub fn take_changes(&mut self) -> Changes<K, V> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort();
        changed.dedup();
        changed
            .into_iter()
            .map(|key| {
                let entry = self.entries.get_mut(&key);
                let value = entry.map(|entry| {
                    entry.changed = false;
                    entry.value.clone()
                });
                (key, value)
            })
            .collect()
    }

    /// Every entry, as changes from an empty map. What changed is forgotten: a snapshot covers it.
    pub fn take_all(&mut self) -> Changes<K, V> {
        self.changed.clear();
        self.entries
            .iter_mut()
            .map(|(key, entry)| {
                entry.changed = false;
                (key.clone(), Some(entry.value.clone()))
            })
            .collect()
    }

    /// Makes the changes that [`Tracked::take_changes`] or [`Tracked::take_all`] wrote down.
    pub fn apply(&mut self, changes: Changes<K, V>) {
        for (key, value) in changes {
            match value {
                Some(value) => {
                    let entry = Entry {
                        value,
                        changed: false,
                    };
                    self.entries.insert(key, entry);
                }
                None => {
                    self.entries.remove(&key);
                }
            }
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
        let first = map.take_all();
        map.remove(&1);
        *map.get_mut(&2).unwrap() = "c";
        map.insert(3, "d");
        let second = map.take_changes();
        assert_eq!(second, [(1, None), (2, Some("c")), (3, Some("d"))]);
        assert!(map.take_changes().is_empty());

        let mut restored = Tracked::default();
        restored.apply(first);
        restored.apply(second);
        assert!(restored.iter().eq(map.iter()));
    }
}
