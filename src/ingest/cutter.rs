//! Ends an epoch: when it is old enough, large enough, or when there is nothing more to come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;

use super::{IngestError, Pull, RecordSource, Told};
use crate::model::{LastRecord, Micros, RawRecord, SourceGap, Statement};

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    pub from: i64,
    /// Exclusive.
    pub to: i64,
    pub bytes: u64,
    pub records: u64,
    /// Offsets that the source had lost before they were read.
    pub gaps: Vec<SourceGap>,
    /// The last record that came.
    pub last: Option<LastRecord>,
}

impl Range {
    /// A range that begins and ends at `offset`.
    fn at(offset: i64) -> Self {
        Self {
            from: offset,
            to: offset,
            ..Self::default()
        }
    }

    /// Offsets without a record that are no gap: markers of transactions, records of aborted ones, compacted records.
    pub fn skipped(&self) -> u64 {
        let gaps: u64 = self.gaps.iter().map(SourceGap::span).sum();
        let span = u64::try_from(self.to - self.from).unwrap_or(0);
        span.saturating_sub(self.records + gaps)
    }
}

type Ranges = BTreeMap<(Arc<str>, i32), Range>;

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
    /// What people stated meanwhile. No source brings it: whoever reads epochs adds it.
    pub statements: Vec<Statement>,
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
    /// Why the source cannot go on: said once what it gave before is handed out.
    failed: Option<IngestError>,
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
            failed: None,
        }
    }

    /// The next epoch. An epoch without records is cut only when lanes have fallen silent, so that time can move on.
    ///
    /// When the source fails, what it gave before is an epoch of its own first: the source may not have it any more when
    /// it is asked again.
    pub fn cut(&mut self) -> Result<RawEpoch, IngestError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut records: Vec<RawRecord> = Vec::new();
        let mut ranges = Ranges::new();
        // Where the last record of each range stands.
        let mut last = BTreeMap::new();
        let mut bytes = 0;
        let mut ended = false;
        if std::mem::take(&mut self.unpinned) {
            for (topic, partition, start) in self.source.new_partitions() {
                ranges.insert((topic, partition), Range::at(start));
            }
        }
        let opened = Instant::now();
        while bytes < self.bytes && opened.elapsed() < self.age {
            if self.stop.requested() {
                break;
            }
            match self.source.pull(PATIENCE) {
                Ok(Pull::Record(record)) => {
                    bytes += record.bytes();
                    last.insert(self.count(&record, &mut ranges), records.len());
                    records.push(record);
                }
                Ok(Pull::Quiet) => (),
                Ok(Pull::End) => {
                    ended = true;
                    break;
                }
                Err(error) if records.is_empty() => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        self.notice(&mut ranges);
        for (partition, place) in last {
            if let (Some(range), Some(record)) = (ranges.get_mut(&partition), records.get(place)) {
                range.last = Some(LastRecord {
                    offset: record.position.offset,
                    sha256: record.sha256(),
                });
            }
        }
        let stopping = self.stop.requested();
        Ok(RawEpoch {
            records,
            ranges,
            cluster: self.source.cluster().to_owned(),
            lanes: self.source.lanes(),
            // Asking which lanes are silent takes time that somebody who stops the service does not give.
            idle: if stopping || ended || self.failed.is_some() {
                Vec::new()
            } else {
                self.source.idle()
            },
            now: Micros(Utc::now().timestamp_micros()),
            bytes,
            last: (ended || stopping) && self.failed.is_none(),
            sealed: ended && self.finite,
            statements: Vec::new(),
        })
    }

    /// Counts `record` to its partition's range, and gives the partition.
    fn count(&mut self, record: &RawRecord, ranges: &mut Ranges) -> (Arc<str>, i32) {
        let position = &record.position;
        let key = (position.topic.clone(), position.partition);
        let from = self.reached(&key).unwrap_or(position.offset);
        let range = ranges.entry(key.clone()).or_insert_with(|| Range::at(from));
        range.to = position.offset + 1;
        range.bytes += record.bytes() as u64;
        range.records += 1;
        self.next.insert(key.clone(), range.to);
        key
    }

    /// How far the partition has been read.
    fn reached(&self, key: &(Arc<str>, i32)) -> Option<i64> {
        let start = || self.source.start_of(&key.0, key.1);
        self.next.get(key).copied().or_else(start)
    }

    /// Takes what the source says besides records into the ranges.
    fn notice(&mut self, ranges: &mut Ranges) {
        for notice in self.source.notices() {
            let key = (notice.topic, notice.partition);
            match notice.told {
                Told::Begins(start) => {
                    ranges.entry(key).or_insert_with(|| Range::at(start));
                }
                Told::Gap(gap) => {
                    let range = ranges.entry(key).or_insert_with(|| Range::at(gap.to));
                    range.from = range.from.min(gap.from);
                    range.gaps.push(gap);
                }
                Told::Empty(to) => {
                    let from = self.reached(&key).unwrap_or(to).min(to);
                    let range = ranges.entry(key.clone()).or_insert_with(|| Range::at(from));
                    range.to = range.to.max(to);
                    let to = range.to;
                    self.next.insert(key, to);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::super::Notice;
    use super::*;
    use crate::model::Position;

    /// Gives what it was told to give, in order.
    struct Script {
        pulls: VecDeque<Result<i64, IngestError>>,
        notices: Vec<Notice>,
    }

    impl RecordSource for Script {
        fn pull(&mut self, _: Duration) -> Result<Pull, IngestError> {
            match self.pulls.pop_front() {
                Some(Ok(offset)) => Ok(Pull::Record(record(offset))),
                Some(Err(error)) => Err(error),
                None => Ok(Pull::End),
            }
        }

        fn cluster(&self) -> &str {
            "script"
        }

        fn lanes(&self) -> Vec<Arc<str>> {
            vec![Arc::from("t/0")]
        }

        fn idle(&self) -> Vec<Arc<str>> {
            Vec::new()
        }

        fn new_partitions(&self) -> Vec<(Arc<str>, i32, i64)> {
            Vec::new()
        }

        fn start_of(&self, _: &str, _: i32) -> Option<i64> {
            Some(10)
        }

        fn notices(&mut self) -> Vec<Notice> {
            std::mem::take(&mut self.notices)
        }
    }

    fn record(offset: i64) -> RawRecord {
        RawRecord {
            position: Position {
                topic: Arc::from("t"),
                partition: 0,
                offset,
            },
            lane: Arc::from("t/0"),
            appended_at: None,
            payload: Some(offset.to_string().into_bytes()),
        }
    }

    fn cutter(pulls: Vec<Result<i64, IngestError>>, told: Vec<Told>) -> Cutter {
        let notices = told
            .into_iter()
            .map(|told| Notice {
                topic: Arc::from("t"),
                partition: 0,
                told,
            })
            .collect();
        let script = Script {
            pulls: pulls.into(),
            notices,
        };
        let age = Duration::from_secs(60);
        Cutter::new(Box::new(script), age, 1 << 20, true, Stop::default())
    }

    fn only_range(epoch: &RawEpoch) -> &Range {
        assert_eq!(epoch.ranges.len(), 1);
        &epoch.ranges[&(Arc::from("t"), 0)]
    }

    #[test]
    fn a_range_tells_its_last_record_and_what_it_skipped() {
        let epoch = cutter(vec![Ok(11), Ok(14)], Vec::new()).cut().unwrap();
        let range = only_range(&epoch);
        assert_eq!((range.from, range.to, range.records), (10, 15, 2));
        assert_eq!(range.skipped(), 3);
        let last = range.last.unwrap();
        assert_eq!((last.offset, last.sha256), (14, record(14).sha256()));
    }

    #[test]
    fn a_gap_and_an_empty_end_are_part_of_the_range() {
        let gap = SourceGap {
            from: 4,
            to: 10,
            cause: "retention".to_owned(),
            reason: "a test".to_owned(),
        };
        let told = vec![Told::Gap(gap.clone()), Told::Empty(17)];
        let epoch = cutter(vec![Ok(10), Ok(12)], told.clone()).cut().unwrap();
        let range = only_range(&epoch);
        assert_eq!((range.from, range.to, range.records), (4, 17, 2));
        assert_eq!((range.skipped(), &range.gaps), (5, &vec![gap]));
        let epoch = cutter(Vec::new(), told).cut().unwrap();
        let range = only_range(&epoch);
        assert_eq!((range.from, range.to, range.skipped()), (4, 17, 7));
        assert_eq!(range.last, None);
    }

    #[test]
    fn what_came_before_a_failure_is_an_epoch_first() {
        let failure = || Err(IngestError::Ended("a test".to_owned()));
        let mut cutter = cutter(vec![Ok(10), failure(), Ok(11)], Vec::new());
        let epoch = cutter.cut().unwrap();
        assert_eq!(only_range(&epoch).to, 11);
        assert!(!epoch.last && !epoch.sealed);
        assert!(matches!(cutter.cut(), Err(IngestError::Ended(_))));
    }
}
