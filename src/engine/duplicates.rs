//! Which events were seen already. Trails, connectors and brokers all deliver some records twice.

use crate::model::{AuditEvent, Tracked, sha256};

/// First half of the SHA-256 of an event's id: two ids that share it are not expected in the life of the universe.
type Key = [u8; 16];

/// Event ids by the hour of their event, so that the oldest go first when there are too many.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    pub(super) seen: Tracked<(i64, Key), ()>,
    pub(super) evicted: u64,
}

impl Duplicates {
    /// Whether `event` was not seen before. Remembers it.
    pub(super) fn first(&mut self, event: &AuditEvent<'_>, max: usize) -> bool {
        let key = (event.event_time.hour(), digest(event));
        if self.seen.insert(key, ()).is_some() {
            return false;
        }
        while self.seen.len() > max {
            self.seen.pop_first_if(|_| true);
            self.evicted += 1;
        }
        true
    }

    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }
}

fn digest(event: &AuditEvent<'_>) -> Key {
    let mut text = String::with_capacity(64);
    text.push_str(event.source.name());
    text.push('\n');
    text.push_str(&event.dedupe_scope);
    text.push('\n');
    text.push_str(&event.event_uid);
    let full = sha256(text.as_bytes());
    let mut key = Key::default();
    key.copy_from_slice(&full[..16]);
    key
}
