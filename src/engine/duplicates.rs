//! Which events were seen already. Trails, connectors and brokers all deliver some records twice.
//!
//! A copy has the id and the content of a record that was seen. A record with a known id that says something else is no
//! copy: dropping it would let whoever can write one record hide another. It is kept under an id of its own.

use crate::model::{AuditEvent, Tracked, sha256};

/// First half of the SHA-256 of an event's id: two ids that share it are not expected in the life of the universe.
type Key = [u8; 16];

/// What an event is to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    First,
    Copy,
    /// The id is known, the content is another.
    Conflict,
}

/// Event ids by the hour of their event, so that the oldest go first when there are too many, with the fingerprint of
/// what they said.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    pub(super) seen: Tracked<(i64, Key), u64>,
    pub(super) evicted: u64,
}

impl Duplicates {
    /// Says what `event` is to those before it, and remembers it.
    pub(super) fn see(&mut self, event: &AuditEvent<'_>, fingerprint: u64, max: usize) -> Seen {
        let hour = event.event_time.hour();
        let key = (hour, digest(event, None));
        match self.seen.get(&key) {
            Some(known) if *known == fingerprint => return Seen::Copy,
            Some(_) => {
                let own = (hour, digest(event, Some(fingerprint)));
                if self.seen.insert(own, fingerprint).is_some() {
                    return Seen::Copy;
                }
                self.shrink(max);
                return Seen::Conflict;
            }
            None => (),
        }
        self.seen.insert(key, fingerprint);
        self.shrink(max);
        Seen::First
    }

    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    fn shrink(&mut self, max: usize) {
        while self.seen.len() > max {
            self.seen.pop_first_if(|_| true);
            self.evicted += 1;
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
