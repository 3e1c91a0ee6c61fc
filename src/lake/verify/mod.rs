//! `keytrail verify`: does the lake still say what the ledger says it said?
//!
//! Checked, in this order: keys and seals, the chain of manifests with offsets, conservation and state files, the signed
//! checkpoints, every tile of the tree against the roots, the records of upkeep, the tables' logs, every row against its
//! leaf, and that nothing lies in the ledger or in a table's log that nothing names. Problems are told in the order of
//! their epochs, the first one first, with table, file and row where they have one.
//!
//! What it cannot find: that the end of the lake was cut off by somebody who can sign, or that somebody signed another
//! lake with a key of their own. The first needs an anchor outside, the second a key that is known from outside.

mod manifests;
mod placed;
mod shown;
mod signatures;
mod strays;
mod tree;
mod upkeep;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::ledger::{Ledger, Manifest};
use super::log::{Files, HINT, KeyChain, LedgerKey};
use super::{LakeError, Place, store};
use crate::evidence::TABLES;
use crate::model::SourceGap;

/// How many problems are told one by one.
const PROBLEMS_MAX: usize = 1_000;

/// What is demanded of a lake beyond that it agrees with itself.
#[derive(Clone, Debug)]
pub struct Demands {
    /// The first key must be this one, `name+id+key`.
    pub key: Option<String>,
    /// The lake must have grown out of every checkpoint in this file.
    pub anchor: Option<PathBuf>,
    /// How long a writer may take to finish what it has begun: an epoch whose manifest is there and whose seal is not
    /// may be on its way, or a crash may have left it so.
    pub patience: Duration,
}

impl Default for Demands {
    fn default() -> Self {
        Self {
            key: None,
            anchor: None,
            patience: Duration::from_secs(5),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file below the lake, the table, the partition or what else it is.
    pub what: String,
    pub epoch: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Number of the row in its file, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    pub reason: String,
}

/// A gap that the ledger explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifiedGap {
    pub epoch: i64,
    pub topic: String,
    pub partition: i32,
    #[serde(flatten)]
    pub gap: SourceGap,
}

/// What a verification came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    pub epochs: i64,
    pub files: u64,
    pub bytes: u64,
    /// Rows that were read, recomputed and found at their leaves.
    pub rows: i64,
    /// Rows that were removed on purpose: a record of upkeep says which and why. Their leaves stay.
    pub retired: u64,
    pub elements: u64,
    pub accepted: u64,
    pub duplicate: u64,
    pub rejected: u64,
    pub ignored: u64,
    /// Offsets without a record: markers of transactions, records of aborted ones, compacted records.
    pub skipped: u64,
    /// Offsets that were never read because the source had lost them, and why that was accepted.
    pub gaps: Vec<VerifiedGap>,
    /// Hash of the last manifest.
    pub head: String,
    /// Leaves.
    pub tree_size: i64,
    /// Root of the tree; empty if the lake is not signed.
    pub root_hash: String,
    /// Keys that sign it, first to last.
    pub keys: Vec<LedgerKey>,
    /// Checkpoints outside that it agrees with.
    pub anchors: u64,
    pub problems: Vec<Problem>,
    /// Problems beyond those that are listed.
    pub more_problems: u64,
}

impl Verdict {
    fn wrong(&mut self, epoch: i64, what: impl Into<String>, reason: impl Into<String>) {
        self.add(Problem {
            what: what.into(),
            epoch,
            reason: reason.into(),
            ..Problem::default()
        });
    }

    fn add(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        } else {
            self.more_problems += 1;
        }
    }
}

/// What is there when a verification begins: a writer that goes on adds to it, and that is for the next one to judge.
struct Seen {
    last_epoch: i64,
    ledger_files: Vec<String>,
    /// Names in the log of each table.
    log_files: Vec<(&'static str, Vec<String>)>,
    /// By table: what points at the last checkpoint of its log.
    hints: BTreeMap<&'static str, Vec<u8>>,
}

impl Seen {
    fn look(files: &Files, ledger: &Ledger) -> Result<Self, LakeError> {
        let mut seen = Self {
            ledger_files: files.walk()?,
            last_epoch: ledger.last_epoch()?,
            log_files: Vec::new(),
            hints: BTreeMap::new(),
        };
        for table in TABLES {
            let names = files.list_table_log(table.name)?;
            seen.log_files.push((table.name, names));
            let hint = files.read_table_log(table.name, HINT)?;
            seen.hints.extend(hint.map(|hint| (table.name, hint)));
        }
        Ok(seen)
    }
}

/// A manifest with its hash.
struct Read {
    manifest: Manifest,
    sha256: String,
}

/// Verifies the lake that `data` names. Reads every file of it.
pub async fn verify(data: &Path) -> Result<Verdict, LakeError> {
    verify_at(&Place::of(data)?, &Demands::default()).await
}

/// Verifies the lake at `root` and what is demanded of it.
pub async fn verify_at(root: &Place, demands: &Demands) -> Result<Verdict, LakeError> {
    let mut verdict = Verdict::default();
    if !store::holds_files(&root.join("ledger"))? {
        verdict.wrong(0, root.display().to_string(), "there is no lake here");
        return Ok(verdict);
    }
    let files = Files::new(root);
    let ledger = Ledger::open(root)?;
    let seen = Seen::look(&files, &ledger)?;
    let chain = signatures::keys(&files, demands, &mut verdict)?;
    let sealed = signatures::settled(&files, &chain, &seen, demands.patience, &mut verdict)?;
    let last = seen.last_epoch.max(sealed.epoch);
    let read = manifests::check(root, &ledger, last, &mut verdict)?;
    if last > 0 && chain.keys.is_empty() {
        let reason = "nothing is signed: whoever can write the lake can alter it unnoticed";
        let was = read.iter().any(|read| read.manifest.key.is_some());
        if was {
            let what = format!("ledger/{}", KeyChain::name(1));
            verdict.wrong(1, what, format!("it is missing or no key: {reason}"));
        } else {
            verdict.wrong(1, "ledger", reason);
        }
    }
    let corrected = if chain.keys.is_empty() {
        None
    } else {
        signatures::checkpoints(&files, &chain, &read, &mut verdict)?;
        signatures::key_file(root, &chain, &mut verdict)?;
        Some(tree::check(&files, &read, &mut verdict)?)
    };
    let records = upkeep::check(root, &chain, &read, &mut verdict)?;
    let shown = shown::tables(
        root,
        &files,
        &seen,
        &sealed,
        (last, &read),
        &records,
        &mut verdict,
    )
    .await?;
    let corrected = corrected.as_ref();
    placed::check(
        root,
        &files,
        corrected,
        &read,
        &shown,
        &records.retired,
        &mut verdict,
    );
    if !chain.keys.is_empty() {
        strays::check(&seen, &sealed, (last, records.last), &read, &mut verdict);
    }
    if let Some(anchor) = &demands.anchor {
        signatures::anchors(&files, anchor, &chain, &read, &mut verdict)?;
    }
    verdict.problems.sort_by_key(|problem| problem.epoch);
    Ok(verdict)
}

/// The epoch whose rows have `leaf`.
fn epoch_of(read: &[Read], leaf: u64) -> i64 {
    let leaf = i64::try_from(leaf).unwrap_or(i64::MAX);
    let index = read.partition_point(|read| read.manifest.tree_size <= leaf);
    read.get(index).map_or(0, |read| read.manifest.epoch)
}
