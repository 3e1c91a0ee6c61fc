//! What upkeep does to real tables: the same rows in fewer files, one winner of two, nothing deleted that is needed.
//!
//! `KEYTRAIL_TEST_COMMITS` sets how many epochs the test of many commits makes (40 unless set; the matrix asks for 10000).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime};

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use deltalake::{DeltaTable, DeltaTableBuilder};
use keytrail::evidence::TABLES;
use keytrail::lake::{
    Act, Garbage, Integrity, Kind, Lake, LakeError, Record, RemovedFile, UpkeepParams, verify,
};
use keytrail::model::Micros;
use keytrail::pipeline::{PipelineError, keep_up_once};
use keytrail::query::Session;

use super::{estate, keytrail, replay, settings, wait, write_estate};

/// Everything is due at once; what is garbage may go at once.
const AT_ONCE: UpkeepParams = UpkeepParams {
    merge_after: -Micros::DAY,
    seal_after: -400 * Micros::DAY,
    target_bytes: 64 << 20,
    look_every: 0,
    checkpoint_commits: 5,
    garbage_age: 0,
    raw_events_age: None,
};

/// Nothing is thrown away.
const KEEPING: UpkeepParams = UpkeepParams {
    garbage_age: 7 * Micros::DAY,
    ..AT_ONCE
};

fn now() -> Micros {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    Micros(since.as_micros() as i64)
}

/// A lake of several epochs, and the files it came from.
fn lake(dir: &Path, seed: u64, epoch_bytes: usize) -> (PathBuf, PathBuf) {
    let (logs, lake) = (dir.join("logs"), dir.join("lake"));
    write_estate(estate::estate(seed, 8, 2, 350), &logs);
    replay(&settings(&lake, epoch_bytes), std::slice::from_ref(&logs)).unwrap();
    (logs, lake)
}

fn keep_up(lake: &Path, params: &UpkeepParams) -> Result<(Vec<Act>, Garbage), PipelineError> {
    let (acts, garbage, _) = keep_up_once(&settings(lake, 1 << 20), params, now())?;
    Ok((acts, garbage))
}

/// Leaf and digest of every row of every table, in order.
fn rows(lake: &Path) -> Vec<(i64, Vec<u8>)> {
    let mut rows = Vec::new();
    wait(async {
        let session = Session::open(lake).await.unwrap();
        for table in TABLES {
            let sql = format!(
                "SELECT _leaf, arrow_cast(_row_digest, 'Binary') FROM {}",
                table.name
            );
            for batch in session.sql(&sql).await.unwrap().1 {
                let leaves = batch.column(0).as_primitive::<Int64Type>();
                let digests = batch.column(1).as_binary::<i32>();
                let pairs = leaves.values().iter().zip(digests.iter());
                rows.extend(pairs.map(|(leaf, digest)| (*leaf, digest.unwrap().to_vec())));
            }
        }
    });
    rows.sort();
    rows
}

fn open(lake: &Path, table: &str) -> DeltaTable {
    let url = url::Url::from_directory_path(lake.join("tables").join(table)).unwrap();
    wait(async {
        let mut table = DeltaTableBuilder::from_url(url).unwrap().build().unwrap();
        table.load().await.unwrap();
        table
    })
}

fn visible(lake: &Path, table: &str) -> Vec<String> {
    let table = open(lake, table);
    let files = table.snapshot().unwrap().log_data();
    files.iter().map(|file| file.path().to_string()).collect()
}

fn problems(lake: &Path) -> Vec<String> {
    let problems = wait(verify(lake)).unwrap().problems;
    problems
        .into_iter()
        .map(|problem| format!("{}: {}: {}", problem.epoch, problem.what, problem.reason))
        .collect()
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn upkeep_leaves_the_same_rows_in_fewer_sorted_files() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = lake(dir.path(), 21, 60_000);
    let before = rows(&lake);
    let files_before: usize = TABLES
        .iter()
        .map(|table| visible(&lake, table.name).len())
        .sum();
    let (acts, _) = keep_up(&lake, &KEEPING).unwrap();
    assert!(
        acts.iter()
            .any(|act| act.kind == Kind::Merge && act.files_before > 2)
    );
    assert!(acts.iter().all(|act| act.kind != Kind::Remove && !act.lost));
    let files_after: usize = TABLES
        .iter()
        .map(|table| visible(&lake, table.name).len())
        .sum();
    assert!(
        files_after * 2 < files_before,
        "{files_before} became {files_after}"
    );
    assert_eq!(rows(&lake), before);
    assert_eq!(problems(&lake), [""; 0]);
    // Nothing is left to do, and the next epochs go on as before.
    assert_eq!(keep_up(&lake, &KEEPING).unwrap().0.len(), 0);
    replay(&settings(&lake, 60_000), &[logs]).unwrap();
    assert_eq!(problems(&lake), [""; 0]);
    for path in visible(&lake, "activity") {
        if path.contains("/upkeep-") {
            assert!(sorted(&lake.join("tables/activity").join(&path)), "{path}");
        }
    }
}

/// Whether a verification says so.
fn found(lake: &Path, text: &str) -> bool {
    problems(lake).iter().any(|problem| problem.contains(text))
}

/// Whether a file's rows are in the order of identity and time.
fn sorted(path: &Path) -> bool {
    let file = fs::File::open(path).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file);
    let mut keys = Vec::new();
    for batch in reader.unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let uids = batch.column_by_name("identity_uid").unwrap().clone();
        let times = batch.column_by_name("event_time").unwrap();
        let times = times.as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
        for (uid, time) in uids.as_string::<i32>().iter().zip(times.values()) {
            keys.push((uid.unwrap().to_owned(), *time));
        }
    }
    keys.is_sorted()
}

#[test]
fn days_are_sealed_from_sorted_runs_and_late_rows_wait_beside_them() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = (dir.path().join("logs"), dir.path().join("lake"));
    write_estate(estate::estate(22, 8, 2, 500), &logs);
    let mut sources: Vec<PathBuf> = files(&logs, ".ndjson");
    let late = sources.split_off(sources.len() - 3);
    // Upkeep after every part: runs that must become one.
    for part in sources.chunks(sources.len() / 3 + 1) {
        let mut settings = settings(&lake, 100_000);
        settings.finite = false;
        replay(&settings, part).unwrap();
        let params = UpkeepParams {
            seal_after: 400 * Micros::DAY,
            ..KEEPING
        };
        keep_up(&lake, &params).unwrap();
    }
    let before = rows(&lake);
    let runs = visible(&lake, "activity").len();
    let (acts, _) = keep_up(&lake, &KEEPING).unwrap();
    assert!(
        acts.iter()
            .any(|act| act.kind == Kind::Seal && act.table == "activity")
    );
    let days = visible(&lake, "activity").len();
    assert!(days < runs, "{runs} runs became {days}");
    assert_eq!(rows(&lake), before);
    replay(&settings(&lake, 100_000), &late).unwrap();
    keep_up(&lake, &KEEPING).unwrap();
    assert_eq!(problems(&lake), [""; 0]);
}

#[test]
fn a_crash_between_record_and_table_is_finished_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = lake(dir.path(), 23, 60_000);
    let before = rows(&lake);
    // Delta checkpoints would remember the commit that is taken away.
    let without_checkpoints = UpkeepParams {
        checkpoint_commits: 1_000_000,
        ..KEEPING
    };
    keep_up(&lake, &without_checkpoints).unwrap();
    let shown = visible(&lake, "usage");
    for table in ["usage", "identities"] {
        let log = lake.join("tables").join(table).join("_delta_log");
        fs::remove_file(files(&log, ".json").pop().unwrap()).unwrap();
    }
    assert_ne!(visible(&lake, "usage"), shown);
    assert!(found(&lake, "is missing"));
    replay(&settings(&lake, 60_000), &[logs]).unwrap();
    assert_eq!(problems(&lake), [""; 0]);
    assert_eq!(rows(&lake)[..before.len()], before);
}

#[test]
fn b6_of_two_compactors_exactly_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let (_, lake) = lake(dir.path(), 24, 60_000);
    let before = rows(&lake);
    let (mut one, _) = wait(Lake::open(&lake, "main", 1, &Integrity::default())).unwrap();
    let (mut two, _) = wait(Lake::open(&lake, "main", 1, &Integrity::default())).unwrap();
    let go = AtomicBool::new(false);
    let mut first = one.plan_upkeep(&KEEPING, now()).unwrap();
    let mut second = two.plan_upkeep(&KEEPING, now()).unwrap();
    assert!(first.run(&go).unwrap() && second.run(&go).unwrap());
    let first = wait(one.finish_upkeep(first, now())).unwrap();
    let second = wait(two.finish_upkeep(second, now())).unwrap();
    assert!(!first.lost && second.lost, "{first:?} {second:?}");
    assert_eq!(rows(&lake), before);
    assert_eq!(problems(&lake), [""; 0]);
    // The loser has learnt what the winner did, and may win the next.
    let mut third = two.plan_upkeep(&KEEPING, now()).unwrap();
    assert!(third.run(&go).unwrap());
    assert!(!wait(two.finish_upkeep(third, now())).unwrap().lost);
    // And with both at it in earnest.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| keep_up(&lake, &KEEPING));
        }
    });
    keep_up(&lake, &KEEPING).unwrap();
    assert_eq!(rows(&lake), before);
    assert_eq!(problems(&lake), [""; 0]);
}

#[test]
fn whoever_is_not_the_writer_any_more_does_no_upkeep() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = (dir.path().join("logs"), dir.path().join("lake"));
    write_estate(estate::estate(25, 12, 2, 400), &logs);
    let sources = files(&logs, ".ndjson");
    let (early, late) = sources.split_at(sources.len() / 2);
    replay(&settings(&lake, 60_000), early).unwrap();
    let (mut stale, _) = wait(Lake::open(&lake, "main", 1, &Integrity::default())).unwrap();
    let mut task = stale.plan_upkeep(&KEEPING, now()).unwrap();
    assert!(task.run(&AtomicBool::new(false)).unwrap());
    replay(&settings(&lake, 60_000), late).unwrap();
    let error = wait(stale.finish_upkeep(task, now())).unwrap_err();
    assert!(matches!(error, LakeError::Fenced { .. }), "{error}");
    assert_eq!(
        files(&lake.join("tables"), ".parquet")
            .iter()
            .filter(|path| path.to_string_lossy().contains("/upkeep-"))
            .count(),
        0
    );
    assert_eq!(problems(&lake), [""; 0]);
}

/// When this fails because rows are no longer doubled, delta-rs has mended it: then say so in `src/docs/decisions.md`, and
/// keep our own compactor for its fence and its check.
#[test]
fn b6_the_built_in_optimize_still_doubles_rows_when_two_run_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let url = url::Url::from_directory_path(dir.path()).unwrap();
    let batch = |from: i64| {
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + 25));
        RecordBatch::try_from_iter([("n", values)]).unwrap()
    };
    let (before, after) = wait(async {
        let table = DeltaTableBuilder::from_url(url).unwrap().build().unwrap();
        let table = table.write([batch(0)]).await.unwrap();
        let table = table.write([batch(25)]).await.unwrap();
        let (one, two) = (table.clone(), table.clone());
        let before = count(table).await;
        let (table, _) = one.optimize().await.unwrap();
        drop(table);
        let second = two.optimize().await;
        match second {
            Ok((table, _)) => (before, count(table).await),
            Err(_) => (before, before),
        }
    });
    assert_eq!(before, 50);
    assert_eq!(
        after, 100,
        "two runs of OPTIMIZE do not double rows any more"
    );
}

async fn count(mut table: DeltaTable) -> usize {
    table.load().await.unwrap();
    let context = deltalake::datafusion::prelude::SessionContext::new();
    let provider = table.table_provider().await.unwrap();
    context.read_table(provider).unwrap().count().await.unwrap()
}

#[test]
fn b7_an_append_beside_a_compaction_is_kept_and_a_delete_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_, lake) = lake(dir.path(), 26, 60_000);
    let table = open(&lake, "usage");
    // Someone appends what is there already, from a snapshot that is older than the compaction.
    let before = wait(count(table.clone()));
    let batches = wait(async {
        let context = deltalake::datafusion::prelude::SessionContext::new();
        let provider = table.table_provider().await.unwrap();
        let frame = context.read_table(provider).unwrap();
        frame.limit(0, Some(3)).unwrap().collect().await.unwrap()
    });
    keep_up(&lake, &KEEPING).unwrap();
    let appended = wait(async { table.write(batches).await }).unwrap();
    assert_eq!(wait(count(appended.clone())), before + 3);
    // That nobody sealed what was appended is found.
    assert!(found(&lake, "sealed"), "{:?}", problems(&lake));
    let error = wait(async { appended.delete().await })
        .map(drop)
        .unwrap_err();
    assert!(error.to_string().contains("append"), "{error}");
}

#[test]
fn b8_what_a_manifest_names_survives_whether_or_not_a_table_shows_it() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = lake(dir.path(), 27, 60_000);
    let before = rows(&lake);
    // A crash between the manifest and the tables: Delta knows nothing of the last epochs' files.
    let log = lake.join("tables/activity/_delta_log");
    for commit in files(&log, ".json").iter().rev().take(2) {
        fs::remove_file(commit).unwrap();
    }
    // And files of a writer that lost: a name that no manifest has, of an epoch that is decided; and of one that is not.
    let day = files(&lake.join("tables/usage"), ".parquet").pop().unwrap();
    let orphan = day.with_file_name("part-000000000002-0000-aaaaaaaaaaaa.zstd.parquet");
    let open_epoch = day.with_file_name("part-000000009999-0000-bbbbbbbbbbbb.zstd.parquet");
    let torn = day.with_file_name("part#1");
    for path in [&orphan, &open_epoch, &torn] {
        fs::write(path, b"PAR1").unwrap();
    }
    let (opened, _) = wait(Lake::open(&lake, "main", 1, &Integrity::default())).unwrap();
    let garbage = opened.remove_garbage(&AT_ONCE, now()).unwrap();
    assert_eq!((garbage.orphans, garbage.replaced), (2, 0), "{garbage:?}");
    assert!(!orphan.exists() && !torn.exists() && open_epoch.exists());
    drop(opened);
    replay(&settings(&lake, 60_000), &[logs]).unwrap();
    assert_eq!(problems(&lake), [""; 0]);
    assert_eq!(rows(&lake)[..before.len()], before);
    // A full vacuum is nothing that this program can be asked for.
    for command in ["vacuum", "optimize"] {
        assert_eq!(keytrail(&[command, "--data", "x"]).status.code(), Some(2));
    }
}

#[test]
fn replaced_files_go_after_their_age_and_state_that_no_start_needs_too() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = lake(dir.path(), 28, 40_000);
    let before = rows(&lake);
    let parquet = files(&lake.join("tables"), ".zstd.parquet").len();
    keep_up(&lake, &KEEPING).unwrap();
    assert!(
        files(&lake.join("tables"), ".zstd.parquet").len() > parquet,
        "both are there"
    );
    let (_, garbage) = keep_up(&lake, &AT_ONCE).unwrap();
    assert!(
        garbage.replaced > 10 && garbage.states > 0 && garbage.orphans == 0,
        "{garbage:?}"
    );
    let left: usize = TABLES
        .iter()
        .map(|table| visible(&lake, table.name).len())
        .sum();
    assert_eq!(files(&lake.join("tables"), ".zstd.parquet").len(), left);
    assert_eq!(problems(&lake), [""; 0]);
    assert_eq!(rows(&lake), before);
    replay(&settings(&lake, 40_000), &[logs]).unwrap();
    assert_eq!(problems(&lake), [""; 0]);
}

#[test]
fn b9_commits_of_long_ago_are_still_there_after_a_checkpoint_and_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = (dir.path().join("logs"), dir.path().join("lake"));
    write_estate(estate::estate(29, 8, 2, 350), &logs);
    let sources = files(&logs, ".ndjson");
    let (early, late) = sources.split_at(sources.len() / 2);
    replay(&settings(&lake, 30_000), early).unwrap();
    let log = lake.join("tables/activity/_delta_log");
    let commits = files(&log, ".json");
    let long_ago = SystemTime::now() - Duration::from_secs(40 * 24 * 3_600);
    for commit in &commits {
        let file = fs::File::options().write(true).open(commit).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    keep_up(&lake, &KEEPING).unwrap();
    assert!(
        log.join("_last_checkpoint").exists(),
        "a checkpoint was written"
    );
    replay(&settings(&lake, 30_000), late).unwrap();
    for commit in commits {
        assert!(commit.exists(), "{}", commit.display());
    }
    assert_eq!(problems(&lake), [""; 0]);
}

#[test]
fn b3_a_checkpoint_that_cannot_be_written_undoes_and_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = (dir.path().join("logs"), dir.path().join("lake"));
    write_estate(estate::estate(30, 8, 2, 350), &logs);
    let sources = files(&logs, ".ndjson");
    let (early, late) = sources.split_at(sources.len() / 2);
    let mut settings = settings(&lake, 30_000);
    settings.upkeep = Some(UpkeepParams {
        checkpoint_commits: 2,
        ..KEEPING
    });
    replay(&settings, early).unwrap();
    // No checkpoint can be put in place: a folder is there already.
    let log = lake.join("tables/activity/_delta_log");
    let before = files(&log, ".checkpoint.parquet").len();
    let folders: Vec<PathBuf> = (0..200)
        .map(|version| log.join(format!("{version:020}.checkpoint.parquet")))
        .filter(|path| !path.exists())
        .collect();
    for folder in &folders {
        fs::create_dir(folder).unwrap();
    }
    replay(&settings, late).unwrap();
    for folder in &folders {
        fs::remove_dir(folder).unwrap();
    }
    assert_eq!(files(&log, ".checkpoint.parquet").len(), before);
    assert_eq!(problems(&lake), [""; 0]);
    let rows = rows(&lake);
    let mut leaves: Vec<i64> = rows.iter().map(|(leaf, _)| *leaf).collect();
    leaves.dedup();
    assert_eq!(leaves.len(), rows.len(), "no row is there twice");
}

#[test]
fn upkeep_of_a_running_pipeline_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, kept) = (dir.path().join("logs"), dir.path().join("kept"));
    let plain = dir.path().join("plain");
    write_estate(estate::estate(31, 8, 2, 500), &logs);
    let mut with = settings(&kept, 40_000);
    with.upkeep = Some(KEEPING);
    replay(&with, std::slice::from_ref(&logs)).unwrap();
    replay(&settings(&plain, 40_000), &[logs]).unwrap();
    assert!(kept.join("ledger/upkeep/000000000001.json").exists());
    assert_eq!(problems(&kept), [""; 0]);
    let digests = |lake: &Path| {
        let mut counts: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        // The rows of `epochs` tell times and hashes of their own lake.
        let own = rows_of(lake, "epochs");
        for (_, digest) in rows(lake) {
            if !own.contains(&digest) {
                *counts.entry(digest).or_default() += 1;
            }
        }
        counts
    };
    assert_eq!(digests(&kept), digests(&plain));
    let head = last_manifest(&kept);
    assert!(
        head.contains("\"upkeep\":{\"number\":"),
        "manifests name the records"
    );
}

fn rows_of(lake: &Path, table: &str) -> Vec<Vec<u8>> {
    wait(async {
        let session = Session::open(lake).await.unwrap();
        let sql = format!("SELECT arrow_cast(_row_digest, 'Binary') FROM {table}");
        let mut digests = Vec::new();
        for batch in session.sql(&sql).await.unwrap().1 {
            let column = batch.column(0).as_binary::<i32>();
            digests.extend(column.iter().map(|digest| digest.unwrap().to_vec()));
        }
        digests
    })
}

fn last_manifest(lake: &Path) -> String {
    let manifests = files(&lake.join("ledger"), ".json");
    let last = manifests
        .iter()
        .rfind(|path| path.to_string_lossy().contains("/epoch-"));
    fs::read_to_string(last.unwrap()).unwrap()
}

#[test]
fn rows_past_their_age_go_only_once_a_manifest_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = (dir.path().join("logs"), dir.path().join("lake"));
    write_estate(estate::estate(32, 8, 2, 400), &logs);
    let sources = files(&logs, ".ndjson");
    let (early, late) = sources.split_at(sources.len() * 2 / 3);
    replay(&settings(&lake, 60_000), early).unwrap();
    let raw = rows_of(&lake, "raw_events").len();
    let activity = rows_of(&lake, "activity").len();
    let removing = UpkeepParams {
        raw_events_age: Some(0),
        ..AT_ONCE
    };
    let (acts, _, waits) = keep_up_once(&settings(&lake, 1 << 20), &removing, now()).unwrap();
    assert_eq!(acts.last().unwrap().kind, Kind::Remove);
    assert_eq!(acts.last().unwrap().rows, raw as i64);
    // Decided, and nothing has happened: no manifest names it.
    assert!(waits);
    assert_eq!(rows_of(&lake, "raw_events").len(), raw);
    assert_eq!(problems(&lake), [""; 0]);
    // Until then a file that is missing is a loss, whatever a record says.
    let shown = visible(&lake, "raw_events").pop().unwrap();
    let shown = lake.join("tables/raw_events").join(shown);
    fs::rename(&shown, dir.path().join("aside")).unwrap();
    assert!(found(&lake, "it is missing"));
    fs::rename(dir.path().join("aside"), &shown).unwrap();
    replay(&settings(&lake, 60_000), late).unwrap();
    let (_, garbage) = keep_up(&lake, &AT_ONCE).unwrap();
    assert!(garbage.replaced > 0);
    let left = rows_of(&lake, "raw_events").len();
    assert!(rows_of(&lake, "activity").len() > activity);
    assert_eq!(
        left,
        rows_of(&lake, "activity").len() - activity,
        "only what came later"
    );
    assert_eq!(problems(&lake), [""; 0]);
    assert_eq!(wait(verify(&lake)).unwrap().retired, raw as u64);
    // The record says which leaves are gone; without it, and with another in its place, that is a loss.
    let path = files(&lake.join("ledger/upkeep"), ".json")
        .into_iter()
        .rfind(|path| {
            fs::read_to_string(path)
                .unwrap()
                .contains("\"kind\":\"remove\"")
        })
        .unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let record: Record = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let gone: i64 = record.leaves.iter().map(|[_, _, count]| count).sum();
    assert_eq!(gone, raw as i64);
    fs::remove_file(&path).unwrap();
    assert!(!problems(&lake).is_empty());
    fs::write(&path, text.replace("raw_events_age", "raw_events_agf")).unwrap();
    assert!(!problems(&lake).is_empty());
    fs::write(&path, text).unwrap();
    assert_eq!(problems(&lake), [""; 0]);
}

/// A record as a forger would write it: whatever the text says, with a hash that fits.
fn forge(path: &Path, change: impl Fn(&mut Record)) {
    let text = fs::read_to_string(path).unwrap();
    let mut record: Record = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    change(&mut record);
    let line = serde_json::to_string(&record).unwrap();
    let hash = keytrail::model::hex(&keytrail::model::sha256(line.as_bytes()));
    fs::write(path, format!("{line}\n{hash}\n")).unwrap();
}

#[test]
fn a_forged_compaction_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (_, lake) = lake(dir.path(), 33, 60_000);
    keep_up(&lake, &KEEPING).unwrap();
    assert_eq!(problems(&lake), [""; 0]);
    let records = files(&lake.join("ledger/upkeep"), ".json");
    let last = records.last().unwrap().clone();
    let text = fs::read_to_string(&last).unwrap();
    let changes: [fn(&mut Record); 5] = [
        |record| record.rows -= 1,
        |record| record.added[0].file.sha256 = "00".repeat(32),
        |record| record.added[0].file.size += 1,
        |record| drop(record.removed.pop()),
        |record| record.removed[0].path = "elsewhere.parquet".to_owned(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        forge(&last, change);
        assert!(!problems(&lake).is_empty(), "change {number}");
        fs::write(&last, &text).unwrap();
    }
    // One in the middle breaks the chain, whatever is changed in it.
    let first = fs::read_to_string(&records[0]).unwrap();
    forge(&records[0], |record| record.reason = "because".to_owned());
    assert!(!problems(&lake).is_empty());
    fs::write(&records[0], first).unwrap();
    assert_eq!(problems(&lake), [""; 0]);
}

/// Whoever cannot sign can have no rows removed, however well the record fits: a start refuses it, and `verify` names it.
#[test]
fn a_forged_removal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = lake(dir.path(), 36, 60_000);
    keep_up(&lake, &KEEPING).unwrap();
    let records = files(&lake.join("ledger/upkeep"), ".json");
    let bytes = fs::read(records.last().unwrap()).unwrap();
    let last = Record::parse(&bytes).unwrap();
    let signature = &bytes[last.text().len()..];
    assert!(!signature.is_empty(), "the lake is signed");
    let added = last.added.iter().map(|added| &added.file);
    let mut forged = Record {
        number: last.number + 1,
        prev_sha256: keytrail::model::hex(&keytrail::model::sha256(&bytes)),
        kind: Kind::Remove,
        removed: added
            .map(|file| RemovedFile {
                path: file.path.clone(),
                size: file.size,
                rows: file.rows,
                sha256: file.sha256.clone(),
            })
            .collect(),
        added: Vec::new(),
        leaves: vec![[0, 1, last.rows]],
        ..last.clone()
    };
    let path = records.last().unwrap();
    let path = path.with_file_name(format!("{:012}.json", forged.number));
    for (key, signature, reason) in [
        (None, &b""[..], "it is not signed"),
        (Some(1), signature, "has not signed it"),
        (Some(2), signature, "key 2 is no key"),
    ] {
        forged.key = key;
        fs::write(&path, [forged.text().as_bytes(), signature].concat()).unwrap();
        let found = problems(&lake);
        assert!(
            found.iter().any(|found| found.contains(reason)),
            "{found:?}"
        );
        let error = keep_up(&lake, &KEEPING).unwrap_err();
        assert!(
            error.integrity() && error.to_string().contains(reason),
            "{error}"
        );
        let error = replay(&settings(&lake, 60_000), std::slice::from_ref(&logs)).unwrap_err();
        assert!(error.integrity(), "{error}");
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(problems(&lake), [""; 0]);
}

#[test]
fn a_damaged_file_is_not_compacted_away() {
    let dir = tempfile::tempdir().unwrap();
    let (_, lake) = lake(dir.path(), 34, 60_000);
    // One of several in its folder: one that is alone is left as it is.
    let shown = visible(&lake, "activity");
    let folder = |path: &str| path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    let beside = |path: &str| {
        shown
            .iter()
            .filter(|other| folder(other) == folder(path))
            .count()
    };
    let path = shown.iter().max_by_key(|path| beside(path)).unwrap();
    let path = lake.join("tables/activity").join(path);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = keep_up(&lake, &KEEPING).unwrap_err();
    assert!(
        error.integrity() && error.to_string().contains("hash"),
        "{error}"
    );
    let names = fs::read_dir(path.parent().unwrap()).unwrap();
    let left = names.filter(|name| {
        let name = name.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("upkeep-")
    });
    assert_eq!(left.count(), 0, "nothing half done is left");
}

#[test]
fn b15_a_lake_of_many_commits_opens_quickly() {
    let commits: usize = std::env::var("KEYTRAIL_TEST_COMMITS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(40);
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = (dir.path().join("logs"), dir.path().join("lake"));
    // A file a message, and an epoch a file.
    let totals = write_estate(estate::estate(35, 12, 8, commits as u64 * 12), &logs);
    let bytes: u64 = files(&logs, ".ndjson")
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    let mut settings = settings(&lake, (bytes as usize / commits).max(1));
    settings.snapshot_epochs = 64;
    settings.upkeep = Some(UpkeepParams {
        merge_after: 400 * Micros::DAY,
        seal_after: 400 * Micros::DAY,
        checkpoint_commits: 100,
        ..KEEPING
    });
    replay(&settings, &[logs]).unwrap();
    let epochs = files(&lake.join("ledger"), ".json").len();
    let shown: usize = TABLES
        .iter()
        .map(|table| visible(&lake, table.name).len())
        .sum();
    let started = Instant::now();
    let (opened, recovered) = wait(Lake::open(&lake, "main", 64, &Integrity::default())).unwrap();
    let open = started.elapsed();
    let started = Instant::now();
    let planned = opened.plan_upkeep(&KEEPING, now()).is_some();
    let plan = started.elapsed();
    let resident = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = resident.lines().find(|line| line.starts_with("VmRSS"));
    println!(
        "{epochs} epochs, {shown} files, {} elements: opened in {open:?}, planned in {plan:?}, {}",
        totals.elements,
        resident.unwrap_or_default()
    );
    assert!(recovered.epoch as usize >= commits / 2 && planned);
    assert!(open < Duration::from_secs(5), "{open:?}");
}
