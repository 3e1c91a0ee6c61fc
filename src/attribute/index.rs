//! What can be found under a handle: by hash, because nearly every handle has one entry and none has a neighbour that
//! anybody looks for. Entries under one handle are in order, so what is found does not depend on the order of arrival.

use std::collections::BTreeSet;

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::facts::Handle;

/// Entries by handle.
#[derive(Clone, Debug)]
pub(super) struct Index<K> {
    entries: HashMap<Handle, Few<K>, RandomState>,
}

/// One entry without an allocation of its own, or many in order.
#[derive(Clone, Debug)]
enum Few<K> {
    One(K),
    Many(BTreeSet<K>),
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self {
            entries: HashMap::default(),
        }
    }
}

impl<K: Ord + Clone> Index<K> {
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(super) fn insert(&mut self, handle: Handle, key: K) {
        match self.entries.entry(handle) {
            Entry::Vacant(place) => {
                place.insert(Few::One(key));
            }
            Entry::Occupied(mut place) => match place.get_mut() {
                Few::One(known) if *known == key => (),
                Few::One(known) => {
                    let both = BTreeSet::from([known.clone(), key]);
                    place.insert(Few::Many(both));
                }
                Few::Many(known) => {
                    known.insert(key);
                }
            },
        }
    }

    pub(super) fn remove(&mut self, handle: &Handle, key: &K) {
        let empty = match self.entries.get_mut(handle) {
            None => return,
            Some(Few::One(known)) => known == key,
            Some(Few::Many(known)) => {
                known.remove(key);
                known.is_empty()
            }
        };
        if empty {
            self.entries.remove(handle);
        }
    }

    /// The entries under `handle`, in their order.
    pub(super) fn at(&self, handle: &Handle) -> impl Iterator<Item = &K> {
        let (one, many) = match self.entries.get(handle) {
            None => (None, None),
            Some(Few::One(key)) => (Some(key), None),
            Some(Few::Many(keys)) => (None, Some(keys)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Uid;

    #[test]
    fn a_handle_leads_to_its_entries_in_order_and_to_no_others() {
        let handle = |key: &str| Handle::Key(Uid::from(key));
        let mut index = Index::default();
        for key in [3, 1, 2, 1] {
            index.insert(handle("a"), key);
        }
        index.insert(handle("b"), 9);
        index.insert(handle("b"), 9);
        let at = |index: &Index<i32>, key| index.at(&handle(key)).copied().collect::<Vec<_>>();
        assert_eq!(at(&index, "a"), [1, 2, 3]);
        assert_eq!(at(&index, "b"), [9]);
        assert!(at(&index, "c").is_empty());
        for key in [1, 3, 7] {
            index.remove(&handle("a"), &key);
        }
        index.remove(&handle("b"), &8);
        assert_eq!(at(&index, "a"), [2]);
        assert_eq!(at(&index, "b"), [9]);
        index.remove(&handle("a"), &2);
        index.remove(&handle("b"), &9);
        assert!(index.entries.is_empty());
    }
}
