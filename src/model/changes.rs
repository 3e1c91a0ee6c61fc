//! Which entries of a map changed: what a state delta is written from.
//!
//! A snapshot is a delta from nothing, so there is one format and one way to restore: apply what was written, in order.

/// Changed entries: a value that was set, or `None` for one that was removed.
pub type Changes<K, V> = Vec<(K, Option<V>)>;

/// A value in a map, and whether its key is in the map's log already.
#[derive(Clone, Debug)]
pub(super) struct Entry<V> {
    pub(super) value: V,
    changed: bool,
}

impl<V> Entry<V> {
    /// A value that is written down already.
    pub(super) const fn unchanged(value: V) -> Self {
        Self {
            value,
            changed: false,
        }
    }

    /// The value, which is written down now.
    pub(super) fn written(&mut self) -> V
    where
        V: Clone,
    {
        self.changed = false;
        self.value.clone()
    }
}

/// Keys that were changed or removed since they were last written down; one can stand here more than once.
#[derive(Clone, Debug)]
pub(super) struct Log<K>(Vec<K>);

impl<K> Default for Log<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord + Clone> Log<K> {
    /// The value of `entry`, which counts as changed from now on.
    pub(super) fn touch<'e, V>(&mut self, key: &K, entry: &'e mut Entry<V>) -> &'e mut V {
        if !entry.changed {
            entry.changed = true;
            self.0.push(key.clone());
        }
        &mut entry.value
    }

    /// Notes that the entry at `key` was taken out.
    pub(super) fn removed(&mut self, key: &K) {
        self.0.push(key.clone());
    }

    /// The keys of what changed, in order and each once.
    pub(super) fn take(&mut self) -> Vec<K> {
        let mut changed = std::mem::take(&mut self.0);
        changed.sort();
        changed.dedup();
        changed
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
        self.0.clear();
        entries
            .map(|(key, entry)| (key.clone(), Some(entry.written())))
            .collect()
    }
}
