//! Where records come from, and where an epoch ends.
//!
//! A source hands out records lane by lane and says which lanes are silent; the cutter decides when enough has come.
//! Offsets are not kept here: the ledger says where each partition continues.

mod continuity;
mod cutter;
mod embedded;
mod file_time;
mod files;
mod kafka;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::model::{RawRecord, ReadTo, SourceGap};

pub use continuity::AcceptedGap;
pub use cutter::{Cutter, Range, RawEpoch, Stop};
pub use embedded::Embedded;
pub use files::{Files, Listing};
pub use kafka::{Kafka, Subscription, WATCH_EVERY};

/// How far each partition has been read, by cluster, topic and partition.
pub type Positions = BTreeMap<(String, String, i32), ReadTo>;

/// Why a source cannot go on.
#[derive(Debug, Error)]
pub enum IngestError {
    #[error("cannot read {path}: {source}")]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("nothing to read: {0}")]
    Nothing(String),
    #[error("broker: {0}")]
    Broker(#[from] rdkafka::error::KafkaError),
    #[error("topic {0} does not exist on the broker; create it, or take it out of kafka.topics")]
    NoTopic(String),
    #[error(
        "{topic}/{partition} continues at offset {from}, but retention has removed everything before {to}: {} offsets were not read in time. Nothing was skipped. Look for those records where the topic is filled from. To go on without them, start once with --accept-gap {topic}/{partition}/{from}/{to} --reason \"…\": the gap and the reason then stand in the evidence. So that it does not happen again, keep records longer (retention.ms, retention.bytes)",
        to - from
    )]
    Gap {
        topic: String,
        partition: i32,
        from: i64,
        to: i64,
    },
    #[error(
        "{topic}/{partition} continues at offset {next}, but ends at {high}: records that were read are not there any more. Either the topic was deleted and created anew, or a broker took over without the last records. What was read is safe in the lake; what is written to this topic from now on has offsets that the lake has counted already. Write it to a topic of another name and read that, or begin another lake"
    )]
    Shorter {
        topic: String,
        partition: i32,
        next: i64,
        high: i64,
    },
    #[error(
        "{topic}/{partition}: offset {offset} held the last record that was read, and {reason}. Either the topic was deleted and created anew, or a broker took over without the last records, or the topic is compacted. What was read is safe in the lake, but nobody can say whether what comes next is the continuation. Write it to a topic of another name and read that, or begin another lake"
    )]
    Replaced {
        topic: String,
        partition: i32,
        offset: i64,
        reason: &'static str,
    },
    #[error(
        "{path}: {reason} since it was read. It was rewritten, rotated, or had grown within its last message. Nothing of it was read this time; give what is new a name of its own, or read it into another lake"
    )]
    Changed { path: PathBuf, reason: &'static str },
    #[error(
        "the broker belongs to cluster {found:?}, but the ledger was written from {wanted:?}: offsets of one mean nothing on the other. Correct kafka.brokers, or begin another lake for this cluster"
    )]
    OtherCluster { found: String, wanted: String },
    #[error("the thread that reads the broker ended: {0}")]
    Ended(String),
}

/// What a source gives when asked.
#[derive(Debug)]
pub enum Pull {
    Record(RawRecord),
    /// Nothing came within the time allowed.
    Quiet,
    /// Nothing will come any more.
    End,
}

/// What a source says of a partition besides its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub topic: Arc<str>,
    pub partition: i32,
    pub told: Told,
}

/// What was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The partition came into being and is read from this offset on.
    Begins(i64),
    /// These offsets will never be read, and somebody has accepted that.
    Gap(SourceGap),
    /// From what came last to this offset, exclusive, there is no record.
    Empty(i64),
}

/// A place that records come from.
pub trait RecordSource: Send {
    /// The next record, waiting at most `patience`.
    fn pull(&mut self, patience: Duration) -> Result<Pull, IngestError>;

    /// Names the cluster in manifests.
    fn cluster(&self) -> &str;

    /// Every lane that may bring records.
    fn lanes(&self) -> Vec<Arc<str>>;

    /// Lanes that are read to their end and have been silent for a while.
    fn idle(&self) -> Vec<Arc<str>>;

    /// Partitions that no ledger knows, and where they begin: the first epoch pins them, records or none.
    fn new_partitions(&self) -> Vec<(Arc<str>, i32, i64)>;

    /// Where a partition begins that no record has come from yet: the offset the source was told to start at.
    fn start_of(&self, topic: &str, partition: i32) -> Option<i64>;

    /// What is to be told besides records since this was last asked.
    fn notices(&mut self) -> Vec<Notice> {
        Vec::new()
    }
}

/// A source that has ended before it began: for a writer that only takes what people stated.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl RecordSource for Nothing {
    fn pull(&mut self, _: Duration) -> Result<Pull, IngestError> {
        Ok(Pull::End)
    }

    fn cluster(&self) -> &str {
        ""
    }

    fn lanes(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    fn idle(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    fn new_partitions(&self) -> Vec<(Arc<str>, i32, i64)> {
        Vec::new()
    }

    fn start_of(&self, _: &str, _: i32) -> Option<i64> {
        None
    }
}
