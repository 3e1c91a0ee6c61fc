//! How the broker is asked, and what its answers mean.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::metadata::MetadataTopic;

use super::super::IngestError;
use crate::model::{Micros, Position, RawRecord};
use crate::telemetry::Event;

/// How long the broker may take to answer questions about topics and offsets.
pub(super) const ASK: Duration = Duration::from_secs(20);

/// How soon it is asked again.
const AGAIN: Duration = Duration::from_millis(200);

/// What makes the difference between evidence and a guess; each with its reason.
const SETTINGS: [(&str, &str); 13] = [
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
    // The poll thread waits for the lake as long as the lake takes.
    ("max.poll.interval.ms", "86400000"),
    // Partitions are assigned; the client asks for a group id all the same.
    ("group.id", "keytrail"),
];

/// What a consumer that looks at single records does otherwise: it fetches little, and waits for nothing.
const LOOKING: [(&str, &str); 3] = [
    ("queued.min.messages", "1"),
    ("fetch.message.max.bytes", "65536"),
    ("fetch.wait.max.ms", "10"),
];

/// What librdkafka reports beside the records goes into our own log.
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition is news, not an error; the poll thread hears of it too.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            Event::BrokerTrouble { reason }.tell();
        }
    }
}

impl ConsumerContext for Quiet {}

pub(super) type Consumer = BaseConsumer<Quiet>;

/// A consumer that reads, with the user's `properties` over what can be chosen.
pub(super) fn reading(
    brokers: &str,
    properties: &BTreeMap<String, String>,
) -> Result<Consumer, KafkaError> {
    config(brokers, properties).create_with_context(Quiet)
}

/// A consumer that looks at single records.
pub(super) fn looking(
    brokers: &str,
    properties: &BTreeMap<String, String>,
) -> Result<Consumer, KafkaError> {
    let mut config = config(brokers, properties);
    for (key, value) in LOOKING {
        config.set(key, value);
    }
    config.create_with_context(Quiet)
}

fn config(brokers: &str, properties: &BTreeMap<String, String>) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config.set("client.id", format!("keytrail-{}", std::process::id()));
    for (key, value) in SETTINGS {
        config.set(key, value);
    }
    for (key, value) in properties {
        config.set(key, value);
    }
    config
}

/// The first offset that a partition still has, and the one that its next record will get.
///
/// While a leader moves, each broker answers that it is not the one, and librdkafka gives such an answer back once its own
/// few attempts are over; it is asked again as long as `patience` lasts.
pub(super) fn watermarks(
    consumer: &Consumer,
    topic: &str,
    partition: i32,
    patience: Duration,
) -> Result<(i64, i64), KafkaError> {
    asked_again(patience, |left| {
        consumer.fetch_watermarks(topic, partition, left)
    })
}

/// Asks until there is an answer, or an error that does not pass, or none in `patience`.
fn asked_again<T>(
    patience: Duration,
    mut ask: impl FnMut(Duration) -> Result<T, KafkaError>,
) -> Result<T, KafkaError> {
    let asked = Instant::now();
    loop {
        let left = patience.saturating_sub(asked.elapsed());
        match ask(left) {
            Err(error) if passes(&error) && asked.elapsed() + AGAIN < patience => {
                std::thread::sleep(AGAIN);
            }
            answer => return answer,
        }
    }
}

/// Every partition of `topics`. A topic that has no leader for a moment is asked for again, as long as `patience` lasts.
pub(super) fn partitions(
    consumer: &Consumer,
    topics: &[String],
    patience: Duration,
) -> Result<BTreeSet<(String, i32)>, IngestError> {
    let asked = Instant::now();
    let mut partitions = BTreeSet::new();
    for topic in topics {
        loop {
            let metadata =
                asked_again(patience, |left| consumer.fetch_metadata(Some(topic), left))?;
            let known = metadata.topics().iter().find(|known| known.name() == topic);
            let error = known.and_then(MetadataTopic::error);
            let numbers = known.map(MetadataTopic::partitions).unwrap_or_default();
            let moving = error.is_some_and(|error| {
                !matches!(
                    RDKafkaErrorCode::from(error),
                    RDKafkaErrorCode::UnknownTopicOrPartition
                        | RDKafkaErrorCode::UnknownTopic
                        | RDKafkaErrorCode::InvalidTopic
                        | RDKafkaErrorCode::TopicAuthorizationFailed
                )
            });
            if error.is_none() && !numbers.is_empty() {
                partitions.extend(numbers.iter().map(|one| (topic.clone(), one.id())));
                break;
            }
            if !moving || asked.elapsed() > patience {
                return Err(IngestError::NoTopic(topic.clone()));
            }
            std::thread::sleep(AGAIN);
        }
    }
    Ok(partitions)
}

/// The message as a record of its topic, whose one name is `topic`.
pub(super) fn record(message: &BorrowedMessage<'_>, topic: Arc<str>) -> RawRecord {
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
pub(super) fn passes(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::PollExceeded
                | RDKafkaErrorCode::Resolve
        )
    )
}

/// Errors that say that bytes arrived otherwise than they were sent. librdkafka leaves the whole batch out then, so that
/// reading on would skip records that the broker has.
pub(super) fn damaged(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::BadCompression)
    )
}

/// Whether the broker no longer has what comes next.
pub(super) fn lost(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
    )
}
