//! Brokers: librdkafka's own in this process always, and Apache Kafka where `KEYTRAIL_TEST_KAFKA` names one.
//!
//! `tests/support/kafka.sh start` prints that variable.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keytrail::ingest::{Embedded, Kafka, Positions, Stop};
use keytrail::lake::verify;
use keytrail::live::View;
use keytrail::query::Session;
use keytrail::simulate::Simulation;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer};

use super::{broker, estate, settings, wait};

#[test]
fn the_embedded_broker_gives_back_what_it_was_given() {
    let topics = ["one", "two"];
    let mut broker = Embedded::start(&topics, 2).unwrap();
    let mut sent = 0;
    for batch in Simulation::new(estate::estate(21, 12, 3, 300)) {
        for message in batch.messages {
            let topic = topics[sent % 2];
            let partition = (sent / 2 % 2) as i32;
            broker
                .send(topic, partition, None, message.time, &message.payload)
                .unwrap();
            sent += 1;
        }
    }
    broker.flush().unwrap();
    broker.check(&topics, 2).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let view = Arc::new(View::default());
    let what = broker::subscription(&broker.brokers(), &topics);
    let settings = settings(dir.path(), 100_000);
    broker::run_until(&settings, &what, &view, &Stop::default()).unwrap();
    assert_eq!(view.records(), sent as u64);
    // Nothing is read again: the ledger knows where it ended.
    broker::run_until(&settings, &what, &view, &Stop::default()).unwrap();
    assert_eq!(view.records(), sent as u64);
    assert_eq!(wait(verify(dir.path())).unwrap().problems, []);
}

#[test]
fn a_topic_that_does_not_exist_is_named() {
    let broker = Embedded::start(&["there"], 1).unwrap();
    let what = broker::subscription(&broker.brokers(), &["elsewhere"]);
    let error = Kafka::open(&what, &Positions::new()).unwrap_err();
    assert!(error.to_string().contains("elsewhere"), "{error}");
}

/// Apache Kafka, four topics with twelve partitions, the process killed with −9 again and again: every event is there
/// exactly once, and the lake verifies.
#[test]
fn killed_again_and_again_it_loses_and_doubles_nothing() {
    let Ok(brokers) = std::env::var("KEYTRAIL_TEST_KAFKA") else {
        // Written past the test harness, which would keep it to itself.
        let skipped = "SKIPPED: Apache Kafka: KEYTRAIL_TEST_KAFKA names no broker; tests/support/kafka.sh starts one\n";
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    };
    let messages: usize = number("KEYTRAIL_TEST_MESSAGES", 20_000);
    let kills: u64 = number("KEYTRAIL_TEST_KILLS", 4) as u64;
    let topics = fill(&brokers, messages);
    let expected = topics.1;
    let dir = tempfile::tempdir().unwrap();
    for kill in 0..kills {
        let mut child = start(&brokers, &topics.0, dir.path(), false);
        // Another moment each time: while it starts, reads, stages or commits.
        let moment = Duration::from_millis(600 + (kill * 1_237) % 2_900);
        std::thread::sleep(moment);
        assert!(
            child.try_wait().unwrap().is_none(),
            "it runs until it is killed"
        );
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let begun = Instant::now();
    let status = start(&brokers, &topics.0, dir.path(), true).wait().unwrap();
    assert!(status.success());
    println!(
        "{messages} messages, {kills} kills; the last run took {:?}",
        begun.elapsed()
    );
    let verdict = wait(verify(dir.path())).unwrap();
    assert_eq!(verdict.problems, []);
    let (rows, distinct) = wait(counts(dir.path()));
    assert_eq!((rows, distinct), (expected, expected));
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Creates four topics of three partitions and writes `messages` simulated messages to them. Gives their names and how
/// many distinct events they hold.
fn fill(brokers: &str, messages: usize) -> (Vec<String>, i64) {
    let run = format!("{}-{}", std::process::id(), messages);
    let names: Vec<String> = (0..4).map(|n| format!("keytrail-test-{run}-{n}")).collect();
    let config = |client: &str| {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers);
        config.set("client.id", client);
        config
    };
    let admin: AdminClient<_> = config("admin").create().unwrap();
    let new: Vec<NewTopic<'_>> = names
        .iter()
        // Simulated records are months old: retention would remove them while they are written.
        .map(|name| NewTopic::new(name, 3, TopicReplication::Fixed(1)).set("retention.ms", "-1"))
        .collect();
    for created in wait(admin.create_topics(&new, &AdminOptions::new())).unwrap() {
        created.unwrap();
    }
    let producer: BaseProducer = config("producer")
        .set("compression.type", "zstd")
        .set("linger.ms", "20")
        .create()
        .unwrap();
    let mut uids = std::collections::BTreeSet::new();
    let mut sent = 0;
    let mut estate = estate::estate(31, 60, 400, 8_000_000);
    // Mostly one record a message, so that the number of messages is what counts.
    estate.records_per_object = 1;
    'all: for batch in Simulation::new(estate) {
        for message in batch.messages {
            let topic = &names[sent % 4];
            let partition = (sent / 4 % 3) as i32;
            let (time, payload) = (message.time.millis(), message.payload.as_slice());
            broker::send_at(&producer, topic, partition, Some(time), Some(payload));
            collect_uids(&message.payload, &mut uids);
            sent += 1;
            if sent == messages {
                break 'all;
            }
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    assert_eq!(sent, messages);
    (names, uids.len() as i64)
}

/// The distinct events of a message: by their own bytes, since a copy is byte-identical.
fn collect_uids(payload: &[u8], uids: &mut std::collections::BTreeSet<String>) {
    let value: serde_json::Value = serde_json::from_slice(payload).unwrap();
    let list = value.get("Records").or_else(|| value.get("records"));
    let elements: Vec<&serde_json::Value> = match list {
        Some(list) => list.as_array().unwrap().iter().collect(),
        None => vec![value.get("detail").unwrap_or(&value)],
    };
    uids.extend(elements.into_iter().map(serde_json::Value::to_string));
}

fn start(brokers: &str, topics: &[String], lake: &Path, until_end: bool) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keytrail"));
    command
        .args(["run", "--quiet", "--brokers", brokers, "--data"])
        .arg(lake)
        .env("KEYTRAIL_LAKE__EPOCH_AGE", "300ms")
        .env("KEYTRAIL_LAKE__SNAPSHOT_EPOCHS", "4")
        .stderr(Stdio::inherit());
    for topic in topics {
        command.args(["--topic", topic]);
    }
    if until_end {
        command.arg("--until-end");
    }
    command.spawn().unwrap()
}

async fn counts(lake: &Path) -> (i64, i64) {
    use arrow::array::AsArray;
    let session = Session::open(lake).await.unwrap();
    let sql = "SELECT count(*), count(DISTINCT event_uid) FROM activity";
    let (_, batches) = session.sql(sql).await.unwrap();
    let number = |column: usize| {
        batches[0]
            .column(column)
            .as_primitive::<arrow::datatypes::Int64Type>()
            .value(0)
    };
    (number(0), number(1))
}
