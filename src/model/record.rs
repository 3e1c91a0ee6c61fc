//! Bytes as they were taken from a log, where they stood in it, and what each part of them came to.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AuditEvent, Digest, Ignored, Micros, Reject, RuleHit, Sha256Digest};

/// Where a record stood: enough to fetch it again from the cluster its manifest names.
///
/// A file is a topic with its path as name, one partition, and one offset per message in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
}

/// One message of a log, unopened.
#[derive(Clone, Debug)]
pub struct RawRecord {
    pub position: Position,
    /// Records of one lane come in the order in which they were written: a partition of a topic, or a list of files.
    /// The watermark waits for the slowest lane.
    pub lane: Arc<str>,
    /// When the broker says the record was created or appended. `None` for files, which say nothing.
    pub appended_at: Option<Micros>,
    /// `None` is a Kafka tombstone: it is counted and carries no event.
    pub payload: Option<Vec<u8>>,
}

impl RawRecord {
    /// How many payload bytes this record brings.
    pub fn bytes(&self) -> usize {
        self.payload.as_ref().map_or(0, Vec::len)
    }

    /// SHA-256 of what the source holds at this position: the time that it gives, and the bytes.
    pub fn sha256(&self) -> Sha256Digest {
        let mut digest = Digest::default();
        digest.update(b"keytrail/record/v1\0");
        for part in [
            self.appended_at.map(|time| time.0.to_be_bytes().to_vec()),
            self.payload.as_ref().map(|payload| {
                let length = payload.len() as u64;
                length.to_be_bytes().to_vec()
            }),
        ] {
            digest.update(&[u8::from(part.is_some())]);
            digest.update(&part.unwrap_or_default());
        }
        digest.update(self.payload.as_deref().unwrap_or_default());
        digest.finish()
    }
}

/// The last record that was read of a partition: a restart compares it with what the source holds there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRecord {
    pub offset: i64,
    /// As [`RawRecord::sha256`] gives it.
    pub sha256: Sha256Digest,
}

/// How far a partition has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadTo {
    /// Offset at which reading continues.
    pub next: i64,
    /// Stands before `next`, most often directly. None before the first record.
    pub last: Option<LastRecord>,
}

/// Offsets that were never read, because the source lost them first, and that somebody accepted as lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceGap {
    pub from: i64,
    /// Exclusive.
    pub to: i64,
    /// What took them.
    pub cause: String,
    /// Why going on without them was accepted, in the words of whoever did.
    pub reason: String,
}

impl SourceGap {
    /// How many offsets it spans.
    pub fn span(&self) -> u64 {
        u64::try_from(self.to - self.from).unwrap_or(0)
    }
}

/// One element of a message and what it came to.
#[derive(Debug)]
pub struct Piece<'a> {
    /// What was unwrapped around it, outermost first, `gzip>records`; empty for a bare record.
    pub layers: &'a str,
    /// Redacted text. Empty for a tombstone.
    pub text: &'a str,
    /// SHA-256 of the element's bytes before redaction.
    pub raw_sha256: Sha256Digest,
    /// Equal for copies of one record, in whichever order and spacing they write its members. 0 unless an event.
    pub fingerprint: u64,
    /// Rules of the user's that the record satisfies or may satisfy. Decoding leaves it empty.
    pub hits: Vec<RuleHit>,
    pub decoded: Decoded<'a>,
}

/// What an element came to. There is no fourth case: this is one side of the conservation law.
#[derive(Debug)]
pub enum Decoded<'a> {
    Event(Box<AuditEvent<'a>>),
    Ignored(Ignored),
    Reject(Reject),
}

/// A message with all its elements decoded.
#[derive(Debug)]
pub struct DecodedRecord<'a> {
    pub record: &'a RawRecord,
    pub pieces: Vec<Piece<'a>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_record_tells_its_time_its_bytes_and_that_it_has_none() {
        let hash = |appended_at: Option<i64>, payload: Option<&[u8]>| {
            RawRecord {
                position: Position {
                    topic: Arc::from("t"),
                    partition: 0,
                    offset: 0,
                },
                lane: Arc::from("t/0"),
                appended_at: appended_at.map(Micros),
                payload: payload.map(<[u8]>::to_vec),
            }
            .sha256()
        };
        let all = [
            hash(None, None),
            hash(None, Some(b"")),
            hash(None, Some(b"a")),
            hash(Some(0), None),
            hash(Some(0), Some(b"a")),
            hash(Some(1), Some(b"a")),
        ];
        for (place, one) in all.iter().enumerate() {
            assert!(!all[..place].contains(one), "{place}");
        }
    }
}
