//! Kafka as a source: partitions are assigned, never subscribed, and continue where the ledger says.
//!
//! One thread polls one consumer and hands records over a bounded channel, so that a slow lake slows the poll and
//! nothing else. Offsets are never committed to steer anything: the ledger is the only truth about them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer as Base, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{IngestError, Positions, Pull, RecordSource, Stop};
use crate::config::Start;
use crate::model::{Micros, Position, RawRecord};
use crate::telemetry::Event;

/// How many records wait between the poll thread and the cutter. With messages of a few hundred kilobytes this is the
/// largest part of the program's memory besides the epoch itself.
const CHANNEL: usize = 1_024;

/// How long the broker may take to answer questions about topics and offsets.
const ASK: Duration = Duration::from_secs(20);

/// How long the broker may take to say that a lane is silent, for one lane and for all: reading waits for it, and no
/// answer only means that the lane is asked again.
const IDLE_ASK: Duration = Duration::from_secs(1);
const IDLE_ASK_ALL: Duration = Duration::from_secs(2);

/// A partition at its end is called silent when it has brought nothing for this long.
const SILENT_AFTER: Duration = Duration::from_secs(120);

/// What makes the difference between evidence and a guess; each with its reason.
const SETTINGS: [(&str, &str); 12] = [
    // Offsets live in the ledger.
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // Lost records must be an error, never a silent jump.
    ("auto.offset.reset", "error"),
    // Aborted records are not evidence.
    ("isolation.level", "read_committed"),
    // Bytes that changed on the way are not evidence either.
    ("check.crcs", "true"),
    ("queued.max.messages.kbytes", "32768"),
    ("queued.min.messages", "20000"),
    ("fetch.message.max.bytes", "8388608"),
    ("receive.message.max.bytes", "100000000"),
    // A misspelt topic must not come into being.
    ("allow.auto.create.topics", "false"),
    // Ends are needed to know that a partition is silent.
    ("enable.partition.eof", "true"),
    // Partitions are assigned; the client asks for a group id all the same.
    ("group.id", "keytrail"),
];

/// What librdkafka reports beside the records goes into our own log.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition is news, not an error; the poll thread hears of it too.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            Event::BrokerTrouble { reason }.tell();
        }
    }
}

impl ConsumerContext for Quiet {}

type BaseConsumer = Base<Quiet>;

/// What the poll thread hands over.
enum Handed {
    Record(RawRecord),
    /// The partition has been read to its end; so has, once, everything it held at the start if `target` says so.
    End {
        topic: Arc<str>,
        partition: i32,
        target: bool,
    },
    Failed(KafkaError),
}

/// A cluster's topics.
pub struct Kafka {
    cluster: String,
    starts: BTreeMap<(String, i32), i64>,
    /// Partitions that the ledger does not know.
    unknown: Vec<(Arc<str>, i32, i64)>,
    lanes: BTreeMap<(String, i32), Lane>,
    handed: Receiver<Handed>,
    quit: Stop,
    thread: Option<JoinHandle<()>>,
    consumer: Arc<BaseConsumer>,
    /// Whether the source ends when every partition has been read to its end once.
    until_end: bool,
}

struct Lane {
    name: Arc<str>,
    last_record: Instant,
    /// Offset after the last record that came.
    next: i64,
    /// An end was reported since the last record.
    at_end: bool,
    /// Everything that was there at the start has come.
    finished: bool,
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka")
            .field("cluster", &self.cluster)
            .field("partitions", &self.starts.len())
            .finish_non_exhaustive()
    }
}

impl Kafka {
    /// Connects, checks that the broker still has what comes next, and begins to read.
    pub fn connect(
        brokers: &str,
        topics: &[String],
        properties: &BTreeMap<String, String>,
        start: Start,
        positions: &Positions,
        until_end: bool,
    ) -> Result<Self, IngestError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers);
        config.set("client.id", format!("keytrail-{}", std::process::id()));
        for (key, value) in SETTINGS {
            config.set(key, value);
        }
        for (key, value) in properties {
            config.set(key, value);
        }
        let consumer: BaseConsumer = config.create_with_context(Quiet)?;
        let consumer = Arc::new(consumer);
        let partitions = partitions(&consumer, topics)?;
        let cluster = consumer
            .client()
            .fetch_cluster_id(ASK)
            .unwrap_or_else(|| "unknown".to_owned());
        check_cluster(&cluster, positions)?;
        let mut starts = BTreeMap::new();
        let mut targets = BTreeMap::new();
        let mut unknown = Vec::new();
        let mut assignment = TopicPartitionList::new();
        for (topic, partition) in partitions {
            let (low, high) = consumer.fetch_watermarks(&topic, partition, ASK)?;
            let key = (cluster.clone(), topic.clone(), partition);
            let offset = first_offset(&key, (low, high), start, positions)?;
            assignment.add_partition_offset(&topic, partition, Offset::Offset(offset))?;
            if !positions.contains_key(&key) {
                unknown.push((Arc::from(topic.as_str()), partition, offset));
            }
            targets.insert((topic.clone(), partition), (offset, high));
            starts.insert((topic, partition), offset);
        }
        consumer.assign(&assignment)?;
        let lanes = lanes(&starts);
        let (sender, handed) = sync_channel(CHANNEL);
        let quit = Stop::default();
        let seen = quit.clone();
        let names: BTreeMap<String, Arc<str>> = starts
            .keys()
            .map(|(topic, _)| (topic.clone(), Arc::from(topic.as_str())))
            .collect();
        let polled = consumer.clone();
        let thread = std::thread::Builder::new()
            .name("kafka-poll".to_owned())
            .spawn(move || {
                let mut poller = Poller {
                    consumer: polled,
                    topics: names,
                    targets,
                    ends: BTreeMap::new(),
                };
                poller.poll(&sender, &seen);
            })
            .map_err(|error| IngestError::Ended(error.to_string()))?;
        Ok(Self {
            cluster,
            starts,
            unknown,
            lanes,
            handed,
            quit,
            thread: Some(thread),
            consumer,
            until_end,
        })
    }

    fn lane(&mut self, topic: &str, partition: i32) -> Option<&mut Lane> {
        self.lanes.get_mut(&(topic.to_owned(), partition))
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.quit.request();
        // The poll thread may wait for room in the channel.
        while self.handed.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl RecordSource for Kafka {
    fn pull(&mut self, patience: Duration) -> Result<Pull, IngestError> {
        match self.handed.recv_timeout(patience) {
            Ok(Handed::Record(mut record)) => {
                let (topic, partition) = (record.position.topic.clone(), record.position.partition);
                if let Some(lane) = self.lane(&topic, partition) {
                    lane.last_record = Instant::now();
                    lane.next = record.position.offset + 1;
                    lane.at_end = false;
                    record.lane = lane.name.clone();
                }
                Ok(Pull::Record(record))
            }
            Ok(Handed::End {
                topic,
                partition,
                target,
            }) => {
                if let Some(lane) = self.lane(&topic, partition) {
                    lane.at_end = true;
                    lane.finished |= target;
                }
                let ended = self.until_end && self.lanes.values().all(|lane| lane.finished);
                Ok(if ended { Pull::End } else { Pull::Quiet })
            }
            Ok(Handed::Failed(error)) => Err(error.into()),
            Err(RecvTimeoutError::Timeout) => Ok(Pull::Quiet),
            Err(RecvTimeoutError::Disconnected) => Err(IngestError::Ended("it is gone".to_owned())),
        }
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
        self.starts.get(&(topic.to_owned(), partition)).copied()
    }
}

/// What the poll thread owns.
struct Poller {
    consumer: Arc<BaseConsumer>,
    topics: BTreeMap<String, Arc<str>>,
    /// Where each partition began to be read, and where it ended then.
    targets: BTreeMap<(String, i32), (i64, i64)>,
    /// How many ends were reported for a partition number.
    ends: BTreeMap<i32, usize>,
}

impl Poller {
    /// Polls until told to stop or until something fails that does not pass by itself.
    fn poll(&mut self, sender: &SyncSender<Handed>, quit: &Stop) {
        let consumer = self.consumer.clone();
        while !quit.requested() {
            let handed = match consumer.poll(Duration::from_millis(100)) {
                None => continue,
                Some(Ok(message)) => Handed::Record(record(&message, &self.topics)),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    for end in self.ends(partition) {
                        if !send(sender, end, quit) {
                            return;
                        }
                    }
                    continue;
                }
                Some(Err(error)) if passes(&error) => {
                    let reason = error.to_string();
                    Event::BrokerTrouble { reason: &reason }.tell();
                    continue;
                }
                Some(Err(error)) => Handed::Failed(error),
            };
            let failed = matches!(handed, Handed::Failed(_));
            if !send(sender, handed, quit) || failed {
                return;
            }
        }
    }

    /// What an end says, which names a partition but no topic: every topic with that partition may have reached it.
    ///
    /// A topic is finished when all that it held at the start was handed over. Where its last records are markers of
    /// transactions the position stays short of that; then it counts that every topic has reported an end.
    fn ends(&mut self, partition: i32) -> Vec<Handed> {
        let reported = self.ends.entry(partition).or_default();
        *reported += 1;
        let positions = self.consumer.position().ok();
        let concerned: Vec<_> = self
            .targets
            .iter()
            .filter(|((_, number), _)| *number == partition)
            .collect();
        let all_reported = *reported >= concerned.len();
        concerned
            .into_iter()
            .filter_map(|((topic, _), (start, high))| {
                let at = positions
                    .as_ref()
                    .and_then(|list| list.find_partition(topic, partition))
                    .and_then(|element| match element.offset() {
                        Offset::Offset(offset) => Some(offset),
                        _ => None,
                    })
                    .unwrap_or(*start);
                Some(Handed::End {
                    topic: self.topics.get(topic)?.clone(),
                    partition,
                    target: at >= *high || all_reported,
                })
            })
            .collect()
    }
}

/// Hands over, waiting for room. Gives up when told to stop.
fn send(sender: &SyncSender<Handed>, mut handed: Handed, quit: &Stop) -> bool {
    loop {
        match sender.try_send(handed) {
            Ok(()) => return true,
            Err(TrySendError::Disconnected(_)) => return false,
            Err(TrySendError::Full(back)) => {
                if quit.requested() {
                    return false;
                }
                handed = back;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

fn record(message: &BorrowedMessage<'_>, topics: &BTreeMap<String, Arc<str>>) -> RawRecord {
    let topic = topics
        .get(message.topic())
        .cloned()
        .unwrap_or_else(|| Arc::from(message.topic()));
    RawRecord {
        lane: topic.clone(),
        position: Position {
            topic,
            partition: message.partition(),
            offset: message.offset(),
        },
        appended_at: message.timestamp().to_millis().map(Micros::from_millis),
        payload: message.payload().map(<[u8]>::to_vec),
    }
}

/// Errors after which librdkafka goes on by itself.
fn passes(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::Resolve
        )
    )
}

fn partitions(
    consumer: &BaseConsumer,
    topics: &[String],
) -> Result<BTreeSet<(String, i32)>, IngestError> {
    let mut partitions = BTreeSet::new();
    for topic in topics {
        let metadata = consumer.fetch_metadata(Some(topic), ASK)?;
        let known = metadata
            .topics()
            .iter()
            .find(|known| known.name() == topic && known.error().is_none())
            .filter(|known| !known.partitions().is_empty())
            .ok_or_else(|| IngestError::NoTopic(topic.clone()))?;
        partitions.extend(
            known
                .partitions()
                .iter()
                .map(|partition| (topic.clone(), partition.id())),
        );
    }
    Ok(partitions)
}

/// Offsets of one cluster mean nothing on another.
fn check_cluster(cluster: &str, positions: &Positions) -> Result<(), IngestError> {
    let other = positions
        .keys()
        .map(|(known, _, _)| known)
        .find(|known| known.as_str() != cluster && known.as_str() != super::files::CLUSTER);
    match other {
        Some(wanted) => Err(IngestError::OtherCluster {
            found: cluster.to_owned(),
            wanted: wanted.clone(),
        }),
        None => Ok(()),
    }
}

/// One lane for each partition.
fn lanes(starts: &BTreeMap<(String, i32), i64>) -> BTreeMap<(String, i32), Lane> {
    let now = Instant::now();
    starts
        .iter()
        .map(|((topic, partition), start)| {
            let lane = Lane {
                name: Arc::from(format!("{topic}/{partition}")),
                last_record: now,
                next: *start,
                at_end: false,
                finished: false,
            };
            ((topic.clone(), *partition), lane)
        })
        .collect()
}

/// Where a partition continues, or begins. Refuses to continue where records are missing.
fn first_offset(
    key: &(String, String, i32),
    (low, high): (i64, i64),
    start: Start,
    positions: &Positions,
) -> Result<i64, IngestError> {
    let Some(next) = positions.get(key).copied() else {
        // A partition that a known topic gained later is read from its beginning.
        let grown = positions
            .keys()
            .any(|(cluster, topic, _)| *cluster == key.0 && *topic == key.1);
        return Ok(match start {
            Start::Latest if !grown => high,
            _ => low,
        });
    };
    let reason = if next < low {
        "retention removed records before they were read"
    } else if next > high {
        "the partition is shorter than it was: it was truncated or made anew"
    } else {
        return Ok(next);
    };
    let (_, topic, partition) = key;
    Err(IngestError::Lost {
        topic: topic.clone(),
        partition: *partition,
        next,
        low,
        high,
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_continues_only_where_nothing_is_missing() {
        let key = ("c".to_owned(), "t".to_owned(), 0);
        let at = |next: i64| Positions::from([(key.clone(), next)]);
        let first = |positions: &Positions, start| first_offset(&key, (10, 20), start, positions);
        assert_eq!(first(&Positions::new(), Start::Earliest).unwrap(), 10);
        assert_eq!(first(&Positions::new(), Start::Latest).unwrap(), 20);
        let sister = Positions::from([(("c".to_owned(), "t".to_owned(), 1), 5)]);
        assert_eq!(first(&sister, Start::Latest).unwrap(), 10, "a grown topic");
        assert_eq!(first(&at(10), Start::Latest).unwrap(), 10);
        assert_eq!(first(&at(20), Start::Earliest).unwrap(), 20);
        assert!(first(&at(9), Start::Earliest).is_err(), "retention");
        assert!(first(&at(21), Start::Earliest).is_err(), "truncation");
    }
}
