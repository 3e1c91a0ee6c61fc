//! `keytrail verify`: does the lake still say what the ledger says it said?
//!
//! Checked: the chain of manifests, contiguous offsets, the conservation law, state files, every staged file's size
//! and hash, leaf numbers, and each table's visible files against the manifests. The first thing that is wrong is
//! named first. Signatures and the Merkle tree are not written yet, so a forger who rewrites every manifest after the
//! one they change is not found; `src/docs/architecture.md` says what will.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use super::ledger::{Ledger, Manifest, NO_HASH, TableFiles};
use super::tables::{LakeTable, has_log};
use super::upkeep::Audit;
use super::{LakeError, TABLES_DIR, state, store};
use crate::evidence::TABLES;
use crate::model::{hex, sha256};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, table or partition.
    pub what: String,
    pub epoch: i64,
    pub reason: String,
}

/// What a verification came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    pub epochs: i64,
    pub files: u64,
    pub bytes: u64,
    pub rows: i64,
    /// Of those, rows that were removed on purpose: a record of upkeep says which and why.
    pub removed: i64,
    pub elements: u64,
    pub accepted: u64,
    pub duplicate: u64,
    pub rejected: u64,
    pub ignored: u64,
    pub head: String,
    pub problems: Vec<Problem>,
}

impl Verdict {
    fn wrong(&mut self, epoch: i64, what: impl Into<String>, reason: impl Into<String>) {
        self.problems.push(Problem {
            what: what.into(),
            epoch,
            reason: reason.into(),
        });
    }
}

/// Verifies the lake in `root`. Reads every file of it.
pub async fn verify(root: &Path) -> Result<Verdict, LakeError> {
    let mut verdict = Verdict::default();
    if !root.join("ledger").is_dir() {
        verdict.wrong(0, root.display().to_string(), "there is no lake here");
        return Ok(verdict);
    }
    let ledger = Ledger::open(root)?;
    let last = ledger.last_epoch()?;
    verdict.head = NO_HASH.to_owned();
    let mut next_offset = BTreeMap::new();
    let mut tree_size = 0;
    let mut upkeep = match Audit::open(root) {
        Ok(upkeep) => upkeep,
        Err(error) => {
            verdict.wrong(last, "upkeep", error.to_string());
            return Ok(verdict);
        }
    };
    // State of epochs before the last snapshot is of no use to any start, and may be gone.
    let base_epoch = ledger
        .read(last)
        .map_or(0, |(manifest, _)| manifest.state.base_epoch);
    let mut job = String::new();
    for epoch in 1..=last {
        let (manifest, hash) = match ledger.read(epoch) {
            Ok(read) => read,
            Err(error) => {
                verdict.wrong(
                    epoch,
                    ledger.path(epoch).display().to_string(),
                    error.to_string(),
                );
                continue;
            }
        };
        if manifest.prev_manifest_sha256 != verdict.head {
            verdict.wrong(
                epoch,
                "manifest",
                "it does not follow the manifest before it",
            );
        }
        verdict.head = hash;
        verdict.epochs = epoch;
        job.clone_from(&manifest.job);
        check_inputs(&manifest, &mut next_offset, &mut verdict);
        check_leaves(&manifest, &mut tree_size, &mut verdict);
        if let Err(reason) = upkeep.see(&manifest) {
            verdict.wrong(epoch, "manifest", reason);
        }
        let needed = epoch >= base_epoch || root.join(&manifest.state.path).exists();
        if needed && let Err(error) = state::read_one(root, &manifest.state) {
            verdict.wrong(epoch, manifest.state.path.clone(), error.to_string());
        }
        for files in &manifest.tables {
            check_files(root, &manifest, files, &upkeep, &mut verdict);
        }
    }
    check_tables(root, &job, last, &mut upkeep, &mut verdict).await?;
    for record in upkeep.removals() {
        let leaves: i64 = record.leaves.iter().map(|[_, _, count]| count).sum();
        if leaves != record.rows {
            let what = format!("upkeep {}", record.number);
            verdict.wrong(record.epoch, what, "it names other leaves than rows");
        }
        verdict.removed += record.rows;
    }
    Ok(verdict)
}

fn check_inputs(
    manifest: &Manifest,
    next_offset: &mut BTreeMap<(String, String, i32), i64>,
    verdict: &mut Verdict,
) {
    if let Err(reason) = manifest.conserved() {
        verdict.wrong(manifest.epoch, "conservation", reason);
    }
    for input in &manifest.inputs {
        let key = (input.cluster.clone(), input.topic.clone(), input.partition);
        if let Some(next) = next_offset.insert(key, input.to)
            && next != input.from
        {
            let what = format!("{}/{}", input.topic, input.partition);
            let reason = format!("continues at offset {}, but {next} came next", input.from);
            verdict.wrong(manifest.epoch, what, reason);
        }
        verdict.elements += input.counts.elements;
        verdict.accepted += input.counts.accepted;
        verdict.duplicate += input.counts.duplicate;
        verdict.rejected += input.counts.rejected;
        verdict.ignored += input.counts.ignored;
    }
}

/// Leaves of an epoch are numbered without a gap, and every row has one.
fn check_leaves(manifest: &Manifest, tree_size: &mut i64, verdict: &mut Verdict) {
    let rows: i64 = manifest.tables.iter().map(|files| files.rows).sum();
    if manifest.tree_size != *tree_size + rows {
        let reason = format!(
            "{} leaves after {rows} rows on top of {}",
            manifest.tree_size, tree_size
        );
        verdict.wrong(manifest.epoch, "leaves", reason);
    }
    *tree_size = manifest.tree_size;
    let accepted: u64 = manifest
        .inputs
        .iter()
        .map(|input| input.counts.accepted)
        .sum();
    let activity: i64 = manifest
        .tables
        .iter()
        .filter(|files| files.table == "activity")
        .map(|files| files.rows)
        .sum();
    if accepted != activity.unsigned_abs() {
        let reason = format!("{accepted} accepted elements but {activity} rows");
        verdict.wrong(manifest.epoch, "activity", reason);
    }
}

fn check_files(
    root: &Path,
    manifest: &Manifest,
    files: &TableFiles,
    upkeep: &Audit,
    verdict: &mut Verdict,
) {
    let folder = root.join(TABLES_DIR).join(&files.table);
    let mut rows = 0;
    for file in &files.files {
        rows += file.rows;
        let what = format!("{}/{}", files.table, file.path);
        match store::read(&folder.join(&file.path)) {
            Ok(Some(bytes)) => {
                verdict.files += 1;
                verdict.bytes += bytes.len() as u64;
                if hex(&sha256(&bytes)) != file.sha256 {
                    let reason = "its hash is not the one in the manifest";
                    verdict.wrong(manifest.epoch, what, reason);
                }
            }
            Ok(None) if upkeep.left(&files.table, &file.path) => (),
            Ok(None) => verdict.wrong(manifest.epoch, what, "it is missing"),
            Err(error) => verdict.wrong(manifest.epoch, what, error.to_string()),
        }
    }
    if rows != files.rows {
        let reason = format!("{} rows, but its files hold {rows}", files.rows);
        verdict.wrong(manifest.epoch, files.table.clone(), reason);
    }
    verdict.rows += rows;
}

/// Each table must show exactly the files of the manifests and those that upkeep put in their place, and stand at the last
/// epoch that added to it.
async fn check_tables(
    root: &Path,
    job: &str,
    last: i64,
    upkeep: &mut Audit,
    verdict: &mut Verdict,
) -> Result<(), LakeError> {
    for table in TABLES {
        let mut wrong = Vec::new();
        if !has_log(&root.join(TABLES_DIR).join(table.name)) {
            let wanted = upkeep.expected(table, 0, &mut wrong);
            if wanted.of(table).next().is_some() {
                verdict.wrong(last, table.name, "its Delta log is missing");
            }
            continue;
        }
        let opened = match LakeTable::open(root, table, job).await {
            Ok(opened) => opened,
            Err(error) => {
                verdict.wrong(last, table.name, error.to_string());
                continue;
            }
        };
        let visible: BTreeMap<String, u64> = opened
            .visible_files()?
            .into_iter()
            .map(|(path, size)| (path, size.unsigned_abs()))
            .collect();
        upkeep.refresh()?;
        let shown = upkeep.expected(table, opened.upkeep().await?, &mut wrong);
        upkeep.check_rows(root, table, &shown, &mut wrong);
        for (what, reason) in wrong {
            verdict.wrong(last, what, reason);
        }
        let wanted: BTreeMap<String, u64> = shown
            .of(table)
            .map(|(path, file)| (path.clone(), file.file.size))
            .collect();
        let paths: BTreeSet<&String> = wanted.keys().chain(visible.keys()).collect();
        for path in paths {
            let what = format!("{}/{path}", table.name);
            match (wanted.get(path), visible.get(path)) {
                (Some(a), Some(b)) if a != b => {
                    verdict.wrong(
                        last,
                        what,
                        "the table gives it another size than the manifest",
                    );
                }
                (Some(_), None) => verdict.wrong(last, what, "the table does not show it"),
                // Committed while this was reading: the next verification judges it.
                (None, Some(_)) if newer(root, path, last) => (),
                (None, Some(_)) => verdict.wrong(last, what, "no manifest names it"),
                _ => (),
            }
        }
    }
    Ok(())
}

/// Whether the file says that it is of an epoch after `last`, and that epoch is committed: a forged file cannot hide
/// behind a number that no manifest has.
fn newer(root: &Path, path: &str, last: i64) -> bool {
    let epoch = path
        .rsplit('/')
        .next()
        .and_then(|name| name.strip_prefix("part-")?.get(..12)?.parse::<i64>().ok());
    epoch.is_some_and(|epoch| {
        epoch > last && Ledger::open(root).is_ok_and(|ledger| ledger.path(epoch).is_file())
    })
}
