//! The signed log over a real lake: rows F1 to F5 and B11 of the fault matrix, keys, crashes, proofs and anchors.
//!
//! `KEYTRAIL_TEST_PROOFS` sets how many mutated proofs are tried (10,000 for the full matrix).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use keytrail::evidence::TABLES;
use keytrail::lake::{
    Demands, Integrity, Manifest, Place, Proof, Secret, Verdict, anchor, canonical_row, prove,
    verify_at,
};
use keytrail::model::{hex, sha256};
use keytrail::pipeline::PipelineError;
use keytrail::query::Session;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{estate, keytrail, replay, settings, wait, write_estate};

/// Two keys, as digits.
const FIRST: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const SECOND: &str = "2222222222222222222222222222222222222222222222222222222222222222";

/// A small lake of several epochs, and what it was made from.
struct Made {
    _dir: tempfile::TempDir,
    logs: Vec<PathBuf>,
    lake: PathBuf,
}

/// Signed with which key.
fn signed(key: &str, previous: Option<&str>) -> Integrity {
    Integrity {
        signing_key: Some(Secret::new(key.to_owned())),
        previous_key: previous.map(|key| Secret::new(key.to_owned())),
        ..Integrity::default()
    }
}

impl Made {
    /// From an estate of `seed`, with the first half of its files read.
    fn half(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (logs, lake) = (dir.path().join("logs"), dir.path().join("lake"));
        write_estate(estate::estate(seed, 12, 4, 700), &logs);
        let mut logs: Vec<PathBuf> = fs::read_dir(&logs)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        logs.sort();
        let made = Self {
            _dir: dir,
            logs,
            lake,
        };
        made.go_on(made.logs.len() / 2, signed(FIRST, None))
            .unwrap();
        made
    }

    fn whole(seed: u64) -> Self {
        let made = Self::half(seed);
        made.finish(signed(FIRST, None)).unwrap();
        made
    }

    /// Reads the first `files` files, as far as they are not read yet.
    fn go_on(&self, files: usize, integrity: Integrity) -> Result<(), PipelineError> {
        let mut settings = settings(&self.lake, 60_000);
        settings.integrity = integrity;
        settings.finite = files == self.logs.len();
        replay(&settings, &self.logs[..files]).map(|_| ())
    }

    fn finish(&self, integrity: Integrity) -> Result<(), PipelineError> {
        self.go_on(self.logs.len(), integrity)
    }

    fn epochs(&self) -> i64 {
        let ledger = fs::read_dir(self.lake.join("ledger")).unwrap();
        let names = ledger.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".json")).count() as i64
    }

    fn manifest_path(&self, epoch: i64) -> PathBuf {
        self.lake.join(format!("ledger/epoch-{epoch:012}.json"))
    }

    fn checkpoint_path(&self, epoch: i64) -> PathBuf {
        self.lake
            .join(format!("ledger/epoch-{epoch:012}.checkpoint"))
    }

    fn manifest(&self, epoch: i64) -> Manifest {
        serde_json::from_slice(&fs::read(self.manifest_path(epoch)).unwrap()).unwrap()
    }

    /// The largest file of `table` in `epoch`, below the lake.
    fn data_file(&self, table: &str, epoch: i64) -> String {
        let manifest = self.manifest(epoch);
        let files = manifest.tables.iter().find(|files| files.table == table);
        let largest = files.unwrap().files.iter().max_by_key(|file| file.rows);
        format!("tables/{table}/{}", largest.unwrap().path)
    }
}

fn check_with(lake: &Path, demands: Demands) -> Verdict {
    let demands = Demands {
        patience: Duration::ZERO,
        ..demands
    };
    wait(verify_at(&Place::of(lake).unwrap(), &demands)).unwrap()
}

fn check(lake: &Path) -> Verdict {
    check_with(lake, Demands::default())
}

/// Asserts that something is wrong with `what`, for a reason that contains `reason`.
fn assert_wrong(verdict: &Verdict, what: &str, reason: &str) {
    assert!(
        verdict
            .problems
            .iter()
            .any(|problem| problem.what.contains(what) && problem.reason.contains(reason)),
        "{what}: {reason}: {:#?}",
        &verdict.problems[..verdict.problems.len().min(8)]
    );
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Replaces `path` by what it was in `backup`, or removes it if it was not there.
fn restore(backup: &Path, lake: &Path) {
    fs::remove_dir_all(lake).unwrap();
    copy(backup, lake);
}

/// Writes a data file anew, as an engine would that changes a row: every row in one batch through `change`.
fn rewrite(path: &Path, change: impl Fn(RecordBatch) -> RecordBatch) {
    let bytes = bytes::Bytes::from(fs::read(path).unwrap());
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let schema = builder.schema().clone();
    let batches: Vec<RecordBatch> = builder.build().unwrap().map(Result::unwrap).collect();
    let changed = change(concat_batches(&schema, &batches).unwrap());
    let file = fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, changed.schema(), None).unwrap();
    writer.write(&changed).unwrap();
    writer.close().unwrap();
}

fn without_row(batch: &RecordBatch, row: usize) -> RecordBatch {
    let keep: Vec<bool> = (0..batch.num_rows()).map(|index| index != row).collect();
    filter_record_batch(batch, &BooleanArray::from(keep)).unwrap()
}

/// Makes the ledger agree with a data file that was rewritten, as far as that is possible without a key: its hash and
/// size in its manifest, every manifest after it, and the size in the table's log.
fn forge(made: &Made, epoch: i64, file: &str) {
    let bytes = fs::read(made.lake.join(file)).unwrap();
    let mut before = None;
    for number in epoch..=made.epochs() {
        let mut manifest = made.manifest(number);
        for files in &mut manifest.tables {
            for staged in &mut files.files {
                if format!("tables/{}/{}", files.table, staged.path) == file {
                    staged.sha256 = hex(&sha256(&bytes));
                }
            }
        }
        if let Some(before) = before {
            manifest.prev_manifest_sha256 = before;
        }
        let text = manifest.bytes();
        before = Some(hex(&sha256(&text)));
        fs::write(made.manifest_path(number), text).unwrap();
    }
}

#[test]
fn a_lake_is_signed_from_its_first_epoch() {
    let made = Made::whole(31);
    let verdict = check(&made.lake);
    assert_eq!(verdict.problems, []);
    assert!(verdict.epochs > 4, "{}", verdict.epochs);
    assert_eq!(verdict.rows, verdict.tree_size);
    assert_eq!(verdict.keys.len(), 1);
    // The checkpoint is what C2SP says, and the row of an epoch holds the root before its own leaf.
    let text = fs::read_to_string(made.checkpoint_path(verdict.epochs)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "keytrail/main");
    assert_eq!(lines[1], verdict.tree_size.to_string());
    assert!(
        lines[4].is_empty() && lines[5].starts_with("— keytrail/main "),
        "{text}"
    );
    let rows = wait(async {
        let session = Session::open(&made.lake).await.unwrap();
        session
            .sql("SELECT DISTINCT root_hash FROM epochs")
            .await
            .unwrap()
            .1
    });
    let rows: usize = rows.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows as i64, verdict.epochs);
    // No key is in the lake when one is configured.
    assert!(!made.lake.join("signing.key").exists());
}

#[test]
fn f1_a_changed_value_names_table_file_and_row() {
    let made = Made::whole(32);
    let file = made.data_file("activity", 3);
    rewrite(&made.lake.join(&file), |batch| {
        let index = batch.schema().index_of("operation").unwrap();
        let mut texts: Vec<&str> = batch
            .column(index)
            .as_string::<i32>()
            .iter()
            .flatten()
            .collect();
        texts[2] = "DeleteTrail";
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        columns[index] = Arc::new(StringArray::from(texts));
        RecordBatch::try_new(batch.schema(), columns).unwrap()
    });
    let verdict = check(&made.lake);
    let first = &verdict.problems[0];
    assert_eq!(first.what, file);
    assert_eq!(
        (first.table.as_deref(), first.row, first.epoch),
        (Some("activity"), Some(2), 3)
    );
    // With manifests to match, the row still is not the one that was signed, and the manifest neither.
    forge(&made, 3, &file);
    let verdict = check(&made.lake);
    assert_wrong(&verdict, &file, "altered");
    assert_wrong(&verdict, &file, "not the row that was signed");
    assert_wrong(
        &verdict,
        "ledger/epoch-000000000003.json",
        "not the manifest that was signed",
    );
}

#[test]
fn f2_rows_deleted_inserted_doubled_and_moved_are_found() {
    let made = Made::whole(33);
    let file = made.data_file("activity", 2);
    let path = made.lake.join(&file);
    let before = fs::read(&path).unwrap();
    rewrite(&path, |batch| without_row(&batch, 1));
    assert_wrong(&check(&made.lake), &file, "is missing");
    fs::write(&path, &before).unwrap();
    rewrite(&path, |batch| {
        concat_batches(&batch.schema(), [&batch, &batch.slice(1, 1)]).unwrap()
    });
    assert_wrong(&check(&made.lake), &file, "second time");
    fs::write(&path, &before).unwrap();
    // A row taken out of one file and put into another: moved.
    let other = made.data_file("activity", 3);
    let other_path = made.lake.join(&other);
    let kept = fs::read(&other_path).unwrap();
    let moved = std::cell::RefCell::new(None);
    rewrite(&other_path, |batch| {
        moved.replace(Some(batch.slice(0, 1)));
        without_row(&batch, 0)
    });
    rewrite(&path, |batch| {
        concat_batches(&batch.schema(), [&batch, moved.borrow().as_ref().unwrap()]).unwrap()
    });
    let verdict = check(&made.lake);
    assert_wrong(&verdict, &file, "hash");
    assert_wrong(&verdict, &other, "hash");
    fs::write(&path, &before).unwrap();
    fs::write(&other_path, &kept).unwrap();
    // A forged row with a leaf of its own choice.
    rewrite(&path, |batch| {
        let index = batch.schema().index_of("_leaf").unwrap();
        let mut forged = batch.slice(0, 1).columns().to_vec();
        forged[index] = Arc::new(arrow::array::Int64Array::from(vec![9_999_999]));
        let forged = RecordBatch::try_new(batch.schema(), forged).unwrap();
        concat_batches(&batch.schema(), [&batch, &forged]).unwrap()
    });
    assert_wrong(&check(&made.lake), &file, "extra");
    fs::write(&path, &before).unwrap();
    // Two files swapped.
    fs::write(&path, &kept).unwrap();
    fs::write(&other_path, &before).unwrap();
    let verdict = check(&made.lake);
    assert_wrong(&verdict, &file, "hash");
    assert_wrong(&verdict, &other, "hash");
    fs::write(&path, &before).unwrap();
    fs::write(&other_path, &kept).unwrap();
    assert_eq!(check(&made.lake).problems, []);
}

#[test]
fn f2_commits_dropped_and_tables_replaced_are_found() {
    let made = Made::half(34);
    let backup = made.lake.with_file_name("backup");
    copy(&made.lake, &backup);
    made.finish(signed(FIRST, None)).unwrap();
    let log = made.lake.join("tables/activity/_delta_log");
    for version in [2, 1] {
        let name = format!("{version:020}.json");
        let bytes = fs::read(log.join(&name)).unwrap();
        fs::remove_file(log.join(&name)).unwrap();
        assert_wrong(&check(&made.lake), &name, "is missing");
        // Cut off at a line, which every reader takes for a commit of nothing.
        let line = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        fs::write(log.join(&name), &bytes[..=line]).unwrap();
        let verdict = check(&made.lake);
        assert_wrong(&verdict, &name, "not the file that was sealed");
        assert_wrong(&verdict, "tables/activity/", "does not show it");
        fs::write(log.join(&name), &bytes).unwrap();
    }
    assert_eq!(check(&made.lake).problems, []);
    // A commit that nobody sealed.
    let last = fs::read_dir(&log).unwrap().count() as u64;
    let name = format!("{last:020}.json");
    fs::write(log.join(&name), b"{\"commitInfo\":{}}\n").unwrap();
    assert_wrong(&check(&made.lake), "ledger/seal-", "is not sealed");
    fs::remove_file(log.join(&name)).unwrap();
    // The table as it was.
    fs::remove_dir_all(made.lake.join("tables/activity")).unwrap();
    copy(
        &backup.join("tables/activity"),
        &made.lake.join("tables/activity"),
    );
    let verdict = check(&made.lake);
    assert_wrong(&verdict, "tables/activity/_delta_log", "is missing");
    assert_wrong(&verdict, "tables/activity/", "does not show it");
}

#[test]
fn f3_an_end_that_was_cut_off_everywhere_is_found_by_an_anchor_only() {
    let made = Made::half(35);
    let backup = made.lake.with_file_name("backup");
    let outside = made.lake.with_file_name("anchors");
    assert!(anchor(&made.lake, &outside).unwrap().1);
    assert!(
        !anchor(&made.lake, &outside).unwrap().1,
        "the same is not appended twice"
    );
    copy(&made.lake, &backup);
    made.finish(signed(FIRST, None)).unwrap();
    assert!(anchor(&made.lake, &outside).unwrap().1);
    let anchored = || Demands {
        anchor: Some(outside.clone()),
        ..Demands::default()
    };
    let verdict = check_with(&made.lake, anchored());
    assert_eq!((verdict.problems.len(), verdict.anchors), (0, 2));
    restore(&backup, &made.lake);
    assert_eq!(
        check(&made.lake).problems,
        [],
        "without an anchor nothing shows it"
    );
    assert_wrong(
        &check_with(&made.lake, anchored()),
        "anchors, checkpoint 2",
        "cut off",
    );
    assert!(
        anchor(&made.lake, &outside).is_err(),
        "and it is not anchored again"
    );
    // The writer goes on with other epochs than those that were anchored: a fork.
    let mut other = settings(&made.lake, 40_000);
    other.integrity = signed(FIRST, None);
    replay(&other, &made.logs).unwrap();
    assert_eq!(check(&made.lake).problems, []);
    assert_wrong(
        &check_with(&made.lake, anchored()),
        "anchors, checkpoint 2",
        "",
    );
}

#[test]
fn f3_tiles_beyond_the_end_betray_a_careless_cut() {
    let made = Made::whole(36);
    let last = made.epochs();
    fs::remove_file(made.manifest_path(last)).unwrap();
    fs::remove_file(made.checkpoint_path(last)).unwrap();
    let verdict = check(&made.lake);
    assert!(!verdict.problems.is_empty());
    let error = made.finish(signed(FIRST, None)).unwrap_err();
    assert!(error.integrity(), "{error}");
}

#[test]
fn f4_forged_checkpoints_are_refused() {
    let made = Made::whole(37);
    let other = Made::whole(38);
    let epoch = 3;
    let ours = fs::read(made.checkpoint_path(epoch)).unwrap();
    let name = format!("ledger/epoch-{epoch:012}");
    // The same key over another tree: a split view.
    fs::copy(other.checkpoint_path(epoch), made.checkpoint_path(epoch)).unwrap();
    assert_wrong(
        &check(&made.lake),
        &name,
        "not the manifest that was signed",
    );
    // An older one: a rollback of size.
    fs::copy(made.checkpoint_path(epoch - 1), made.checkpoint_path(epoch)).unwrap();
    assert_wrong(&check(&made.lake), &name, "another epoch");
    fs::write(made.checkpoint_path(epoch), &ours).unwrap();
    assert_eq!(check(&made.lake).problems, []);
    // The split view as an anchor: signed by the right key, and not consistent.
    let outside = made.lake.with_file_name("anchors");
    anchor(&other.lake, &outside).unwrap();
    let demands = Demands {
        anchor: Some(outside),
        ..Demands::default()
    };
    assert!(!check_with(&made.lake, demands).problems.is_empty());
    // Another key.
    let third = Made::half(37);
    fs::remove_dir_all(&third.lake).unwrap();
    third
        .go_on(third.logs.len() / 2, signed(SECOND, None))
        .unwrap();
    third.finish(signed(SECOND, None)).unwrap();
    fs::copy(third.checkpoint_path(epoch), made.checkpoint_path(epoch)).unwrap();
    assert_wrong(&check(&made.lake), &name, "has not signed it");
}

/// All rows of a lake with their canonical bytes, by leaf.
fn all_rows(lake: &Path) -> BTreeMap<i64, Vec<u8>> {
    let tables = wait(async {
        let session = Session::open(lake).await.unwrap();
        let mut tables = Vec::new();
        for table in TABLES {
            let sql = format!("SELECT * FROM {}", table.name);
            tables.push((table.name, session.sql(&sql).await.unwrap().1));
        }
        tables
    });
    let mut rows = BTreeMap::new();
    for (table, batches) in tables {
        for batch in batches {
            let leaves = batch.column_by_name("_leaf").unwrap().clone();
            let leaves = leaves.as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                let bytes = canonical_row(table, &batch.slice(row, 1)).unwrap();
                rows.insert(leaves.value(row), bytes);
            }
        }
    }
    rows
}

#[test]
fn f5_every_row_can_be_proven_and_no_mutated_proof_holds() {
    let made = Made::half(39);
    let verdict = check(&made.lake);
    assert!(verdict.epochs >= 3);
    let key = &verdict.keys[0].verifier;
    let rows = all_rows(&made.lake);
    assert_eq!(rows.len() as i64, verdict.tree_size);
    let mut proofs = Vec::new();
    for (leaf, row) in rows {
        let bytes = prove(&made.lake, leaf, row).unwrap().to_bytes();
        let proven = Proof::parse(&bytes).unwrap().verify(key).unwrap();
        assert_eq!(
            (proven.leaf as i64, proven.tree_size as i64),
            (leaf, verdict.tree_size)
        );
        assert!(proven.table.is_some() && !proven.row.is_empty());
        proofs.push(bytes);
    }
    let mutations = std::env::var("KEYTRAIL_TEST_PROOFS").ok();
    let mutations = mutations.map_or(1_000, |count| count.parse().unwrap());
    let mut random = oorandom::Rand64::new(39);
    for turn in 0..mutations {
        let mut proof = proofs[random.rand_range(0..proofs.len() as u64) as usize].clone();
        let at = random.rand_range(0..proof.len() as u64) as usize;
        match turn % 4 {
            0 => drop(proof.remove(at)),
            1 => proof.insert(at, random.rand_range(0..256) as u8),
            2 => proof.truncate(at),
            _ => proof[at] ^= random.rand_range(1..256) as u8,
        }
        let same = proofs.contains(&proof);
        let holds = Proof::parse(&proof).and_then(|proof| proof.verify(key));
        assert!(
            same || holds.is_err(),
            "mutation {turn} at byte {at}: {holds:?}"
        );
    }
    println!(
        "{} rows proven, {mutations} mutated proofs refused",
        proofs.len()
    );
    // A row that was never there, and a leaf that is another row's.
    assert!(prove(&made.lake, 0, b"no row".to_vec()).is_err());
    assert!(prove(&made.lake, verdict.tree_size, b"no row".to_vec()).is_err());
}

#[test]
fn b11_a_damaged_ledger_stops_the_writer_and_verify_names_the_epoch() {
    let made = Made::half(40);
    let backup = made.lake.with_file_name("backup");
    copy(&made.lake, &backup);
    let last = made.epochs();
    let refused = |what: &str| {
        let error = made.finish(signed(FIRST, None)).unwrap_err();
        assert!(error.integrity(), "{what}: {error}");
    };
    for epoch in [2, last] {
        let name = format!("ledger/epoch-{epoch:012}");
        let path = made.manifest_path(epoch);
        let whole = fs::read(&path).unwrap();
        // Edited in a way that still parses.
        let text = String::from_utf8(whole.clone()).unwrap();
        fs::write(&path, text.replace("\"created_ms\":1", "\"created_ms\":2")).unwrap();
        let verdict = check(&made.lake);
        assert_eq!(verdict.problems[0].epoch, epoch);
        assert_wrong(&verdict, &name, "not the manifest that was signed");
        refused("edited");
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(check(&made.lake).problems[0].epoch, epoch);
        refused("truncated");
        fs::remove_file(&path).unwrap();
        assert!(!check(&made.lake).problems.is_empty());
        refused("deleted");
        restore(&backup, &made.lake);
    }
    // Rolled back by some epochs, in the ledger only.
    for epoch in last - 1..=last {
        fs::remove_file(made.manifest_path(epoch)).unwrap();
        fs::remove_file(made.checkpoint_path(epoch)).unwrap();
    }
    assert!(!check(&made.lake).problems.is_empty());
    refused("rolled back");
    restore(&backup, &made.lake);
    // Signed anew by somebody else: their key is not the one that this writer has.
    let error = made.finish(signed(SECOND, None)).unwrap_err();
    assert!(
        error.to_string().contains("integrity.previous_key"),
        "{error}"
    );
    assert!(error.integrity());
    made.finish(signed(FIRST, None)).unwrap();
    assert_eq!(check(&made.lake).problems, []);
}

#[test]
fn a_crash_before_the_tree_was_written_leaves_nothing_to_be_seen_after_the_next_start() {
    let made = Made::half(41);
    let last = made.epochs();
    let tree = |lake: &Path| {
        let mut files = BTreeMap::new();
        super::tamper::list(&lake.join("ledger"), &mut |path| {
            let name = path.strip_prefix(lake).unwrap().display().to_string();
            if !name.ends_with(".json") {
                files.insert(name, fs::read(path).unwrap());
            }
        });
        files
    };
    let before = tree(&made.lake);
    // As after a crash behind the last manifest: no tile of its size, no checkpoint, no seal.
    fs::remove_file(made.checkpoint_path(last)).unwrap();
    let new = made.manifest(last).tree_size;
    for name in before.keys() {
        let partial = name.rsplit_once(".p/").map(|(_, width)| width.to_owned());
        let gone = partial.is_some_and(|width| width.parse::<i64>().unwrap() == new % 256);
        if gone {
            fs::remove_file(made.lake.join(name)).unwrap();
        }
    }
    let seal = before.keys().rfind(|name| name.contains("seal-")).unwrap();
    fs::remove_file(made.lake.join(seal)).unwrap();
    let verdict = check(&made.lake);
    assert_wrong(&verdict, "ledger/seal-", "is missing");
    assert_wrong(&verdict, ".checkpoint", "is missing");
    made.go_on(made.logs.len() / 2, signed(FIRST, None))
        .unwrap();
    let after = tree(&made.lake);
    for (name, bytes) in before {
        assert_eq!(after.get(&name), Some(&bytes), "{name}");
    }
    assert_eq!(check(&made.lake).problems, []);
}

#[test]
fn a_commit_that_was_sealed_and_lost_is_made_again_and_one_that_was_altered_is_not_taken() {
    let made = Made::half(46);
    let log = made.lake.join("tables/epochs/_delta_log");
    let last = made.epochs();
    let path = log.join(format!("{last:020}.json"));
    let before = fs::read_to_string(&path).unwrap();
    fs::write(&path, before.replace("WRITE", "WRITF")).unwrap();
    let error = made.finish(signed(FIRST, None)).unwrap_err();
    assert!(
        error.integrity() && error.to_string().contains("sealed"),
        "{error}"
    );
    fs::remove_file(&path).unwrap();
    made.finish(signed(FIRST, None)).unwrap();
    assert_eq!(check(&made.lake).problems, []);
    assert_ne!(
        fs::read_to_string(&path).unwrap(),
        before,
        "it has another time"
    );
}

#[test]
fn keys_are_changed_with_the_word_of_the_one_before() {
    let made = Made::half(42);
    let half = made.epochs();
    let before = check(&made.lake).keys[0].verifier.clone();
    made.finish(signed(SECOND, Some(FIRST))).unwrap();
    let verdict = check(&made.lake);
    assert_eq!(verdict.problems, []);
    assert_eq!(verdict.keys.len(), 2);
    assert_eq!(verdict.keys[1].from_epoch, half + 1);
    let demand = |key: &str| {
        let demands = Demands {
            key: Some(key.to_owned()),
            ..Demands::default()
        };
        check_with(&made.lake, demands).problems
    };
    let after = &verdict.keys[1].verifier;
    assert_eq!(demand(&before), []);
    assert!(
        !demand(after).is_empty(),
        "the first key is demanded, not the last"
    );
    // Proofs are signed by the key of now, and the old one has no say any more.
    let (leaf, row) = all_rows(&made.lake).pop_first().unwrap();
    let proof = prove(&made.lake, leaf, row).unwrap();
    assert!(proof.verify(after).is_ok());
    assert!(proof.verify(&before).is_err());
    let error = made.finish(signed(FIRST, None)).unwrap_err();
    assert!(error.integrity(), "{error}");
    // A word that the first key did not give.
    let note = made.lake.join("ledger/key-000002.note");
    let text = fs::read_to_string(&note).unwrap();
    fs::remove_file(&note).unwrap();
    assert_wrong(&check(&made.lake), "ledger/key-000002.note", "is missing");
    fs::write(&note, text.replace("epoch", "epocH")).unwrap();
    assert_wrong(
        &check(&made.lake),
        "ledger/key-000002.note",
        "has not signed it",
    );
}

#[test]
fn a_lake_without_a_configured_key_keeps_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = (dir.path().join("logs"), dir.path().join("lake"));
    write_estate(estate::estate(43, 12, 2, 200), &logs);
    replay(&settings(&lake, 1 << 20), std::slice::from_ref(&logs)).unwrap();
    let key = lake.join("signing.key");
    let mode = fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    replay(&settings(&lake, 1 << 20), std::slice::from_ref(&logs)).unwrap();
    assert_eq!(check(&lake).problems, []);
    // From there to a key elsewhere, without more words: the lake's own is at hand.
    let mut other = settings(&lake, 1 << 20);
    other.integrity = signed(FIRST, None);
    replay(&other, std::slice::from_ref(&logs)).unwrap();
    let verdict = check(&lake);
    assert_eq!((verdict.problems.len(), verdict.keys.len()), (0, 2));
}

#[test]
fn a_lake_that_is_not_signed_is_called_so() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = (dir.path().join("logs"), dir.path().join("lake"));
    write_estate(estate::estate(44, 12, 2, 200), &logs);
    let mut unsigned = settings(&lake, 1 << 20);
    unsigned.integrity.sign = false;
    replay(&unsigned, std::slice::from_ref(&logs)).unwrap();
    let verdict = check(&lake);
    assert_eq!(verdict.problems.len(), 1, "{:?}", verdict.problems);
    assert_wrong(&verdict, "ledger", "nothing is signed");
    assert!(verdict.rows > 0);
    let error = replay(&settings(&lake, 1 << 20), &[logs]).unwrap_err();
    assert!(error.to_string().contains("begun unsigned"), "{error}");
}

#[test]
fn the_commands_prove_to_a_stranger() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    write_estate(estate::estate(45, 12, 2, 200), &dir.path().join("logs"));
    let run = |arguments: &[&str], code: i32| {
        let output = keytrail(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        (String::from_utf8_lossy(&output.stdout).into_owned(), text)
    };
    let (lake, proof, anchors) = (path("lake"), path("e.tlog-proof"), path("anchors"));
    run(&["replay", "--from", &path("logs"), "--data", &lake], 0);
    let (text, _) = run(&["verify", "--data", &lake], 0);
    let line = text
        .lines()
        .find(|line| line.starts_with("signed from epoch 1 by "));
    let key = line.unwrap().rsplit(' ').next().unwrap().to_owned();
    fs::write(path("key"), format!("{key}\n")).unwrap();
    let (text, _) = run(
        &[
            "sql",
            "--data",
            &lake,
            "SELECT event_uid FROM activity LIMIT 1",
        ],
        0,
    );
    let row: serde_json::Value = serde_json::from_str(&text).unwrap();
    let event = row["event_uid"].as_str().unwrap();
    run(&["prove", event, "--data", &lake, "-o", &proof], 0);
    let (text, _) = run(&["verify-proof", &proof, "--key", &path("key")], 0);
    let proven: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(proven["row"]["event_uid"], event);
    assert_eq!(proven["table"], "activity");
    run(&["prove", "none", "--data", &lake], 2);
    let (text, _) = run(
        &["prove", event, "--data", &lake, "--table", "raw_events"],
        0,
    );
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\n"), "{text}");
    let whole = fs::read_to_string(&proof).unwrap();
    fs::write(&proof, whole.replace("\nindex ", "\nindex 1")).unwrap();
    run(&["verify-proof", &proof, "--key", &key], 6);
    run(&["anchor", &anchors, "--data", &lake], 0);
    run(
        &[
            "verify", "--data", &lake, "--anchor", &anchors, "--key", &key,
        ],
        0,
    );
    let other = "keytrail/main+00000000+AAAA";
    let (_, text) = run(&["verify", "--data", &lake, "--key", other], 6);
    assert!(text.contains("problems"), "{text}");
}
