//! What brokers and wires do, and what must come of it: with librdkafka's own broker in this process, so it runs
//! everywhere. The names begin with the row of the fault matrix. What only a real broker can do is in `continuity.rs`.

use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use keytrail::ingest::{
    AcceptedGap, IngestError, Kafka, Positions, Pull, RecordSource, Stop, Subscription,
};
use keytrail::live::View;
use keytrail::model::{LastRecord, ReadTo};
use keytrail::pipeline::PipelineError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::broker::{
    PATIENCE, StopOnDrop, event, fill, holds_exactly, keytrail_run, keytrail_service, mock, number,
    producer, rows, run, run_until, said, send, serve, settings, subscription, verifies, wait_for,
};
use super::proxy::Proxy;

#[test]
fn c1_a_broker_that_goes_and_comes_back_loses_and_doubles_nothing() {
    let cluster = mock(2, &[("t", 2)]);
    let brokers = cluster.bootstrap_servers();
    let dir = tempfile::tempdir().unwrap();
    let leader = |partition, broker| {
        cluster
            .partition_leader("t", partition, Some(broker))
            .unwrap()
    };
    leader(0, 1);
    leader(1, 2);
    fill(&brokers, "t", 0, 0..200);
    serve(
        &settings(dir.path()),
        &subscription(&brokers, &["t"]),
        |view| {
            wait_for("the first records", || view.records() == 200);
            cluster.broker_down(1).unwrap();
            fill(&brokers, "t", 1, 200..300);
            wait_for("those of the other broker", || view.records() == 300);
            cluster.broker_up(1).unwrap();
            fill(&brokers, "t", 0, 300..400);
            wait_for("the broker to be back", || view.records() == 400);
            leader(0, 2);
            fill(&brokers, "t", 0, 400..500);
            wait_for("the new leader", || view.records() == 500);
        },
    );
    holds_exactly(dir.path(), 500);
}

#[test]
fn c2_errors_of_requests_are_asked_again() {
    use RDKafkaRespErr as Error;
    let cluster = mock(1, &[("t", 1)]);
    let brokers = cluster.bootstrap_servers();
    fill(&brokers, "t", 0, 0..300);
    let dir = tempfile::tempdir().unwrap();
    let passing = [
        Error::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        Error::RD_KAFKA_RESP_ERR__TRANSPORT,
        Error::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        Error::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    ];
    cluster.request_errors(RDKafkaApiKey::Fetch, &passing);
    cluster.request_errors(RDKafkaApiKey::ListOffsets, &passing[..2]);
    cluster.request_errors(RDKafkaApiKey::Metadata, &passing[1..3]);
    let what = subscription(&brokers, &["t"]);
    run(&settings(dir.path()), &what).unwrap();
    holds_exactly(dir.path(), 300);
    // Of a topic that is said to be unknown for a moment, too.
    fill(&brokers, "t", 0, 300..400);
    cluster.request_errors(
        RDKafkaApiKey::Fetch,
        &[Error::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART; 2],
    );
    run(&settings(dir.path()), &what).unwrap();
    holds_exactly(dir.path(), 400);
    // And while a leader moves for longer than librdkafka asks by itself.
    fill(&brokers, "t", 0, 400..500);
    cluster.request_errors(
        RDKafkaApiKey::ListOffsets,
        &[Error::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 12],
    );
    run(&settings(dir.path()), &what).unwrap();
    holds_exactly(dir.path(), 500);
}

#[test]
fn c3_a_slow_wire_that_breaks_and_flips_bits_delivers_everything_unchanged() {
    let cluster = mock(1, &[("t", 1)]);
    let brokers = cluster.bootstrap_servers();
    fill(&brokers, "t", 0, 0..600);
    let wire = Proxy::start(&brokers);
    wire.faults.delay_ms.store(40, Ordering::SeqCst);
    wire.faults
        .bytes_per_second
        .store(2_000_000, Ordering::SeqCst);
    wire.faults.breaks.store(2, Ordering::SeqCst);
    wire.faults.flips.store(2, Ordering::SeqCst);
    let dir = tempfile::tempdir().unwrap();
    run(
        &settings(dir.path()),
        &subscription(&wire.address(), &["t"]),
    )
    .unwrap();
    assert_eq!(
        wire.faults.done.load(Ordering::SeqCst),
        4,
        "all faults happened"
    );
    holds_exactly(dir.path(), 600);
}

#[test]
fn c3_a_wire_that_always_flips_bits_is_an_error_and_nothing_is_skipped() {
    let cluster = mock(1, &[("t", 1)]);
    let brokers = cluster.bootstrap_servers();
    fill(&brokers, "t", 0, 0..300);
    let wire = Proxy::start(&brokers);
    wire.faults.flips.store(usize::MAX, Ordering::SeqCst);
    let dir = tempfile::tempdir().unwrap();
    let what = subscription(&wire.address(), &["t"]);
    let error = run(&settings(dir.path()), &what).unwrap_err();
    assert!(!error.integrity(), "{error}");
    wire.faults.flips.store(0, Ordering::SeqCst);
    run(&settings(dir.path()), &what).unwrap();
    holds_exactly(dir.path(), 300);
}

/// The broker in this process keeps 5 MiB of a partition and drops the oldest, which is what retention does.
#[test]
fn c4_what_retention_took_stops_the_service_until_somebody_accepts_it() {
    let cluster = mock(1, &[("t", 1)]);
    let brokers = cluster.bootstrap_servers();
    let dir = tempfile::tempdir().unwrap();
    let (lake, topics) = (dir.path(), ["t"]);
    fill(&brokers, "t", 0, 0..50);
    let output = keytrail_run(&brokers, &topics, lake, &[]);
    assert!(output.status.success(), "{}", said(&output));
    fill(&brokers, "t", 0, 50..9_000);
    let output = keytrail_run(&brokers, &topics, lake, &[]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let text = said(&output);
    let gap = text
        .split_whitespace()
        .find(|word| word.starts_with("t/0/50/"))
        .unwrap_or_else(|| panic!("no --accept-gap in {text}"))
        .to_owned();
    let low: u64 = gap.rsplit('/').next().unwrap().parse().unwrap();
    assert!(low > 50 && low < 9_000, "{gap}");
    let accept = |gap: &str| {
        keytrail_run(
            &brokers,
            &topics,
            lake,
            &["--accept-gap", gap, "--reason", "a test"],
        )
    };
    let smaller = format!("t/0/50/{}", low - 1);
    assert_eq!(
        accept(&smaller).status.code(),
        Some(4),
        "less than is missing"
    );
    let alone = keytrail_run(&brokers, &topics, lake, &["--accept-gap", &gap]);
    assert_eq!(alone.status.code(), Some(2), "a gap without a reason");
    let output = accept(&gap);
    assert!(output.status.success(), "{}", said(&output));
    holds_exactly(lake, 50 + 9_000 - low);
    let told = rows(
        lake,
        "SELECT src_topic, src_partition, src_offset, detail FROM rejects WHERE code = 'source_gap'",
    );
    assert_eq!(told.len(), 1);
    assert_eq!(told[0][..3], ["t", "0", "50"]);
    assert!(told[0][3].ends_with("accepted because: a test"), "{told:?}");
    let verified = super::keytrail(&["verify", "--data", &lake.display().to_string()]);
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(
        text.contains(&format!("t/0 offsets 50 to {}", low - 1)),
        "{text}"
    );
    // The same command again, as a supervisor gives it: there is no gap any more.
    assert!(accept(&gap).status.success());
    holds_exactly(lake, 50 + 9_000 - low);
}

/// What comes next is taken away while the service reads: what it had is committed first, and then it stops.
#[test]
fn c4_what_retention_takes_under_the_reader_stops_it_too() {
    let cluster = mock(1, &[("t", 1)]);
    let brokers = cluster.bootstrap_servers();
    let dir = tempfile::tempdir().unwrap();
    fill(&brokers, "t", 0, 0..50);
    let small = [
        ("fetch.message.max.bytes", "20000"),
        ("queued.min.messages", "1"),
    ];
    let mut what = Subscription {
        until_end: false,
        properties: small
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..subscription(&brokers, &["t"])
    };
    let (view, stop) = (Arc::new(View::default()), Stop::default());
    let error = std::thread::scope(|scope| {
        let running = scope.spawn(|| run_until(&settings(dir.path()), &what, &view, &stop));
        let stopping = StopOnDrop(&stop);
        wait_for("the first records", || view.records() == 50);
        // From now on it gets a few records at a time, and the broker drops those behind them first.
        cluster
            .broker_round_trip_time(1, Duration::from_millis(300))
            .unwrap();
        fill(&brokers, "t", 0, 50..9_000);
        wait_for("the reading to end", || running.is_finished());
        drop(stopping);
        running.join().unwrap().unwrap_err()
    });
    cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
    let lost = |error| match error {
        PipelineError::Ingest(IngestError::Gap { from, to, .. }) => (from, to),
        other => panic!("{other}"),
    };
    let (from, _) = lost(error);
    assert!(from >= 50);
    let committed = number(dir.path(), "SELECT count(*) FROM activity");
    assert_eq!(committed, from as u64, "what came before is committed");
    what.until_end = true;
    let (again, to) = lost(run(&settings(dir.path()), &what).unwrap_err());
    assert_eq!(again, from);
    let gap = format!("t/0/{from}/{to}");
    what.accepted = vec![AcceptedGap::parse(&gap, "a test").unwrap()];
    run(&settings(dir.path()), &what).unwrap();
    holds_exactly(dir.path(), 9_000 - (to - from) as u64);
}

#[test]
fn c5_c6_a_partition_that_is_not_the_one_that_was_read_is_refused() {
    let cluster = mock(1, &[("t", 1)]);
    let brokers = cluster.bootstrap_servers();
    fill(&brokers, "t", 0, 0..20);
    let what = subscription(&brokers, &["t"]);
    let mut kafka = Kafka::open(&what, &Positions::new()).unwrap();
    let name = kafka.cluster().to_owned();
    let mut hashes = Vec::new();
    loop {
        match kafka.pull(PATIENCE).unwrap() {
            Pull::Record(record) => hashes.push(record.sha256()),
            Pull::Quiet => (),
            Pull::End => break,
        }
    }
    drop(kafka);
    assert_eq!(hashes.len(), 20);
    let open = |cluster: &str, next: i64, offset: i64, sha256| {
        let last = Some(LastRecord { offset, sha256 });
        let key = (cluster.to_owned(), "t".to_owned(), 0);
        Kafka::open(&what, &Positions::from([(key, ReadTo { next, last })]))
    };
    open(&name, 20, 19, hashes[19]).unwrap();
    open(&name, 8, 7, hashes[7]).unwrap();
    open(&name, 12, 7, hashes[7]).unwrap();
    let refused = |result: Result<Kafka, IngestError>| result.unwrap_err();
    let other = refused(open(&name, 20, 19, hashes[18]));
    assert!(
        matches!(other, IngestError::Replaced { offset: 19, .. }),
        "{other}"
    );
    let shorter = refused(open(&name, 21, 20, hashes[19]));
    assert!(
        matches!(shorter, IngestError::Shorter { high: 20, .. }),
        "{shorter}"
    );
    let elsewhere = refused(open("another", 20, 19, hashes[19]));
    assert!(
        matches!(elsewhere, IngestError::OtherCluster { .. }),
        "{elsewhere}"
    );
}

#[test]
fn c8_every_codec_headers_and_messages_without_a_value_are_read() {
    let cluster = mock(1, &[("t", 1)]);
    let brokers = cluster.bootstrap_servers();
    let mut sent = 0;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let producer = producer(&brokers, codec);
        for _ in 0..40 {
            let payload = event(sent);
            let headers = OwnedHeaders::new().insert(Header {
                key: "trace",
                value: Some("00-aa-bb-01"),
            });
            let record = BaseRecord::<str, str>::to("t")
                .partition(0)
                .payload(&payload)
                .headers(headers);
            producer.send(record).map_err(|(error, _)| error).unwrap();
            sent += 1;
        }
        send(&producer, "t", 0, None);
        producer.flush(PATIENCE).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let view = run(&settings(dir.path()), &subscription(&brokers, &["t"])).unwrap();
    assert_eq!((view.records(), view.elements("ignored")), (205, 5));
    holds_exactly(dir.path(), 200);
}

#[test]
fn c10_messages_of_the_limit_pass_and_larger_and_empty_ones_are_rejects() {
    let cluster = mock(1, &[("t", 1)]);
    let brokers = cluster.bootstrap_servers();
    let limit = 1 << 20;
    let padded = |number, bytes| {
        let mut payload = event(number).into_bytes();
        payload.resize(bytes, b' ');
        payload
    };
    let producer = producer(&brokers, "zstd");
    send(&producer, "t", 0, Some(&padded(0, limit)));
    send(&producer, "t", 0, Some(&padded(1, limit + 1)));
    send(&producer, "t", 0, Some(b""));
    send(&producer, "t", 0, Some(event(2).as_bytes()));
    producer.flush(PATIENCE).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path());
    settings.decode.limits.message_bytes_max = limit;
    run(&settings, &subscription(&brokers, &["t"])).unwrap();
    holds_exactly(dir.path(), 2);
    let rejects = "SELECT src_offset, code FROM rejects ORDER BY src_offset";
    assert_eq!(
        rows(dir.path(), rejects),
        [["1", "too_large"], ["2", "empty"]]
    );
}

/// 400 MB for somebody who takes nothing: what is fetched ahead stays within its bound, and then all of
/// it comes, in order.
#[test]
fn c11_a_slow_sink_stops_the_reading_and_memory_stays_bounded() {
    const MESSAGES: usize = 400;
    const BYTES: usize = 1 << 20;
    let cluster = mock(1, &[("t", 1)]);
    let brokers = cluster.bootstrap_servers();
    let producer = producer(&brokers, "zstd");
    let payload = vec![b' '; BYTES];
    for _ in 0..MESSAGES {
        send(&producer, "t", 0, Some(&payload));
    }
    producer.flush(PATIENCE).unwrap();
    let mut kafka = Kafka::open(&subscription(&brokers, &["t"]), &Positions::new()).unwrap();
    wait_for("the reading to pause", || kafka.waiting_bytes() > 60 << 20);
    std::thread::sleep(Duration::from_secs(1));
    assert!(
        kafka.waiting_bytes() <= 64 << 20,
        "{}",
        kafka.waiting_bytes()
    );
    let mut next = 0;
    loop {
        match kafka.pull(PATIENCE).unwrap() {
            Pull::Record(record) => {
                assert_eq!(record.position.offset, next);
                next += 1;
            }
            Pull::Quiet => (),
            Pull::End => break,
        }
    }
    assert_eq!(next, MESSAGES as i64);
    assert_eq!(kafka.waiting_bytes(), 0);
}

#[test]
fn c16_copies_of_an_event_are_counted_wherever_and_whenever_they_come() {
    let cluster = mock(1, &[("t", 2), ("u", 1)]);
    let brokers = cluster.bootstrap_servers();
    let dir = tempfile::tempdir().unwrap();
    let what = subscription(&brokers, &["t", "u"]);
    // In the same partition and the same epoch, and in another partition.
    fill(&brokers, "t", 0, (0..50).chain(0..50));
    fill(&brokers, "t", 1, 0..50);
    let duplicates = serve(&settings(dir.path()), &what, |view| {
        wait_for("the first copies", || view.records() == 150);
        let epoch = view.published();
        // In a later epoch, from another topic.
        fill(&brokers, "u", 0, 0..50);
        wait_for("the later copies", || view.records() == 200);
        assert!(view.published() > epoch);
        view.elements("duplicate")
    });
    assert_eq!(duplicates, 150);
    // After a restart.
    fill(&brokers, "t", 1, 0..51);
    let view = run(&settings(dir.path()), &what).unwrap();
    assert_eq!(
        (view.elements("duplicate"), view.elements("accepted")),
        (50, 1)
    );
    holds_exactly(dir.path(), 51);
}

#[test]
fn c17_a_backlog_gives_what_reading_along_gave() {
    let cluster = mock(1, &[("t", 3)]);
    let brokers = cluster.bootstrap_servers();
    let dir = tempfile::tempdir().unwrap();
    let (live, backlog) = (dir.path().join("live"), dir.path().join("backlog"));
    let what = subscription(&brokers, &["t"]);
    let estate = super::estate::estate(41, 20, 4, 900);
    let producer = producer(&brokers, "zstd");
    let sent = serve(&settings(&live), &what, |view| {
        let mut sent = 0;
        for batch in keytrail::simulate::Simulation::new(estate) {
            for message in batch.messages {
                send(&producer, "t", (sent % 3) as i32, Some(&message.payload));
                sent += 1;
                if sent % 150 == 0 {
                    producer.flush(PATIENCE).unwrap();
                    wait_for("the service to have read along", || view.records() == sent);
                }
            }
        }
        producer.flush(PATIENCE).unwrap();
        wait_for("the service to have read all", || view.records() == sent);
        assert!(view.published() > 3);
        sent
    });
    // What still waits in the live lake for more is settled, as it is in the other.
    run(&settings(&live), &what).unwrap();
    let view = run(&settings(&backlog), &what).unwrap();
    assert_eq!(view.records(), sent);
    for answer in [
        "SELECT event_uid, identity_uid, acting_uid, origin_uid, session_uid, attribution_status FROM events ORDER BY 1",
        "SELECT finding_uid, status, severity, identity_uid, event_count FROM finding ORDER BY 1",
        "SELECT identity_uid, kind, status, created_time FROM identity ORDER BY 1",
        "SELECT identity_uid, relation, credential_uid, sum(successes), sum(failures), min(first_time), max(last_time) \
         FROM usage GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    ] {
        let (along, later) = (rows(&live, answer), rows(&backlog, answer));
        assert!(!later.is_empty() || answer.contains("finding"), "{answer}");
        assert_eq!(along, later, "{answer}");
    }
    verifies(&live);
    verifies(&backlog);
}

/// The ends of one topic must not be taken for those of another that has the same partition numbers.
#[test]
fn until_the_end_means_the_end_of_every_topic() {
    let cluster = mock(2, &[("small", 1), ("large", 1)]);
    let brokers = cluster.bootstrap_servers();
    cluster.partition_leader("small", 0, Some(1)).unwrap();
    cluster.partition_leader("large", 0, Some(2)).unwrap();
    fill(&brokers, "large", 0, 0..1_000);
    fill(&brokers, "small", 0, 1_000..1_001);
    // The large topic comes late, while the small one reaches its end again and again.
    cluster
        .broker_round_trip_time(2, Duration::from_millis(700))
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let stop = Stop::default();
    let view = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 2_000;
            while !stop.requested() {
                fill(&brokers, "small", 0, number..number + 1);
                number += 1;
            }
        });
        let view = run(
            &settings(dir.path()),
            &subscription(&brokers, &["small", "large"]),
        );
        stop.request();
        view
    });
    assert!(view.unwrap().records() > 1_000);
    let large = number(
        dir.path(),
        "SELECT count(*) FROM activity WHERE src_topic = 'large'",
    );
    assert_eq!(large, 1_000);
    verifies(dir.path());
}

/// Asks the service to stop, and makes sure that it does so in time.
fn terminates(service: &mut Child) {
    let asked = Instant::now();
    let pid = service.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(killed.unwrap().success());
    assert_eq!(service.wait().unwrap().code(), Some(0));
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn a5_a_service_whose_broker_is_gone_leaves_as_quickly() {
    let cluster = mock(1, &[("t", 1)]);
    let brokers = cluster.bootstrap_servers();
    let dir = tempfile::tempdir().unwrap();
    fill(&brokers, "t", 0, 0..100);
    let mut service = keytrail_service(&brokers, &["t"], dir.path());
    let first = dir.path().join("ledger/epoch-000000000001.json");
    wait_for("a commit", || first.is_file());
    cluster.broker_down(1).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    terminates(&mut service);
    verifies(dir.path());
}

#[test]
fn a5_a_service_that_is_asked_to_stop_commits_and_leaves_within_fifteen_seconds() {
    let cluster = mock(1, &[("t", 4)]);
    let brokers = cluster.bootstrap_servers();
    let dir = tempfile::tempdir().unwrap();
    let stop = Stop::default();
    let (committed, sent) = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut sent = 0;
            while !stop.requested() && sent < 12_000 {
                fill(&brokers, "t", (sent / 500 % 4) as i32, sent..sent + 500);
                sent += 500;
            }
            sent
        });
        let mut service = keytrail_service(&brokers, &["t"], dir.path());
        let first = dir.path().join("ledger/epoch-000000000002.json");
        wait_for("two commits", || first.is_file());
        terminates(&mut service);
        stop.request();
        let sent = writing.join().unwrap();
        (number(dir.path(), "SELECT count(*) FROM activity"), sent)
    });
    assert!(committed > 0 && committed <= sent);
    // The next start reads what is left and nothing again.
    let view = run(&settings(dir.path()), &subscription(&brokers, &["t"])).unwrap();
    assert_eq!(view.records(), sent - committed);
    assert_eq!(view.elements("duplicate"), 0);
    holds_exactly(dir.path(), sent);
}

/// Files are read on behind what was read, and only if that is still what it was.
#[test]
fn files_that_grew_are_read_on_and_files_that_changed_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (file, lake) = (dir.path().join("a.ndjson"), dir.path().join("lake"));
    let settings = super::settings(&lake, 1 << 20);
    let mut lines: Vec<String> = (0..3).map(event).collect();
    let replay = |lines: &[String]| {
        std::fs::write(&file, lines.join("\n")).unwrap();
        super::replay(&settings, std::slice::from_ref(&file))
    };
    assert_eq!(replay(&lines).unwrap().records(), 3);
    lines.extend((3..5).map(event));
    assert_eq!(replay(&lines).unwrap().records(), 2, "what was added");
    let refuse = |lines: &[String], says: &str| {
        let error = replay(lines).unwrap_err();
        assert!(
            !error.integrity() && error.to_string().contains(says),
            "{error}"
        );
    };
    refuse(&lines[..4], "shorter");
    // Rotated: another content under the same name.
    let rotated: Vec<String> = (10..20).map(event).collect();
    refuse(&rotated, "has changed");
    // The last line was not whole when it was read.
    let mut grown = lines.clone();
    grown[4].push_str("   {}");
    refuse(&grown, "has changed");
    assert_eq!(replay(&lines).unwrap().records(), 0);
    holds_exactly(&lake, 5);
}
