//! Which events were seen already. Trails, connectors and brokers all deliver some records twice.
//!
//! A copy has the id and the content of a record that was seen; the id of a request is none of an event (DD-3). A record
//! with a known id that says something else is no copy: dropping it would let whoever can write one record hide another.
//! It is kept under an id of its own. Whether two records say the same is judged by a fingerprint that stands up to
//! shuffled members, not to a forger who computes one.

use std::collections::BTreeMap;

use crate::model::{AuditEvent, Changes, Kept, Micros, sha256};

/// First half of the SHA-256 of an event's source and id: two that share it are not expected in the life of the universe.
type Key = [u8; 16];

/// What an event is to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    First,
    Copy,
    /// The id is known, the content is another.
    Conflict,
}

/// Event ids with the hour of their event and the fingerprint of what they said.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    seen: Kept<Key, (i64, u64)>,
    /// Derived: the oldest go first when there are too many.
    by_hour: BTreeMap<i64, Vec<Key>>,
    pub(super) evicted: u64,
}

impl Duplicates {
    /// Says what `event` is to those before it, and remembers it.
    pub(super) fn see(
        &mut self,
        event: &AuditEvent<'_>,
        fingerprint: u64,
        now: Micros,
        max: usize,
    ) -> Seen {
        // An id dated ahead must not outlive the honest ones.
        let hour = event.event_time.min(now).hour();
        let key = digest(event, None);
        match self.seen.get(&key) {
            Some((_, known)) if *known == fingerprint => Seen::Copy,
            Some(_) => {
                let own = digest(event, Some(fingerprint));
                if self.seen.contains(&own) {
                    return Seen::Copy;
                }
                self.remember(own, (hour, fingerprint), max);
                Seen::Conflict
            }
            None => {
                self.remember(key, (hour, fingerprint), max);
                Seen::First
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    /// What must survive a restart: changes since the last call, or everything if `all`.
    pub(super) fn written(&mut self, all: bool) -> Changes<Key, (i64, u64)> {
        self.seen.written(all)
    }

    /// Continues from what [`Duplicates::written`] gave.
    pub(super) fn restore(&mut self, changes: Changes<Key, (i64, u64)>) {
        self.seen.apply(changes);
        self.by_hour.clear();
        let mut keys: Vec<(i64, Key)> = self
            .seen
            .unordered()
            .map(|(key, (hour, _))| (*hour, *key))
            .collect();
        keys.sort_unstable();
        for (hour, key) in keys {
            self.by_hour.entry(hour).or_default().push(key);
        }
    }

    fn remember(&mut self, key: Key, value: (i64, u64), max: usize) {
        self.by_hour.entry(value.0).or_default().push(key);
        self.seen.insert(key, value);
        // A whole hour goes at once: within it nothing says which came first, and the restored order would be another.
        while self.seen.len() > max
            && let Some((_, oldest)) = self.by_hour.pop_first()
        {
            for key in oldest {
                self.seen.remove(&key);
                self.evicted += 1;
            }
        }
    }
}

fn digest(event: &AuditEvent<'_>, fingerprint: Option<u64>) -> Key {
    let mut bytes = Vec::with_capacity(80);
    bytes.extend_from_slice(event.source.name().as_bytes());
    bytes.push(b'\n');
    bytes.extend_from_slice(event.event_uid.as_bytes());
    if let Some(fingerprint) = fingerprint {
        bytes.push(b'\n');
        bytes.extend_from_slice(&fingerprint.to_be_bytes());
    }
    let full = sha256(&bytes);
    let mut key = Key::default();
    key.copy_from_slice(&full[..16]);
    key
}
