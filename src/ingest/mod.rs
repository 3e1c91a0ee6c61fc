//! Where records come from, and where an epoch ends.
//!
//! A source hands out records lane by lane and says which lanes are silent; the cutter decides when enough has come.
//! Offsets are not kept here: the ledger says where each partition continues.

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

use crate::model::RawRecord;

pub use cutter::{Cutter, RawEpoch, Stop};
pub use embedded::Embedded;
pub use files::{Files, Listing};
pub use kafka::Kafka;

/// Next offset of each partition, by cluster, topic and partition.
pub type Positions = BTreeMap<(String, String, i32), i64>;

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
        "{topic}/{partition} continues at {next}, but the broker has only {low} to {high}: {reason}. Nothing was skipped; decide what to do about the records in between before going on"
    )]
    Lost {
        topic: String,
        partition: i32,
        next: i64,
        low: i64,
        high: i64,
        reason: &'static str,
    },
    #[error("the broker belongs to cluster {found:?}, but the ledger was written from {wanted:?}")]
    OtherCluster { found: String, wanted: String },
    #[error("the thread that reads the broker ended: {0}")]
    Ended(String),
}

impl IngestError {
    /// Whether the source is not the one that the ledger was written from, or no longer has what comes next.
    pub const fn integrity(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::OtherCluster { .. })
    }
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
}
