//! Which entries of a map changed: what a state delta is written from.
//!
//! A snapshot is a delta from nothing, so there is one format and one way to restore: apply what was written, in order.

/// Changed entries: a value that was set, or `None` for one that was removed.
pub type Changes<K, V> = Vec<(K, Option<V>)>;

/// A value in a map, and what state knows of it.
#[derive(Clone, Debug)]
pub(super) struct Entry<V> {
    pub(super) value: V,
    /// Its key is in the map's log already.
    changed: bool,
    /// It stands in state that was written, so state must be told when it goes.
    written: bool,
}

impl<V> Entry<V> {
    /// A value that state does not know.
    pub(super) const fn new(value: V) -> Self {
        Self {
            value,
            changed: false,
            written: false,
        }
    }

    /// A value that was read from state.
    pub(super) const fn restored(value: V) -> Self {
        Self {
            value,
            changed: false,
            written: true,
        }
    }

    /// The value, which is written down now.
    pub(super) fn written(&mut self) -> V
    where
        V: Clone,
    {
        self.changed = false;
        self.written = true;
        self.value.clone()
    }
}

/// Keys that were changed or removed since they were last written down; one can stand here more than once.
#[derive(Clone, Debug)]
pub(super) struct Log<K> {
    changed: Vec<K>,
    removed: Vec<K>,
}

impl<K> Default for Log<K> {
    fn default() -> Self {
        Self {
            changed: Vec::new(),
            removed: Vec::new(),
        }
    }
}

impl<K: Ord + Clone> Log<K> {
    /// The value of `entry`, which counts as changed from now on.
    pub(super) fn touch<'e, V>(&mut self, key: &K, entry: &'e mut Entry<V>) -> &'e mut V {
        if !entry.changed {
            entry.changed = true;
            self.changed.push(key.clone());
        }
        &mut entry.value
    }

    /// Notes that the entry at `key` was taken out and gives its value. What came and went between two writes was never
    /// known to state: most events that wait, wait no longer than that.
    pub(super) fn removed<V>(&mut self, key: &K, entry: Entry<V>) -> V {
        if entry.written {
            self.removed.push(key.clone());
        }
        entry.value
    }

    /// What changed, in the order of the keys and each once: `now` gives the value that is written at a key now.
    pub(super) fn take<V>(&mut self, mut now: impl FnMut(&K) -> Option<V>) -> Changes<K, V> {
        let mut changes = Changes::new();
        for key in each_once(std::mem::take(&mut self.changed)) {
            if let Some(value) = now(&key) {
                changes.push((key, Some(value)));
            }
        }
        for key in each_once(std::mem::take(&mut self.removed)) {
            // One that came again is among the changed.
            if now(&key).is_none() {
                changes.push((key, None));
            }
        }
        changes.sort_by(|a, b| a.0.cmp(&b.0));
        changes
    }

    /// Each of `entries`, which are all there are, as a change from an empty map. What changed is forgotten: a snapshot
    /// covers it.
    pub(super) fn take_all<'e, V: Clone + 'e>(
        &mut self,
        entries: impl Iterator<Item = (&'e K, &'e mut Entry<V>)>,
    ) -> Changes<K, V>
    where
        K: 'e,
    {
        self.changed.clear();
        self.removed.clear();
        entries
            .map(|(key, entry)| (key.clone(), Some(entry.written())))
            .collect()
    }
}

fn each_once<K: Ord>(mut keys: Vec<K>) -> Vec<K> {
    keys.sort_unstable();
    keys.dedup();
    keys
}
