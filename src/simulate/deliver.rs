//! From records to messages: which records share an object, when it is delivered, which come late and which twice.
//!
//! Time here is simulated. No record is delivered more than 15 minutes after it happened: that is the lateness which
//! the estate promises.

use std::collections::BTreeMap;

use super::estate::Estate;
use super::random::Random;
use super::{Message, Params, TOPICS, Totals};
use crate::model::Micros;

/// CloudTrail as objects of an S3 bucket.
pub(super) const S3: usize = 0;
/// CloudTrail as single events of EventBridge.
pub(super) const BRIDGE: usize = 1;
/// Azure activity.
pub(super) const ACTIVITY: usize = 2;
/// Entra sign-ins, audit and Graph activity.
pub(super) const ENTRA: usize = 3;

/// How long records of a topic are gathered, and how long the object then takes, in microseconds.
const WINDOWS: [(i64, i64); 4] = [
    (5 * Micros::MINUTE, 20 * Micros::SECOND),
    (Micros::SECOND, 2 * Micros::SECOND),
    (2 * Micros::MINUTE, 60 * Micros::SECOND),
    (3 * Micros::MINUTE, 100 * Micros::SECOND),
];
/// A late record or a second copy comes this much later. It is more than the longest window, so it never shares an
/// object with the rest, and with window and way it stays under 15 minutes.
const BEHIND: i64 = 6 * Micros::MINUTE;

/// What is on its way.
#[derive(Debug)]
pub(super) struct Delivery {
    late_per_mille: u32,
    duplicate_per_mille: u32,
    records_per_object: u32,
    /// By time of delivery, topic and account or tenant: so it leaves in order.
    open: BTreeMap<(Micros, usize, usize), Vec<Object>>,
    totals: Totals,
}

#[derive(Debug)]
struct Object {
    payload: Vec<u8>,
    elements: u32,
}

impl Delivery {
    pub(super) fn new(params: &Params) -> Self {
        Self {
            late_per_mille: params.late_per_mille,
            duplicate_per_mille: params.duplicate_per_mille,
            records_per_object: params.records_per_object.max(1),
            open: BTreeMap::new(),
            totals: Totals::default(),
        }
    }

    /// Sends `record` of `at` in an object of `topic`. `group` is the index of its account or tenant.
    pub(super) fn put(
        &mut self,
        random: &mut Random,
        topic: usize,
        group: usize,
        at: Micros,
        record: &str,
    ) {
        self.totals.distinct += 1;
        let late = random.chance(self.late_per_mille);
        self.totals.late += u64::from(late);
        let sent = if late { at.plus(BEHIND) } else { at };
        self.append(topic, group, sent, record);
        if random.chance(self.duplicate_per_mille) {
            self.totals.duplicates += 1;
            let again = if late { at } else { at.plus(BEHIND) };
            self.append(topic, group, again, record);
        }
    }

    /// Sends `record` as an event of its own in the envelope that `head` begins. A second copy comes in an S3 object,
    /// as when both ways are read.
    pub(super) fn put_single(
        &mut self,
        random: &mut Random,
        group: usize,
        at: Micros,
        head: &str,
        record: &str,
    ) {
        self.totals.distinct += 1;
        self.count(BRIDGE);
        let mut payload = Vec::with_capacity(head.len() + record.len() + 1);
        payload.extend_from_slice(head.as_bytes());
        payload.extend_from_slice(record.as_bytes());
        payload.push(b'}');
        self.open
            .entry((due(BRIDGE, group, at), BRIDGE, group))
            .or_default()
            .push(Object {
                payload,
                elements: 1,
            });
        if random.chance(self.duplicate_per_mille) {
            self.totals.duplicates += 1;
            self.append(S3, group, at, record);
        }
    }

    /// Everything that is delivered before `until`, in order of delivery.
    pub(super) fn take(&mut self, until: Micros, estate: &Estate) -> Vec<Message> {
        let later = self.open.split_off(&(until, 0, 0));
        let ready = std::mem::replace(&mut self.open, later);
        let mut messages = Vec::new();
        for ((time, topic, group), objects) in ready {
            let key = if topic == S3 || topic == BRIDGE {
                &estate.accounts[group].id
            } else {
                &estate.tenants[group].id
            };
            for object in objects {
                self.totals.messages[topic] += 1;
                let mut payload = object.payload;
                if topic != BRIDGE {
                    payload.extend_from_slice(b"]}");
                }
                messages.push(Message {
                    topic: TOPICS[topic],
                    key: Some(key.clone()),
                    time,
                    payload,
                    elements: object.elements,
                });
            }
        }
        messages
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    fn append(&mut self, topic: usize, group: usize, at: Micros, record: &str) {
        self.count(topic);
        let objects = self
            .open
            .entry((due(topic, group, at), topic, group))
            .or_default();
        let full = |object: &Object| object.elements >= self.records_per_object;
        if objects.last().is_none_or(full) {
            let begin: &[u8] = if topic == S3 {
                b"{\"Records\":["
            } else {
                b"{\"records\":["
            };
            objects.push(Object {
                payload: begin.to_vec(),
                elements: 0,
            });
        }
        if let Some(object) = objects.last_mut() {
            if object.elements > 0 {
                object.payload.push(b',');
            }
            object.payload.extend_from_slice(record.as_bytes());
            object.elements += 1;
        }
    }

    fn count(&mut self, topic: usize) {
        self.totals.elements += 1;
        self.totals.per_topic[topic] += 1;
    }
}

/// When the object that gathers records of `at` is delivered. Groups differ by up to 40 seconds.
fn due(topic: usize, group: usize, at: Micros) -> Micros {
    let (window, way) = WINDOWS[topic];
    let end = (at.0.div_euclid(window) + 1) * window;
    let apart = if topic == BRIDGE {
        0
    } else {
        (group as i64 * 7 % 40) * Micros::SECOND
    };
    Micros(end + way + apart)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_record_is_more_than_a_quarter_of_an_hour_late() {
        for (topic, name) in TOPICS.iter().enumerate() {
            for second in 0..3_600 {
                let at = Micros(second * Micros::SECOND);
                for group in 0..24 {
                    let behind = due(topic, group, at.plus(BEHIND)).since(at);
                    assert!(
                        behind > 0 && behind < 15 * Micros::MINUTE,
                        "{name} {behind}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_copy_never_shares_the_object_of_its_original() {
        for (topic, name) in TOPICS.iter().enumerate() {
            for second in 0..600 {
                let at = Micros(second * Micros::SECOND);
                assert_ne!(due(topic, 3, at), due(topic, 3, at.plus(BEHIND)), "{name}");
            }
        }
    }
}
