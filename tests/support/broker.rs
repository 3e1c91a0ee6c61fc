//! What broker tests share: topics, producers, events, lakes, and single facts of a lake.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keytrail::config::Start;
use keytrail::ingest::{Kafka, RecordSource, Stop, Subscription, WATCH_EVERY};
use keytrail::lake::verify;
use keytrail::live::View;
use keytrail::pipeline::{self, PipelineError, Settings};
use keytrail::query::{Session, formatted};
use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

/// How long anything may take that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) type Mock = MockCluster<'static, DefaultProducerContext>;

/// librdkafka's own broker in this process, with `topics` of so many partitions.
pub(crate) fn mock(brokers: i32, topics: &[(&str, i32)]) -> Mock {
    let cluster = MockCluster::new(brokers).unwrap();
    for (topic, partitions) in topics {
        cluster.create_topic(topic, *partitions, 1).unwrap();
    }
    cluster
}

/// The address of Apache Kafka. None, and a word about it, where there is none to test with.
pub(crate) fn apache(what: &str) -> Option<String> {
    let brokers = std::env::var("KEYTRAIL_TEST_KAFKA").ok();
    if brokers.is_none() {
        // Written past the test harness, which would keep it to itself.
        let skipped = format!(
            "SKIPPED: {what}: KEYTRAIL_TEST_KAFKA names no broker; tests/support/kafka.sh starts one\n"
        );
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
    }
    brokers
}

/// A producer whose batches are compressed with `codec`.
pub(crate) fn producer(brokers: &str, codec: &str) -> BaseProducer {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("compression.type", codec)
        .set("linger.ms", "2")
        .set("message.max.bytes", "30000000")
        .set("topic.metadata.refresh.interval.ms", "500")
        .create()
        .unwrap()
}

/// Writes one message, waiting for room.
pub(crate) fn send(producer: &BaseProducer, topic: &str, partition: i32, payload: Option<&[u8]>) {
    send_at(producer, topic, partition, None, payload);
}

/// The same, with the message's time in milliseconds.
pub(crate) fn send_at(
    producer: &BaseProducer,
    topic: &str,
    partition: i32,
    time: Option<i64>,
    payload: Option<&[u8]>,
) {
    loop {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition);
        if let Some(time) = time {
            record = record.timestamp(time);
        }
        if let Some(payload) = payload {
            record = record.payload(payload);
        }
        if producer.send(record).is_ok() {
            return;
        }
        producer.poll(Duration::from_millis(5));
    }
}

/// Writes `events` to the partition and waits until the broker has them.
pub(crate) fn fill(brokers: &str, topic: &str, partition: i32, events: impl Iterator<Item = u64>) {
    let producer = producer(brokers, "none");
    for number in events {
        send(&producer, topic, partition, Some(event(number).as_bytes()));
    }
    producer.flush(PATIENCE).unwrap();
}

/// A CloudTrail record of its own for each number.
pub(crate) fn event(number: u64) -> String {
    let (minute, second) = (number / 60 % 60, number % 60);
    let hour = number / 3_600 % 24;
    format!(
        r#"{{"eventVersion":"1.11","userIdentity":{{"type":"IAMUser","principalId":"AIDAEXAMPLE{user:09}","arn":"arn:aws:iam::210987654321:user/u{user}","accountId":"210987654321","accessKeyId":"AKIAEXAMPLE{user:09}","userName":"u{user}"}},"eventTime":"2026-08-01T{hour:02}:{minute:02}:{second:02}Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-west-1","sourceIPAddress":"198.51.100.7","userAgent":"aws-cli/2.15","requestParameters":{{"bucketName":"b"}},"responseElements":null,"requestID":"r-{number}","eventID":"00000000-0000-4000-8000-{number:012}","readOnly":true,"eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"210987654321","eventCategory":"Data"}}"#,
        user = number % 7,
    )
}

/// Reads `topics` to what they hold now.
pub(crate) fn subscription(brokers: &str, topics: &[&str]) -> Subscription {
    Subscription {
        brokers: brokers.to_owned(),
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        properties: BTreeMap::new(),
        start: Start::Earliest,
        until_end: true,
        accepted: Vec::new(),
        watch_every: WATCH_EVERY,
    }
}

/// Settings of a run with small epochs.
pub(crate) fn settings(lake: &Path) -> Settings {
    Settings {
        epoch_age: Duration::from_millis(200),
        ..super::settings(lake, 1 << 20)
    }
}

/// Runs the pipeline until the source ends.
pub(crate) fn run(settings: &Settings, what: &Subscription) -> Result<Arc<View>, PipelineError> {
    let view = Arc::new(View::default());
    run_until(settings, what, &view, &Stop::default())?;
    Ok(view)
}

/// Runs the pipeline until the source ends or `stop` is requested.
pub(crate) fn run_until(
    settings: &Settings,
    what: &Subscription,
    view: &Arc<View>,
    stop: &Stop,
) -> Result<(), PipelineError> {
    let source = |positions: &keytrail::ingest::Positions| {
        Ok(Box::new(Kafka::open(what, positions)?) as Box<dyn RecordSource>)
    };
    pipeline::run(settings, source, view, stop).map(|_| ())
}

/// Runs the service beside `act`, which is given the view and, when it returns, ends it.
pub(crate) fn serve<T>(
    settings: &Settings,
    what: &Subscription,
    act: impl FnOnce(&View) -> T,
) -> T {
    let settings = Settings {
        finite: false,
        ..settings.clone()
    };
    let what = Subscription {
        until_end: false,
        ..what.clone()
    };
    let (view, stop) = (Arc::new(View::default()), Stop::default());
    std::thread::scope(|scope| {
        let running = scope.spawn(|| run_until(&settings, &what, &view, &stop));
        let stopping = StopOnDrop(&stop);
        let done = act(&view);
        drop(stopping);
        running.join().unwrap().unwrap();
        done
    })
}

/// Ends a service beside which a test has failed: otherwise the test would wait for it for ever.
pub(crate) struct StopOnDrop<'a>(pub(crate) &'a Stop);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// Waits until `what` holds.
pub(crate) fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a query gives, as text.
pub(crate) fn rows(lake: &Path, sql: &str) -> Vec<Vec<String>> {
    super::wait(async {
        let session = Session::open(lake).await.unwrap();
        let (_, batches) = session.sql(sql).await.unwrap();
        formatted(&batches).unwrap()
    })
}

/// The one number that a query gives.
pub(crate) fn number(lake: &Path, sql: &str) -> u64 {
    rows(lake, sql)[0][0].parse().unwrap()
}

/// Makes sure that the lake holds `events` events, each once, and verifies.
pub(crate) fn holds_exactly(lake: &Path, events: u64) {
    let counts = "SELECT count(*), count(DISTINCT event_uid) FROM activity";
    let events = events.to_string();
    assert_eq!(rows(lake, counts), [[events.clone(), events]]);
    verifies(lake);
}

/// Makes sure that the lake verifies.
pub(crate) fn verifies(lake: &Path) {
    assert_eq!(super::wait(verify(lake)).unwrap().problems, []);
}

/// The command `keytrail run` over these topics.
pub(crate) fn command(brokers: &str, topics: &[&str], lake: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keytrail"));
    command
        .args(["run", "--quiet", "--brokers", brokers, "--data"])
        .arg(lake)
        .args(more)
        .env_remove("KEYTRAIL_DATA")
        .env_remove("KEYTRAIL_CONFIG")
        .env("KEYTRAIL_LAKE__EPOCH_AGE", "300ms");
    for topic in topics {
        command.args(["--topic", topic]);
    }
    command
}

/// `keytrail run --until-end`, to its end.
pub(crate) fn keytrail_run(brokers: &str, topics: &[&str], lake: &Path, more: &[&str]) -> Output {
    let mut command = command(brokers, topics, lake, more);
    command.arg("--until-end").output().unwrap()
}

/// `keytrail run` as a service, in the background.
pub(crate) fn keytrail_service(brokers: &str, topics: &[&str], lake: &Path) -> Child {
    let mut command = command(brokers, topics, lake, &[]);
    command.stderr(Stdio::inherit()).spawn().unwrap()
}

/// What the program said on stderr.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
