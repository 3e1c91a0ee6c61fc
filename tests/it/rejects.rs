//! Records that are no events: when they stop the service, where they are copied to, and what can be asked about them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::broker::{
    PATIENCE, command, event, fill, holds_exactly, keytrail_run, mock, number, producer, rows,
    said, send, verifies,
};
use super::keytrail;

/// Writes `count` messages that no log source recognises.
fn garbage(brokers: &str, topic: &str, count: usize) {
    let producer = producer(brokers, "none");
    for number in 0..count {
        let payload = format!(r#"{{"level":"info","msg":"request {number}"}}"#);
        send(&producer, topic, 0, Some(payload.as_bytes()));
    }
    producer.flush(PATIENCE).unwrap();
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn g7_a_topic_of_garbage_stops_the_service_behind_one_epoch() {
    let cluster = mock(1, &[("logs", 1), ("audit", 1)]);
    let brokers = cluster.bootstrap_servers();
    let dir = tempfile::tempdir().unwrap();
    garbage(&brokers, "logs", 2_000);
    fill(&brokers, "audit", 0, 0..200);
    let service = |more: &[(&str, &str)]| {
        command(&brokers, &["logs", "audit"], dir.path(), &["--until-end"])
            // A few hundred messages of garbage in an epoch.
            .env("KEYTRAIL_LAKE__EPOCH_BYTES", "10000")
            .envs(more.iter().copied())
            .output()
            .unwrap()
    };
    let output = service(&[]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let text = said(&output);
    assert!(
        text.contains("topic logs") && text.contains("rejects top"),
        "{text}"
    );
    // The epoch that showed it is the last, and the first that could.
    let epochs = "SELECT count(*) AS n FROM rejects GROUP BY _epoch HAVING count(*) >= 100";
    assert_eq!(rows(dir.path(), epochs).len(), 1);
    let last = "SELECT count(*) FROM rejects WHERE _epoch = (SELECT max(epoch) FROM epochs)";
    assert!((100..2_000).contains(&number(dir.path(), last)));
    verifies(dir.path());
    // Whoever wants it all the same can have it.
    let output = service(&[
        ("KEYTRAIL_REJECTS__STOP_PERCENT", "100"),
        ("KEYTRAIL_LAKE__EPOCH_BYTES", "1000000"),
    ]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(number(dir.path(), "SELECT count(*) FROM rejects"), 2_000);
    holds_exactly(dir.path(), 200);
}

#[test]
fn few_rejects_do_not_stop_the_service() {
    let cluster = mock(1, &[("logs", 1)]);
    let brokers = cluster.bootstrap_servers();
    let dir = tempfile::tempdir().unwrap();
    garbage(&brokers, "logs", 99);
    let output = keytrail_run(&brokers, &["logs"], dir.path(), &[]);
    assert!(output.status.success(), "{}", said(&output));
}

/// Everything in the topic: key, headers and value of each message.
fn mirrored(brokers: &str, topic: &str) -> Vec<(String, BTreeMap<String, String>, String)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "test")
        .create()
        .unwrap();
    let (_, high) = consumer.fetch_watermarks(topic, 0, PATIENCE).unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset(topic, 0, Offset::Beginning)
        .unwrap();
    consumer.assign(&assignment).unwrap();
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
    (0..high)
        .map(|_| {
            let message = consumer.poll(PATIENCE).unwrap().unwrap();
            let headers = message.headers().unwrap().iter();
            let headers = headers.map(|header| (header.key.to_owned(), text(header.value)));
            (
                text(message.key()),
                headers.collect(),
                text(message.payload()),
            )
        })
        .collect()
}

#[test]
fn rejects_are_copied_to_their_topic_and_after_a_crash_again_rather_than_not() {
    let cluster = mock(1, &[("audit", 1), ("refused", 1)]);
    let brokers = cluster.bootstrap_servers();
    let dir = tempfile::tempdir().unwrap();
    let run = || {
        let output = command(&brokers, &["audit"], dir.path(), &["--until-end"])
            .env("KEYTRAIL_REJECTS__MIRROR_TOPIC", "refused")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
    };
    fill(&brokers, "audit", 0, 0..20);
    garbage(&brokers, "audit", 3);
    run();
    let copies = mirrored(&brokers, "refused");
    assert_eq!(copies.len(), 3);
    let (key, headers, value) = &copies[1];
    assert_eq!(
        (key.as_str(), value.as_str()),
        ("audit/0/21/0", r#"{"level":"info","msg":"request 1"}"#)
    );
    for (name, wanted) in [
        ("__connect.errors.topic", "audit"),
        ("__connect.errors.partition", "0"),
        ("__connect.errors.offset", "21"),
        ("__connect.errors.stage", "decode"),
        ("__connect.errors.exception.class.name", "unknown_kind"),
    ] {
        assert_eq!(headers.get(name).map(String::as_str), Some(wanted));
    }
    // Nothing is copied again, but what came since is.
    garbage(&brokers, "audit", 2);
    run();
    assert_eq!(mirrored(&brokers, "refused").len(), 5);
    // As after a crash between the copy and the mark of it.
    fs::remove_file(dir.path().join("mirror/refused.leaf")).unwrap();
    garbage(&brokers, "audit", 1);
    run();
    assert_eq!(mirrored(&brokers, "refused").len(), 5 + 6);
    verifies(dir.path());
    let output = command(&brokers, &["audit"], dir.path(), &["--until-end"])
        .env("KEYTRAIL_REJECTS__MIRROR_TOPIC", "audit")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
}

#[test]
fn a_mirror_that_takes_nothing_does_not_delay_a_commit() {
    let cluster = mock(1, &[("audit", 1), ("refused", 1)]);
    let brokers = cluster.bootstrap_servers();
    // Nobody leads the partition, so nobody takes the copies.
    cluster.partition_leader("refused", 0, None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    fill(&brokers, "audit", 0, 0..20);
    garbage(&brokers, "audit", 3);
    let begun = std::time::Instant::now();
    let output = command(&brokers, &["audit"], dir.path(), &["--until-end"])
        .env("KEYTRAIL_REJECTS__MIRROR_TOPIC", "refused")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    assert!(said(&output).contains("not copied"), "{}", said(&output));
    holds_exactly(dir.path(), 20);
}

/// A lake with an event, two rejects of one shape, one that breaks off, one that holds a secret, and a large one.
fn lake_with_rejects(folder: &Path) -> String {
    let logs = folder.join("logs");
    fs::create_dir_all(&logs).unwrap();
    let lines = [
        event(1),
        r#"{"level":"info","msg":"one"}"#.to_owned(),
        r#"{"level":"info","msg":"two"}"#.to_owned(),
        event(2)[..300].to_owned(),
        r#"{"password":"hunter2-hunter2","other":1}"#.to_owned(),
        format!(r#"{{"big":"{}"}}"#, "ä".repeat(50_000)),
    ];
    fs::write(logs.join("a.ndjson"), lines.join("\n")).unwrap();
    let lake = folder.join("lake").display().to_string();
    let logs = logs.display().to_string();
    let output = keytrail(&["replay", "--from", &logs, "--data", &lake]);
    assert!(output.status.success(), "{}", said(&output));
    lake
}

#[test]
fn rejects_are_grouped_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let lake = lake_with_rejects(dir.path());
    let output = keytrail(&["rejects", "top", "--data", &lake]);
    assert!(output.status.success(), "{}", said(&output));
    let groups: Vec<serde_json::Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(groups.len(), 4, "{groups:?}");
    let kept = "SELECT max(octet_length(raw)) FROM rejects";
    assert!((60_000..=65_536).contains(&number(Path::new(&lake), kept)));
    assert_eq!(
        (&groups[0]["rejects"], &groups[0]["code"]),
        (&2.into(), &"unknown_kind".into())
    );
    assert!(said(&output).contains("unknown_kind: a log Keytrail does not decode"));
    let example = groups[0]["example"].as_str().unwrap();
    assert!(example.ends_with("a.ndjson/0/2/0"), "{example}");
    let shown = keytrail(&["rejects", "show", example, "--data", &lake, "-o", "table"]);
    assert!(
        stdout(&shown).contains(r#"raw  {"level":"info","msg":"two"}"#),
        "{}",
        stdout(&shown)
    );
    let message = example.strip_suffix("/0").unwrap();
    let shown = keytrail(&["rejects", "show", message, "--data", &lake]);
    assert!(
        stdout(&shown).contains("unknown_kind"),
        "{}",
        stdout(&shown)
    );
    let secret = example.replace("/0/2/0", "/0/4/0");
    let shown = keytrail(&["rejects", "show", &secret, "--data", &lake]);
    assert!(shown.status.success(), "{}", said(&shown));
    assert!(!stdout(&shown).contains("hunter2"), "{}", stdout(&shown));
    let none = keytrail(&["rejects", "show", "nowhere/0/1", "--data", &lake]);
    assert_eq!(none.status.code(), Some(2), "{}", said(&none));
}

/// A limit that was too low when the logs were read is higher when they are judged again: what was kept becomes events,
/// and the files that are written hold them.
#[test]
fn rejects_are_decoded_again_and_what_became_events_can_be_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = (dir.path().join("logs"), dir.path().join("lake"));
    fs::create_dir_all(&logs).unwrap();
    let mut lines: Vec<String> = (0..4).map(event).collect();
    lines.push(r#"{"level":"info"}"#.to_owned());
    fs::write(logs.join("a.ndjson"), lines.join("\n")).unwrap();
    let path = |path: &Path| path.display().to_string();
    let low = dir.path().join("low.toml");
    fs::write(&low, "[decode]\ndepth_max = 1\n").unwrap();
    let output = keytrail(&[
        "--config",
        &path(&low),
        "replay",
        "--from",
        &path(&logs),
        "--data",
        &path(&lake),
    ]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(number(&lake, "SELECT count(*) FROM rejects"), 5);
    let again = |more: &[&str]| {
        let lake = path(&lake);
        let mut arguments = vec!["rejects", "replay", "--data", &lake];
        arguments.extend(more);
        keytrail(&arguments)
    };
    let output = again(&[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output)
            .contains("5 rejects: 4 would be events now (4 events), 0 ignored, 1 rejected again"),
        "{}",
        said(&output)
    );
    assert_eq!(stdout(&output).lines().count(), 5);
    let files = path(&dir.path().join("again"));
    assert!(
        again(&["--out", &files, "--code", "too_large"])
            .status
            .success()
    );
    assert_eq!(
        again(&["--out", &files]).status.code(),
        Some(2),
        "the file is there"
    );
    let output = keytrail(&["replay", "--from", &files, "--data", &path(&lake)]);
    assert!(output.status.success(), "{}", said(&output));
    holds_exactly(&lake, 4);
}
