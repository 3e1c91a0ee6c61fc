//! Ends an epoch: when it is old enough, large enough, or when there is nothing more to come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;

use super::{IngestError, Pull, RecordSource};
use crate::model::{Micros, RawRecord};

/// How long one wait for a record lasts at most: how quickly a request to stop is seen.
const PATIENCE: Duration = Duration::from_millis(50);

/// A request to stop after the open epoch; shared with signal handlers.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks to stop.
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether somebody asked.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// What was read of one partition in one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    pub from: i64,
    /// Exclusive.
    pub to: i64,
    pub bytes: u64,
    pub records: u64,
}

/// The records of one epoch and everything about their reading that a manifest records.
#[derive(Debug)]
pub struct RawEpoch {
    pub records: Vec<RawRecord>,
    pub ranges: BTreeMap<(Arc<str>, i32), Range>,
    pub cluster: String,
    pub lanes: Vec<Arc<str>>,
    pub idle: Vec<Arc<str>>,
    pub now: Micros,
    pub bytes: usize,
    /// The input has ended: no further epoch will come.
    pub last: bool,
    /// The input has ended because there is no more of it, not because somebody asked to stop.
    pub sealed: bool,
}

/// Collects records into epochs.
pub struct Cutter {
    source: Box<dyn RecordSource>,
    age: Duration,
    bytes: usize,
    stop: Stop,
    /// Next offset of every partition that has brought a record since the start.
    next: BTreeMap<(Arc<str>, i32), i64>,
    /// Whether the partitions that no ledger knows still have to be pinned.
    unpinned: bool,
    /// Whether the end of the input settles everything: a finite run, as opposed to a service that is stopped.
    finite: bool,
}

impl std::fmt::Debug for Cutter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cutter")
            .field("age", &self.age)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Cutter {
    pub fn new(
        source: Box<dyn RecordSource>,
        age: Duration,
        bytes: usize,
        finite: bool,
        stop: Stop,
    ) -> Self {
        Self {
            source,
            age,
            bytes,
            stop,
            next: BTreeMap::new(),
            unpinned: true,
            finite,
        }
    }

    /// The next epoch. An epoch without records is cut only when lanes have fallen silent, so that time can move on.
    pub fn cut(&mut self) -> Result<RawEpoch, IngestError> {
        let mut records = Vec::new();
        let mut ranges: BTreeMap<(Arc<str>, i32), Range> = BTreeMap::new();
        let mut bytes = 0;
        let mut ended = false;
        if std::mem::take(&mut self.unpinned) {
            for (topic, partition, start) in self.source.new_partitions() {
                let pin = Range {
                    from: start,
                    to: start,
                    bytes: 0,
                    records: 0,
                };
                ranges.insert((topic, partition), pin);
            }
        }
        let opened = Instant::now();
        while bytes < self.bytes && opened.elapsed() < self.age {
            if self.stop.requested() {
                break;
            }
            match self.source.pull(PATIENCE)? {
                Pull::Record(record) => {
                    bytes += record.bytes();
                    self.count(&record, &mut ranges);
                    records.push(record);
                }
                Pull::Quiet => (),
                Pull::End => {
                    ended = true;
                    break;
                }
            }
        }
        let stopping = self.stop.requested();
        Ok(RawEpoch {
            records,
            ranges,
            cluster: self.source.cluster().to_owned(),
            lanes: self.source.lanes(),
            // Asking which lanes are silent takes time that somebody who stops the service does not give.
            idle: if stopping || ended {
                Vec::new()
            } else {
                self.source.idle()
            },
            now: Micros(Utc::now().timestamp_micros()),
            bytes,
            last: ended || stopping,
            sealed: ended && self.finite,
        })
    }

    fn count(&mut self, record: &RawRecord, ranges: &mut BTreeMap<(Arc<str>, i32), Range>) {
        let position = &record.position;
        let key = (position.topic.clone(), position.partition);
        let from = self.next.get(&key).copied().unwrap_or_else(|| {
            self.source
                .start_of(&position.topic, position.partition)
                .unwrap_or(position.offset)
        });
        let range = ranges.entry(key.clone()).or_insert(Range {
            from,
            to: from,
            bytes: 0,
            records: 0,
        });
        range.to = position.offset + 1;
        range.bytes += record.bytes() as u64;
        range.records += 1;
        self.next.insert(key, range.to);
    }
}
