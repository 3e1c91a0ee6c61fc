//! Kafka as a source: partitions are assigned, never subscribed, and continue where the ledger says.
//!
//! One thread polls one consumer and hands records over a bounded channel, so that a slow lake slows the poll and
//! nothing else. Offsets are never committed to steer anything: the ledger is the only truth about them. What may be
//! skipped is proven first: a second consumer looks whether there is anything between two offsets.

mod client;
mod poller;
mod probe;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::continuity::{self, AcceptedGap, Partition};
use super::{IngestError, Notice, Positions, Pull, RecordSource, Stop, Told};
use crate::config::Start;
use crate::model::{RawRecord, ReadTo};
use client::{ASK, Consumer};
use poller::{Handed, Place, Poller, Waiting};
use probe::Probe;
use watch::Watch;

/// How many records wait between the poll thread and the cutter, whatever their size.
const CHANNEL: usize = 1_024;

/// How long the broker may take to say that a lane is silent, for one lane and for all: reading waits for it, and no
/// answer only means that the lane is asked again.
const IDLE_ASK: Duration = Duration::from_secs(1);
const IDLE_ASK_ALL: Duration = Duration::from_secs(2);

/// A partition at its end is called silent when it has brought nothing for this long.
const SILENT_AFTER: Duration = Duration::from_secs(120);

/// How often the broker is asked whether a silent partition ends with offsets that hold no record.
const PROVE_EVERY: Duration = Duration::from_secs(30);

/// The same where somebody waits for the end.
const PROVE_EVERY_WAITING: Duration = Duration::from_secs(1);

/// How long the broker may take for that: whoever stops the service waits for it.
const PROVE_ASK: Duration = Duration::from_secs(4);

/// How often the broker is asked for new partitions, unless told otherwise: they are read within a minute.
pub const WATCH_EVERY: Duration = Duration::from_secs(20);

/// What is read, and how.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// `host:port`, several with commas between them.
    pub brokers: String,
    pub topics: Vec<String>,
    /// librdkafka properties.
    pub properties: BTreeMap<String, String>,
    /// Where partitions begin that the ledger does not know.
    pub start: Start,
    /// Whether the source ends when everything has been read that is there at the start.
    pub until_end: bool,
    /// Gaps that may be passed.
    pub accepted: Vec<AcceptedGap>,
    /// How often the broker is asked for new partitions.
    pub watch_every: Duration,
}

/// A cluster's topics.
pub struct Kafka {
    cluster: String,
    /// Partitions that the ledger does not know.
    unknown: Vec<(Arc<str>, i32, i64)>,
    lanes: BTreeMap<Place, Lane>,
    /// Lanes that have not brought everything that was there at the start.
    unfinished: usize,
    notices: Vec<Notice>,
    handed: Receiver<Handed>,
    waiting: Arc<Waiting>,
    quit: Stop,
    threads: Vec<JoinHandle<()>>,
    consumer: Arc<Consumer>,
    probe: Probe,
    until_end: bool,
}

struct Lane {
    name: Arc<str>,
    start: i64,
    /// Where it ended when it was first seen.
    target: i64,
    last_record: Instant,
    /// Offset after the last record that came.
    next: i64,
    /// An end was reported since the last record, of this partition or of one with its number.
    at_end: bool,
    /// When it was last asked whether there is anything behind `next`, and at which `next` that was.
    asked: Option<(Instant, i64)>,
}

impl Lane {
    fn new(place: &Place, start: i64, target: i64) -> Self {
        Self {
            name: Arc::from(format!("{}/{}", place.0, place.1)),
            start,
            target,
            last_record: Instant::now(),
            next: start,
            at_end: false,
            asked: None,
        }
    }

    const fn finished(&self) -> bool {
        self.next >= self.target
    }
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka")
            .field("cluster", &self.cluster)
            .field("partitions", &self.lanes.len())
            .finish_non_exhaustive()
    }
}

/// What is known of the partitions before any record is read.
struct Opened {
    lanes: BTreeMap<Place, Lane>,
    unknown: Vec<(Arc<str>, i32, i64)>,
    /// Gaps that are passed.
    gaps: Vec<Notice>,
}

impl Kafka {
    /// Connects, checks that the broker still has what comes next, and begins to read.
    pub fn open(what: &Subscription, positions: &Positions) -> Result<Self, IngestError> {
        let consumer = Arc::new(client::reading(&what.brokers, &what.properties)?);
        let probe = Probe::new(client::looking(&what.brokers, &what.properties)?);
        let partitions = client::partitions(&consumer, &what.topics, ASK)?;
        let cluster = consumer
            .client()
            .fetch_cluster_id(ASK)
            .unwrap_or_else(|| "unknown".to_owned());
        continuity::check_cluster(&cluster, positions)?;
        let names: BTreeMap<String, Arc<str>> = what
            .topics
            .iter()
            .map(|topic| (topic.clone(), Arc::from(topic.as_str())))
            .collect();
        let opened = opened(what, positions, &cluster, &consumer, &probe, &partitions)?;
        assign(&consumer, &opened.lanes)?;
        let (sender, handed) = sync_channel(CHANNEL);
        let (found, grown) = channel();
        let quit = Stop::default();
        let waiting = Arc::new(Waiting::default());
        let mut poller = Poller {
            consumer: consumer.clone(),
            names: names.clone(),
            next: opened
                .lanes
                .iter()
                .map(|(place, lane)| (place.clone(), lane.start))
                .collect(),
            sender,
            waiting: waiting.clone(),
            grown,
            quit: quit.clone(),
            damaged: 0,
        };
        let mut watch = Watch {
            consumer: consumer.clone(),
            names,
            known: partitions,
            every: what.watch_every,
            grown: found,
            quit: quit.clone(),
        };
        let threads = vec![
            thread("kafka-poll", move || poller.poll())?,
            thread("kafka-watch", move || watch.watch())?,
        ];
        Ok(Self {
            cluster,
            unknown: opened.unknown,
            unfinished: opened
                .lanes
                .values()
                .filter(|lane| !lane.finished())
                .count(),
            lanes: opened.lanes,
            notices: opened.gaps,
            handed,
            waiting,
            quit,
            threads,
            consumer,
            probe,
            until_end: what.until_end,
        })
    }

    /// Payload bytes that have come and wait to be pulled.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.bytes()
    }

    /// Moves a lane on to `next`.
    fn advance(&mut self, place: &Place, next: i64) -> Option<&mut Lane> {
        let lane = self.lanes.get_mut(place)?;
        let finished = lane.finished();
        lane.next = lane.next.max(next);
        self.unfinished -= usize::from(!finished && lane.finished());
        Some(lane)
    }

    fn record(&mut self, mut record: RawRecord) -> Pull {
        self.waiting.take(record.bytes());
        let place = (record.position.topic.clone(), record.position.partition);
        if let Some(lane) = self.advance(&place, record.position.offset + 1) {
            lane.last_record = Instant::now();
            lane.at_end = false;
            record.lane = lane.name.clone();
        }
        Pull::Record(record)
    }

    fn grow(&mut self, place: Place, start: i64, high: i64) {
        let lane = Lane::new(&place, start, high);
        self.unfinished += usize::from(!lane.finished());
        self.notices.push(Notice {
            topic: place.0.clone(),
            partition: place.1,
            told: Told::Begins(start),
        });
        self.lanes.insert(place, lane);
    }

    /// Looks whether one lane that seems to be at its end has only offsets without a record left, as the markers of
    /// transactions are: they are never handed over, and without this nobody would know that they were passed.
    ///
    /// No answer only means that it is asked again.
    fn prove_one(&mut self) {
        let lane = self.lanes.iter_mut().find(|(_, lane)| {
            let worth = if self.until_end {
                !lane.finished()
            } else {
                lane.last_record.elapsed() > SILENT_AFTER
            };
            let asked = lane.asked.is_some_and(|(at, next)| {
                let again = if self.until_end {
                    PROVE_EVERY_WAITING
                } else {
                    PROVE_EVERY
                };
                next == lane.next && at.elapsed() < again
            });
            worth && lane.at_end && !asked
        });
        let Some((place, lane)) = lane else {
            return;
        };
        lane.asked = Some((Instant::now(), lane.next));
        let (place, next) = (place.clone(), lane.next);
        let Ok((_, high)) = self.consumer.fetch_watermarks(&place.0, place.1, IDLE_ASK) else {
            return;
        };
        if high <= next {
            return;
        }
        let Ok(first) = self.probe.first(&place.0, place.1, next, PROVE_ASK) else {
            return;
        };
        let empty_to = first.map_or(high, |record| record.position.offset.min(high));
        if empty_to > next {
            self.advance(&place, empty_to);
            self.notices.push(Notice {
                topic: place.0,
                partition: place.1,
                told: Told::Empty(empty_to),
            });
        }
    }

    /// Which partition has lost what comes next.
    fn lost(&self, error: KafkaError) -> IngestError {
        for ((topic, partition), lane) in &self.lanes {
            let Ok((low, high)) = client::watermarks(&self.consumer, topic, *partition, ASK) else {
                continue;
            };
            let partition = Partition {
                topic,
                number: *partition,
                low,
                high,
                known: Some(ReadTo {
                    next: lane.next,
                    last: None,
                }),
                grown: false,
            };
            if let Err(error) = continuity::open(partition, Start::Earliest, &[]) {
                return error;
            }
        }
        error.into()
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.quit.request();
        // The poll thread may wait for room in the channel.
        while self.handed.try_recv().is_ok() {}
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

impl RecordSource for Kafka {
    fn pull(&mut self, patience: Duration) -> Result<Pull, IngestError> {
        if self.until_end && self.unfinished == 0 {
            return Ok(Pull::End);
        }
        match self.handed.recv_timeout(patience) {
            Ok(Handed::Record(record)) => return Ok(self.record(record)),
            Ok(Handed::End(partition)) => {
                for ((_, number), lane) in &mut self.lanes {
                    lane.at_end |= *number == partition;
                }
            }
            Ok(Handed::Grown { place, start, high }) => self.grow(place, start, high),
            Ok(Handed::Lost(error)) => return Err(self.lost(error)),
            Ok(Handed::Failed(error)) => return Err(error),
            Err(RecvTimeoutError::Timeout) => self.prove_one(),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(IngestError::Ended("it is gone".to_owned()));
            }
        }
        Ok(Pull::Quiet)
    }

    fn cluster(&self) -> &str {
        &self.cluster
    }

    fn lanes(&self) -> Vec<Arc<str>> {
        self.lanes.values().map(|lane| lane.name.clone()).collect()
    }

    fn idle(&self) -> Vec<Arc<str>> {
        let asked = Instant::now();
        self.lanes
            .iter()
            .filter(|_| asked.elapsed() < IDLE_ASK_ALL)
            .filter(|(_, lane)| lane.at_end && lane.last_record.elapsed() > SILENT_AFTER)
            // An end that is reported names no topic, so the broker is asked before a lane is called silent.
            .filter(|((topic, partition), lane)| {
                let marks = self.consumer.fetch_watermarks(topic, *partition, IDLE_ASK);
                matches!(marks, Ok((_, high)) if high <= lane.next)
            })
            .map(|(_, lane)| lane.name.clone())
            .collect()
    }

    fn new_partitions(&self) -> Vec<(Arc<str>, i32, i64)> {
        self.unknown.clone()
    }

    fn start_of(&self, topic: &str, partition: i32) -> Option<i64> {
        self.lanes
            .get(&(Arc::from(topic), partition))
            .map(|lane| lane.start)
    }

    fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }
}

/// Where each partition begins or continues; an error if one cannot.
fn opened(
    what: &Subscription,
    positions: &Positions,
    cluster: &str,
    consumer: &Consumer,
    probe: &Probe,
    partitions: &BTreeSet<(String, i32)>,
) -> Result<Opened, IngestError> {
    let mut opened = Opened {
        lanes: BTreeMap::new(),
        unknown: Vec::new(),
        gaps: Vec::new(),
    };
    for (topic, number) in partitions {
        let (low, high) = client::watermarks(consumer, topic, *number, ASK)?;
        let known = positions
            .get(&(cluster.to_owned(), topic.clone(), *number))
            .copied();
        let grown = positions
            .keys()
            .any(|(known, sister, _)| known == cluster && sister == topic);
        let partition = Partition {
            topic,
            number: *number,
            low,
            high,
            known,
            grown,
        };
        let opening = continuity::open(partition, what.start, &what.accepted)?;
        if let Some(last) = known.and_then(|known| known.last) {
            probe.check(topic, *number, last, low)?;
        }
        let place: Place = (Arc::from(topic.as_str()), *number);
        if known.is_none() {
            opened
                .unknown
                .push((place.0.clone(), *number, opening.start));
        }
        if let Some(gap) = opening.gap {
            opened.gaps.push(Notice {
                topic: place.0.clone(),
                partition: *number,
                told: Told::Gap(gap),
            });
        }
        let lane = Lane::new(&place, opening.start, high);
        opened.lanes.insert(place, lane);
    }
    Ok(opened)
}

/// Begins to fetch every lane from its start.
fn assign(consumer: &Consumer, lanes: &BTreeMap<Place, Lane>) -> Result<(), KafkaError> {
    let mut assignment = TopicPartitionList::new();
    for ((topic, partition), lane) in lanes {
        assignment.add_partition_offset(topic, *partition, Offset::Offset(lane.start))?;
    }
    consumer.assign(&assignment)
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, IngestError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| IngestError::Ended(error.to_string()))
}
