//! Real Delta tables in a temporary folder: what a crash, a second writer and a changed byte do to them.

use std::fs;
use std::path::{Path, PathBuf};

use keytrail::lake::{LakeError, verify};
use keytrail::pipeline::PipelineError;
use keytrail::query::Session;

use super::{estate, replay, settings, wait, write_estate};

/// One number that a query gives.
fn count(lake: &Path, sql: &str) -> i64 {
    use arrow::array::AsArray;
    wait(async {
        let session = Session::open(lake).await.unwrap();
        let (_, batches) = session.sql(sql).await.unwrap();
        batches[0]
            .column(0)
            .as_primitive::<arrow::datatypes::Int64Type>()
            .value(0)
    })
}

#[test]
fn what_goes_in_comes_out_and_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = (dir.path().join("logs"), dir.path().join("lake"));
    let totals = write_estate(estate::estate(3, 20, 10, 3_000), &logs);
    let view = replay(&settings(&lake, 200_000), &[logs]).unwrap();
    assert!(view.published() > 3, "several epochs");
    assert_eq!(view.elements("elements"), totals.elements);
    assert_eq!(view.elements("accepted"), totals.distinct);
    assert_eq!(view.elements("duplicate"), totals.duplicates);
    let distinct = totals.distinct as i64;
    assert_eq!(count(&lake, "SELECT count(*) FROM activity"), distinct);
    assert_eq!(
        count(&lake, "SELECT count(DISTINCT event_uid) FROM activity"),
        distinct
    );
    assert_eq!(count(&lake, "SELECT count(*) FROM raw_events"), distinct);
    assert_eq!(
        count(&lake, "SELECT max(_epoch) FROM epochs"),
        view.published()
    );
    assert_eq!(count(&lake, "SELECT sum(events) FROM coverage"), distinct);
    let verdict = wait(verify(&lake)).unwrap();
    assert_eq!(verdict.problems, []);
    assert_eq!(verdict.accepted, totals.distinct);
}

#[test]
fn a_second_run_over_the_same_files_reads_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = (dir.path().join("logs"), dir.path().join("lake"));
    write_estate(estate::estate(4, 12, 4, 600), &logs);
    let first = replay(&settings(&lake, 1 << 20), std::slice::from_ref(&logs)).unwrap();
    let again = replay(&settings(&lake, 1 << 20), &[logs]).unwrap();
    assert!(first.elements("accepted") > 0);
    assert_eq!(again.elements("elements"), 0);
    assert_eq!(wait(verify(&lake)).unwrap().problems, []);
}

#[test]
fn tables_that_a_crash_left_behind_are_rolled_forward() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = (dir.path().join("logs"), dir.path().join("lake"));
    let totals = write_estate(estate::estate(5, 12, 4, 600), &logs);
    replay(&settings(&lake, 100_000), std::slice::from_ref(&logs)).unwrap();
    // A crash between the ledger's put and a table's commit: the table's last commits are gone.
    for table in ["activity", "epochs", "usage"] {
        let log = lake.join("tables").join(table).join("_delta_log");
        let mut commits: Vec<PathBuf> = fs::read_dir(&log)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
            .collect();
        commits.sort();
        fs::remove_file(commits.last().unwrap()).unwrap();
    }
    let problems = wait(verify(&lake)).unwrap().problems;
    assert!(
        problems
            .iter()
            .any(|problem| problem.reason.contains("does not show"))
    );
    replay(&settings(&lake, 100_000), &[logs]).unwrap();
    assert_eq!(wait(verify(&lake)).unwrap().problems, []);
    let rows = count(&lake, "SELECT count(*) FROM activity");
    assert_eq!(rows, totals.distinct as i64);
}

#[test]
fn an_interrupted_run_continues_to_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    write_estate(estate::estate(6, 20, 8, 2_000), &logs);
    let (straight, stopped) = (dir.path().join("straight"), dir.path().join("stopped"));
    replay(&settings(&straight, 150_000), std::slice::from_ref(&logs)).unwrap();
    // The second lake gets the files in three runs; each run but the last stops before the end of the input.
    let mut files: Vec<PathBuf> = fs::read_dir(&logs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for share in [3, 2, 1] {
        let part: Vec<PathBuf> = files[..files.len() / share].to_vec();
        let mut settings = settings(&stopped, 90_000);
        settings.finite = share == 1;
        replay(&settings, &part).unwrap();
    }
    let digests = "SELECT count(*) FROM (SELECT _row_digest FROM activity UNION ALL SELECT _row_digest FROM findings \
                   UNION ALL SELECT _row_digest FROM identities UNION ALL SELECT _row_digest FROM amendments)";
    assert_eq!(count(&straight, digests), count(&stopped, digests));
    let all = |lake: &Path| {
        use arrow::array::AsArray;
        wait(async {
            let session = Session::open(lake).await.unwrap();
            let sql = "SELECT _row_digest FROM activity UNION ALL SELECT _row_digest FROM identities \
                       UNION ALL SELECT _row_digest FROM amendments";
            let (_, batches) = session.sql(sql).await.unwrap();
            let mut digests: Vec<Vec<u8>> = Vec::new();
            for batch in &batches {
                let column =
                    arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Binary)
                        .unwrap();
                let column = column.as_binary::<i32>();
                digests.extend(column.iter().map(|digest| digest.unwrap().to_vec()));
            }
            digests.sort();
            digests
        })
    };
    assert_eq!(all(&straight), all(&stopped));
    assert_eq!(wait(verify(&stopped)).unwrap().problems, []);
}

#[test]
fn a_changed_byte_is_found_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = (dir.path().join("logs"), dir.path().join("lake"));
    write_estate(estate::estate(7, 12, 3, 400), &logs);
    replay(&settings(&lake, 80_000), &[logs]).unwrap();
    let mut files = Vec::new();
    list(&lake, &mut files);
    let data: Vec<PathBuf> = files
        .into_iter()
        .filter(|path| !path.to_string_lossy().contains("_delta_log"))
        .collect();
    assert!(data.len() > 30);
    // Every third: tests/it/tamper.rs has the others.
    for (turn, path) in data.iter().enumerate().step_by(3) {
        let before = fs::read(path).unwrap();
        let mut after = before.clone();
        let at = (turn * 7_919) % after.len();
        after[at] ^= 1 << (turn % 8);
        fs::write(path, &after).unwrap();
        let verdict = wait(verify(&lake)).unwrap();
        assert!(!verdict.problems.is_empty(), "{} byte {at}", path.display());
        fs::write(path, &before).unwrap();
    }
    assert_eq!(wait(verify(&lake)).unwrap().problems, []);
}

#[test]
fn another_job_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = (dir.path().join("logs"), dir.path().join("lake"));
    write_estate(estate::estate(8, 12, 2, 200), &logs);
    replay(&settings(&lake, 1 << 20), std::slice::from_ref(&logs)).unwrap();
    let mut other = settings(&lake, 1 << 20);
    other.job = "other".to_owned();
    let error = replay(&other, &[logs]).unwrap_err();
    assert!(
        matches!(error, PipelineError::Lake(LakeError::ForeignJob { .. })),
        "{error}"
    );
}

#[test]
fn two_writers_cannot_both_commit_an_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    let lake = dir.path().join("lake");
    let totals = write_estate(estate::estate(9, 20, 8, 2_500), &logs);
    let results: Vec<_> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let (settings, logs) = (settings(&lake, 60_000), logs.clone());
                scope.spawn(move || replay(&settings, &[logs]).map(|_| ()))
            })
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect()
    });
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(
            matches!(error, PipelineError::Lake(_)),
            "a loser stops with a reason: {error}"
        );
    }
    // Whoever stopped, the next run finishes, and nothing is there twice.
    replay(&settings(&lake, 60_000), &[logs]).unwrap();
    assert_eq!(wait(verify(&lake)).unwrap().problems, []);
    let rows = count(&lake, "SELECT count(*) FROM activity");
    assert_eq!(rows, totals.distinct as i64);
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, files);
        } else {
            files.push(path);
        }
    }
}
