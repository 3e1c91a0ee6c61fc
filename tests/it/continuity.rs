//! What only a real broker does: retention, topics that are made anew, transactions, new partitions, large messages.
//! Apache Kafka at `KEYTRAIL_TEST_KAFKA` (`tests/support/kafka.sh start` prints it); each test says that it was skipped
//! where there is none. The names begin with the row of the fault matrix.

use std::fs::OpenOptions;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use keytrail::ingest::{AcceptedGap, IngestError, Subscription};
use keytrail::lake::verify;
use keytrail::pipeline::PipelineError;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::broker::{
    PATIENCE, apache, event, fill, holds_exactly, keytrail_run, number, producer, rows, run, said,
    send, serve, settings, subscription, verifies, wait_for,
};
use super::wait;

/// A broker and what can be asked of it.
struct Apache {
    brokers: String,
    admin: AdminClient<DefaultClientContext>,
}

impl Apache {
    fn find(what: &str) -> Option<Self> {
        apache(what).map(Self::at)
    }

    fn at(brokers: String) -> Self {
        let mut config = ClientConfig::new();
        let admin = config.set("bootstrap.servers", &brokers).create().unwrap();
        Self { brokers, admin }
    }

    /// Creates a topic that no other test has; one of that name that is being deleted is waited for.
    fn create(&self, topic: &str, partitions: i32) {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1))
            .set("retention.ms", "-1")
            .set("max.message.bytes", "30000000");
        let begun = Instant::now();
        loop {
            let created = wait(self.admin.create_topics([&new], &AdminOptions::new())).unwrap();
            if created[0].is_ok() {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{created:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
        self.settled(topic, partitions);
    }

    /// Waits until the broker knows all partitions and who leads them.
    fn settled(&self, topic: &str, partitions: i32) {
        let client = self.admin.inner();
        wait_for("the partitions", || {
            client
                .fetch_metadata(Some(topic), PATIENCE)
                .is_ok_and(|metadata| {
                    let known = metadata.topics()[0].partitions();
                    known.len() == partitions as usize && known.iter().all(|one| one.leader() >= 0)
                })
        });
    }

    fn delete(&self, topic: &str) {
        let deleted = wait(self.admin.delete_topics(&[topic], &AdminOptions::new())).unwrap();
        deleted[0].as_ref().unwrap();
    }

    /// Removes what is before `offset`, as retention does.
    fn delete_before(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset))
            .unwrap();
        wait(self.admin.delete_records(&list, &AdminOptions::new())).unwrap();
    }
}

fn name(what: &str) -> String {
    format!("keytrail-{what}-{}", std::process::id())
}

#[test]
fn c4_retention_is_a_gap_that_somebody_must_accept() {
    let Some(kafka) = Apache::find("C4, retention") else {
        return;
    };
    let (topic, dir) = (name("c4"), tempfile::tempdir().unwrap());
    kafka.create(&topic, 1);
    let what = subscription(&kafka.brokers, &[&topic]);
    fill(&kafka.brokers, &topic, 0, 0..20);
    run(&settings(dir.path()), &what).unwrap();
    fill(&kafka.brokers, &topic, 0, 20..50);
    kafka.delete_before(&topic, 0, 33);
    let error = run(&settings(dir.path()), &what).unwrap_err();
    let gap = IngestError::Gap {
        topic: topic.clone(),
        partition: 0,
        from: 20,
        to: 33,
    };
    assert_eq!(error.to_string(), gap.to_string());
    let accepted = AcceptedGap::parse(&format!("{topic}/0/20/33"), "a test").unwrap();
    let what = Subscription {
        accepted: vec![accepted],
        ..what
    };
    run(&settings(dir.path()), &what).unwrap();
    holds_exactly(dir.path(), 37);
    let verdict = wait(verify(dir.path())).unwrap();
    assert_eq!(verdict.gaps.len(), 1);
    assert_eq!((verdict.gaps[0].gap.from, verdict.gaps[0].gap.to), (20, 33));
}

/// The consumer is at 50 of 5,000 and asks for little at a time; what it would ask for next is removed.
#[test]
fn c4_retention_that_overtakes_the_reader_stops_it() {
    let Some(kafka) = Apache::find("C4, retention that overtakes the reader") else {
        return;
    };
    let (topic, dir) = (name("c4-running"), tempfile::tempdir().unwrap());
    kafka.create(&topic, 1);
    fill(&kafka.brokers, &topic, 0, 0..20_000);
    let small = [
        ("fetch.message.max.bytes", "20000"),
        ("queued.min.messages", "1"),
        ("queued.max.messages.kbytes", "20"),
    ];
    let what = Subscription {
        properties: small
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..subscription(&kafka.brokers, &[&topic])
    };
    let mut settings = settings(dir.path());
    settings.epoch_bytes = 50_000;
    let error = std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&settings, &what));
        let second = dir.path().join("ledger/epoch-000000000002.json");
        wait_for("two commits", || second.is_file());
        kafka.delete_before(&topic, 0, 19_900);
        running.join().unwrap().unwrap_err()
    });
    let PipelineError::Ingest(IngestError::Gap { from, to, .. }) = error else {
        panic!("{error}");
    };
    assert_eq!(to, 19_900);
    let committed = number(dir.path(), "SELECT count(*) FROM activity");
    assert_eq!(committed, from as u64, "what came before is committed");
    verifies(dir.path());
}

#[test]
fn c5_c6_a_topic_made_anew_is_refused_whether_it_is_shorter_or_longer() {
    let Some(kafka) = Apache::find("C5 and C6, topics made anew") else {
        return;
    };
    let (topic, dir) = (name("c5"), tempfile::tempdir().unwrap());
    kafka.create(&topic, 1);
    fill(&kafka.brokers, &topic, 0, 0..30);
    let go = || keytrail_run(&kafka.brokers, &[&topic], dir.path(), &[]);
    assert!(go().status.success());
    for (events, says) in [(0..10, "ends at 10"), (100..140, "it is another one now")] {
        kafka.delete(&topic);
        kafka.create(&topic, 1);
        fill(&kafka.brokers, &topic, 0, events);
        let output = go();
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        assert!(said(&output).contains(says), "{}", said(&output));
    }
    holds_exactly(dir.path(), 30);
}

/// A broker of one test's own, which can be damaged. Its jars are at hand where another broker is.
struct Own {
    folder: tempfile::TempDir,
}

impl Own {
    fn find(what: &str) -> Option<Self> {
        apache(what)?;
        let folder = tempfile::tempdir().unwrap();
        Some(Self { folder })
    }

    fn run(&self, what: &str) -> std::io::Result<Output> {
        Command::new("tests/support/kafka.sh")
            .arg(what)
            .env("KEYTRAIL_KAFKA_DIR", self.folder.path())
            .output()
    }

    /// Has `kafka.sh` do something, and gives the broker's address if it is one that starts it.
    fn script(&self, what: &str) -> String {
        let output = self.run(what).unwrap();
        assert!(output.status.success(), "{what}: {}", said(&output));
        let line = String::from_utf8(output.stdout).unwrap();
        let address = line.trim().strip_prefix("KEYTRAIL_TEST_KAFKA=");
        address.unwrap_or_default().to_owned()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(self.run("stop"));
    }
}

/// C6: the machine of a broker stops, and the last batch that it had taken is not on its disk: the partition ends before
/// the ledger does. It is refused, also when it has grown past the place again.
#[test]
fn c6_a_tail_that_the_broker_lost_is_refused() {
    let Some(own) = Own::find("C6, a lost tail") else {
        return;
    };
    let (topic, dir) = (name("c6"), tempfile::tempdir().unwrap());
    let kafka = Apache::at(own.script("start"));
    kafka.create(&topic, 1);
    for batch in [0..10, 10..20, 20..30] {
        fill(&kafka.brokers, &topic, 0, batch);
    }
    let go = || keytrail_run(&kafka.brokers, &[&topic], dir.path(), &[]);
    assert!(go().status.success());
    own.script("kill");
    let segment = format!("data/{topic}-0/00000000000000000000.log");
    let segment = OpenOptions::new()
        .write(true)
        .open(own.folder.path().join(segment))
        .unwrap();
    let size = segment.metadata().unwrap().len();
    segment.set_len(size - 10).unwrap();
    assert_eq!(own.script("resume"), kafka.brokers);
    kafka.settled(&topic, 1);
    for says in ["ends at 20", "it is another one now"] {
        let output = go();
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        assert!(said(&output).contains(says), "{}", said(&output));
        fill(&kafka.brokers, &topic, 0, 100..120);
    }
    holds_exactly(dir.path(), 30);
}

/// A producer of transactions; gives a function that writes one and commits it or not.
fn transactions(brokers: &str, topic: &str) -> impl Fn(std::ops::Range<u64>, bool) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("transactional.id", topic)
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    let topic = topic.to_owned();
    move |events, commit| {
        producer.begin_transaction().unwrap();
        for number in events {
            send(&producer, &topic, 0, Some(event(number).as_bytes()));
        }
        producer.flush(PATIENCE).unwrap();
        if commit {
            producer.commit_transaction(PATIENCE).unwrap();
        } else {
            producer.abort_transaction(PATIENCE).unwrap();
        }
    }
}

#[test]
fn c7_aborted_transactions_and_markers_are_counted_and_not_read() {
    let Some(kafka) = Apache::find("C7, transactions") else {
        return;
    };
    let (topic, other) = (name("c7"), name("c7-plain"));
    let dir = tempfile::tempdir().unwrap();
    kafka.create(&topic, 1);
    kafka.create(&other, 1);
    fill(&kafka.brokers, &other, 0, 1_000..1_030);
    let transaction = transactions(&kafka.brokers, &topic);
    transaction(0..10, true);
    transaction(100..110, false);
    transaction(10..20, true);
    transaction(200..210, false);
    let what = subscription(&kafka.brokers, &[&topic, &other]);
    let view = run(&settings(dir.path()), &what).unwrap();
    assert_eq!(view.records(), 50);
    holds_exactly(dir.path(), 50);
    // Twenty aborted records and four markers, those at the end too.
    let skipped = |lake| wait(verify(lake)).unwrap().skipped;
    assert_eq!(skipped(dir.path()), 24);
    // So retention can take all of it, and nothing is missing.
    kafka.delete_before(&topic, 0, 44);
    transaction(20..30, true);
    run(&settings(dir.path()), &what).unwrap();
    holds_exactly(dir.path(), 60);
    assert_eq!(skipped(dir.path()), 25);
}

#[test]
fn c8_every_codec_of_a_real_broker_is_read() {
    let Some(kafka) = Apache::find("C8, codecs") else {
        return;
    };
    let (topic, dir) = (name("c8"), tempfile::tempdir().unwrap());
    kafka.create(&topic, 1);
    let mut number = 0;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let producer = producer(&kafka.brokers, codec);
        for _ in 0..50 {
            send(&producer, &topic, 0, Some(event(number).as_bytes()));
            number += 1;
        }
        send(&producer, &topic, 0, None);
        producer.flush(PATIENCE).unwrap();
    }
    let what = subscription(&kafka.brokers, &[&topic]);
    let view = run(&settings(dir.path()), &what).unwrap();
    assert_eq!((view.records(), view.elements("ignored")), (255, 5));
    holds_exactly(dir.path(), 250);
}

#[test]
fn c9_partitions_that_come_into_being_are_read_from_their_first_record() {
    let Some(kafka) = Apache::find("C9, new partitions") else {
        return;
    };
    let (topic, dir) = (name("c9"), tempfile::tempdir().unwrap());
    kafka.create(&topic, 4);
    fill(&kafka.brokers, &topic, 0, 0..20);
    let grow = |partitions| {
        let new = NewPartitions::new(&topic, partitions);
        let grown = wait(kafka.admin.create_partitions([&new], &AdminOptions::new())).unwrap();
        grown[0].as_ref().unwrap();
        kafka.settled(&topic, partitions as i32);
    };
    let what = Subscription {
        // Even where everything else begins with what comes later.
        start: keytrail::config::Start::Latest,
        watch_every: Duration::from_millis(300),
        ..subscription(&kafka.brokers, &[&topic])
    };
    serve(&settings(dir.path()), &what, |view| {
        wait_for("the partitions to be pinned", || view.published() > 0);
        grow(12);
        for partition in 4..12 {
            let first = 100 * partition as u64;
            fill(&kafka.brokers, &topic, partition, first..first + 10);
        }
        wait_for("the new partitions", || view.records() == 80);
    });
    // And those that came while nobody read.
    grow(14);
    fill(&kafka.brokers, &topic, 13, 5_000..5_010);
    run(&settings(dir.path()), &what).unwrap();
    holds_exactly(dir.path(), 90);
    let partitions = "SELECT DISTINCT src_partition FROM activity ORDER BY 1";
    assert_eq!(rows(dir.path(), partitions).len(), 9);
}

#[test]
fn c10_eight_mebibytes_pass_and_one_byte_more_is_a_reject() {
    let Some(kafka) = Apache::find("C10, large messages") else {
        return;
    };
    let (topic, dir) = (name("c10"), tempfile::tempdir().unwrap());
    kafka.create(&topic, 1);
    let limit = 8 << 20;
    let producer = producer(&kafka.brokers, "none");
    for (number, bytes) in [(0, limit), (1, limit + 1), (2, 2 * limit)] {
        let mut payload = event(number).into_bytes();
        payload.resize(bytes, b' ');
        send(&producer, &topic, 0, Some(&payload));
    }
    send(&producer, &topic, 0, Some(b""));
    send(&producer, &topic, 0, None);
    send(&producer, &topic, 0, Some(event(3).as_bytes()));
    producer.flush(PATIENCE).unwrap();
    let mut settings = settings(dir.path());
    settings.decode.limits.message_bytes_max = limit;
    let view = run(&settings, &subscription(&kafka.brokers, &[&topic])).unwrap();
    assert_eq!((view.records(), view.elements("ignored")), (6, 1));
    holds_exactly(dir.path(), 2);
    let rejects = "SELECT src_offset, code FROM rejects ORDER BY src_offset";
    assert_eq!(
        rows(dir.path(), rejects),
        [["1", "too_large"], ["2", "too_large"], ["3", "empty"]]
    );
}
