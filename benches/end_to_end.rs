//! Files → evidence, against the floor: the same bytes parsed into borrowed structs and written as parquet with the
//! raw column, and nothing else. Both in one run, over the same files; and again without tree and signatures, to see what
//! those cost, and `keytrail verify` over the signed lake.
//!
//! `cargo bench --bench end_to_end -- 1000000` (events; 200,000 unless given).

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, StringBuilder};
use arrow::record_batch::RecordBatch;
use keytrail::config::Config;
use keytrail::ingest::{Files, Listing, RecordSource, Stop};
use keytrail::lake::Integrity;
use keytrail::live::View;
use keytrail::model::Micros;
use keytrail::pipeline::{self, Settings};
use keytrail::simulate::{Params, Simulation};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The workload of `performance.md`: 5,000 identities, objects of up to 200 records, three days of many events.
fn workload(events: u64) -> Params {
    Params {
        seed: 1,
        identities: 5_000,
        days: 3,
        start: Micros(1_785_542_400_000_000),
        events_max: Some(events),
        late_per_mille: 20,
        duplicate_per_mille: 5,
        records_per_object: 200,
    }
}

fn main() {
    let events: u64 = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(200_000);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let logs = dir.path().join("logs");
    let begun = Instant::now();
    let (elements, bytes) = write_logs(events, &logs);
    println!(
        "workload: {elements} records, {:.0} MB, written in {:.1} s",
        bytes as f64 / 1e6,
        begun.elapsed().as_secs_f64()
    );
    let floor = timed(|| write_floor(&logs, &dir.path().join("floor")));
    report("floor (parse, parquet with raw)", elements, bytes, floor);
    let lake = dir.path().join("lake");
    let ours = timed(|| replay(&logs, &lake, true));
    report("keytrail replay", elements, bytes, ours);
    let unsigned = timed(|| replay(&logs, &dir.path().join("unsigned"), false));
    report("keytrail replay, unsigned", elements, bytes, unsigned);
    let begun = Instant::now();
    let verdict = tokio::runtime::Runtime::new()
        .expect("threads can be started")
        .block_on(keytrail::lake::verify(&lake))
        .expect("the lake can be read");
    let verified = begun.elapsed().as_secs_f64();
    assert_eq!(verdict.problems, []);
    println!(
        "keytrail verify: {verified:.2} s, {} rows, {:.0} rows/s",
        verdict.rows,
        verdict.rows as f64 / verified
    );
    println!(
        "ratio to the floor: {:.2}",
        floor.as_secs_f64() / ours.as_secs_f64()
    );
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn report(what: &str, elements: u64, bytes: u64, took: Duration) {
    let seconds = took.as_secs_f64();
    println!(
        "{what}: {seconds:.2} s, {:.0} events/s, {:.0} MB/s",
        elements as f64 / seconds,
        bytes as f64 / 1e6 / seconds
    );
}

fn write_logs(events: u64, folder: &Path) -> (u64, u64) {
    let mut simulation = Simulation::new(workload(events));
    let mut bytes = 0;
    for (hour, batch) in simulation.by_ref().enumerate() {
        let mut lines = Vec::new();
        for message in batch.messages {
            lines.extend(message.payload);
            lines.push(b'\n');
        }
        bytes += lines.len() as u64;
        fs::create_dir_all(folder).expect("the folder can be created");
        fs::write(folder.join(name(hour)), lines).expect("the disk has room");
    }
    (simulation.totals().elements, bytes)
}

/// The path tells the hour, as those of trails do.
fn name(hour: usize) -> String {
    let at = workload(0).start.plus(hour as i64 * Micros::HOUR);
    format!("{}T{:02}Z.ndjson", at.day(), at.hour().rem_euclid(24))
}

fn replay(logs: &Path, lake: &Path, sign: bool) {
    let config = Config::default();
    let settings = Settings {
        lake: lake.to_owned(),
        job: "bench".to_owned(),
        epoch_age: Duration::from_secs(3_600),
        epoch_bytes: 128 << 20,
        snapshot_epochs: 32,
        integrity: Integrity {
            sign,
            ..Integrity::default()
        },
        lease: config.lake.lease.duration(),
        upkeep: None,
        decode: config.decoding().expect("the defaults are valid"),
        engine: config
            .engine(config.identity.lateness_of_files(true))
            .expect("the defaults name no rules"),
        finite: true,
        rejects: None,
    };
    let from = [logs.to_owned()];
    pipeline::run(
        &settings,
        |positions| {
            let files = Files::new(Listing::of(&from)?, positions.clone(), 16 << 20);
            Ok(Box::new(files) as Box<dyn RecordSource>)
        },
        &Arc::new(View::default()),
        &Stop::default(),
    )
    .expect("the workload is valid");
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the log")]
struct Object<'a> {
    #[serde(borrow, default)]
    Records: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    records: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    detail: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    #[serde(borrow, default)]
    event_time: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    event_source: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    event_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    aws_region: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    user_agent: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "eventID")]
    event_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    user_identity: Option<&'a RawValue>,
    #[serde(borrow, default)]
    operation_name: Option<Cow<'a, str>>,
}

/// Two threads, each with half of the files: parse, eight columns and the raw text, zstd.
fn write_floor(logs: &Path, out: &Path) {
    fs::create_dir_all(out).expect("the folder can be created");
    let mut files: Vec<PathBuf> = fs::read_dir(logs)
        .expect("the logs were written")
        .map(|entry| entry.expect("the folder can be listed").path())
        .collect();
    files.sort();
    std::thread::scope(|scope| {
        for part in 0..2 {
            let files: Vec<PathBuf> = files.iter().skip(part).step_by(2).cloned().collect();
            let path = out.join(format!("{part}.parquet"));
            scope.spawn(move || write_part(&files, &path));
        }
    });
}

fn write_part(files: &[PathBuf], path: &Path) {
    const NAMES: [&str; 9] = [
        "time",
        "source",
        "name",
        "region",
        "agent",
        "id",
        "identity",
        "operation",
        "raw",
    ];
    let level = ZstdLevel::try_new(1).expect("1 is a level of zstd");
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .build();
    let mut writer = None;
    for file in files {
        let content = fs::read(file).expect("the logs were written");
        let mut columns: [StringBuilder; 9] = Default::default();
        for line in content
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let object: Object<'_> = serde_json::from_slice(line).expect("simulated JSON is valid");
            let elements = object
                .Records
                .iter()
                .chain(&object.records)
                .chain(&object.detail);
            for raw in elements {
                let record: Record<'_> =
                    serde_json::from_str(raw.get()).expect("simulated JSON is valid");
                let values = [
                    record.event_time.as_deref(),
                    record.event_source.as_deref(),
                    record.event_name.as_deref(),
                    record.aws_region.as_deref(),
                    record.user_agent.as_deref(),
                    record.event_id.as_deref(),
                    record.user_identity.map(RawValue::get),
                    record.operation_name.as_deref(),
                    Some(raw.get()),
                ];
                for (column, value) in columns.iter_mut().zip(values) {
                    column.append_option(value);
                }
            }
        }
        let arrays = NAMES
            .iter()
            .zip(columns.iter_mut())
            .map(|(name, column)| (*name, Arc::new(column.finish()) as ArrayRef, true));
        let batch = RecordBatch::try_from_iter_with_nullable(arrays).expect("equal lengths");
        let writer = writer.get_or_insert_with(|| {
            let file = fs::File::create(path).expect("the folder was created");
            ArrowWriter::try_new(file, batch.schema(), Some(properties.clone()))
                .expect("a plain schema")
        });
        writer.write(&batch).expect("the disk has room");
    }
    if let Some(writer) = writer {
        writer.close().expect("the disk has room");
    }
}
