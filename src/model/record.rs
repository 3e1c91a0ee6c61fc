//! Bytes as they were taken from a log, where they stood in it, and what each part of them came to.

use std::sync::Arc;

use super::{AuditEvent, Ignored, Micros, Reject, Sha256Digest};

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
