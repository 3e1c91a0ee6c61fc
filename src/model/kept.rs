//! A map for what is looked up for every event: by hash, because comparing ids that share long beginnings is what an
//! ordered map would spend its time on. Like [`Tracked`](super::Tracked) it remembers which entries changed.
//!
//! Its order never shows: what is written from it is sorted first. The hash has a fixed seed, so that a run is the same
//! on every machine; whoever crafts ids that collide makes lookups slow and nothing else.

use std::borrow::Borrow;
use std::hash::Hash;

use foldhash::quality::FixedState;
use hashbrown::HashMap;

use super::Changes;

/// An unordered map with a list of the keys touched since the last [`Kept::take_changes`].
#[derive(Clone, Debug)]
pub struct Kept<K, V> {
    entries: HashMap<K, Entry<V>, FixedState>,
    /// Keys that were changed or removed; one can stand here more than once.
    changed: Vec<K>,
}

#[derive(Clone, Debug)]
struct Entry<V> {
    value: V,
    changed: bool,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self {
            entries: HashMap::default(),
            changed: Vec::new(),
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
        if !entry.changed {
            entry.changed = true;
            self.changed.push(key.clone());
        }
        Some(&mut entry.value)
    }

    /// The value at `key`, made by `new` if there is none. It counts as changed from now on.
    pub fn entry(&mut self, key: &K, new: impl FnOnce() -> V) -> &mut V {
        let entry = self.entries.entry_ref(key).or_insert_with(|| Entry {
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

    /// Every entry, in no order that anything may depend on.
    pub fn unordered(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }
}

impl<K: Ord + Hash + Clone, V: Clone> Kept<K, V> {
    /// What changed since the last call, in the order of the keys.
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

    /// Every entry as a change from an empty map. What changed is forgotten: a snapshot covers it.
    pub fn take_all(&mut self) -> Changes<K, V> {
        self.changed.clear();
        let mut all: Changes<K, V> = self
            .entries
            .iter_mut()
            .map(|(key, entry)| {
                entry.changed = false;
                (key.clone(), Some(entry.value.clone()))
            })
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Makes the changes that [`Kept::take_changes`] or [`Kept::take_all`] wrote down.
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
        let mut map = Kept::default();
        map.insert(1, "a");
        map.insert(2, "b");
        let first = map.take_all();
        map.remove(&1);
        map.insert(1, "z");
        map.remove(&1);
        *map.get_mut(&2).unwrap() = "c";
        *map.entry(&3, || "x") = "d";
        let second = map.take_changes();
        assert_eq!(second, [(1, None), (2, Some("c")), (3, Some("d"))]);
        assert!(map.take_changes().is_empty());

        let mut restored = Kept::default();
        restored.apply(first);
        restored.apply(second);
        assert_eq!(restored.take_all(), map.take_all());
    }
}
