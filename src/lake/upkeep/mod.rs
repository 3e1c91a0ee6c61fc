//! The only compactor: small files become few, days become sorted, rows past their age and files without a name go.
//!
//! It belongs to the single writer. What it does is decided by a [record](Record) in `ledger/upkeep/`, put like a
//! manifest if nobody else put that number, and only while the writer's next epoch is still free; the tables are rolled
//! forward from it with a transaction of their own. So of two compactors exactly one wins, and a crash at any point
//! leaves either files that nobody names or a record that the next start finishes. Delta's own OPTIMIZE is never called:
//! it cannot be fenced, and two of them double every row.
//!
//! ```text
//! plan (what is due)  ─▶  run (read, check, sort, write, compare)  ─▶  finish (record, then the table)
//!  between epochs           beside the epochs that follow               between epochs
//! ```
//!
//! Rows stay what they are: every one is compared before and after, and [`verify`](super::verify()) finds each at its leaf
//! and knows from the records which file took whose place. Removing rows on purpose is the exception: such a record holds
//! what is gone, and takes effect only once a manifest names it. In a signed lake every record is signed, so that nobody
//! else can have rows go.

mod audit;
mod garbage;
mod merge;
mod plan;
mod record;
mod replace;
mod rewrite;
mod sums;
mod visible;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use super::ledger::Manifest;
use super::log::{KeyChain, Log as Signed};
use super::tables::LakeTable;
use super::{Lake, LakeError, Place, store};
use crate::failpoint;
use crate::model::Micros;

pub(super) use audit::Audit;
pub use garbage::Garbage;
pub(super) use record::Log as Records;
use record::Log;
pub use record::{AddedFile, Kind, Record, RemovedFile};
use rewrite::{Job, Rewritten};
pub(super) use visible::Visible as VisibleFiles;
use visible::Visible;

/// When what is done.
#[derive(Clone, Copy, Debug)]
pub struct UpkeepParams {
    /// How long after its end an hour is closed, in microseconds: its small files are merged then.
    pub merge_after: i64,
    /// How far the watermark must have passed a day's end for the day to be sealed, in microseconds.
    pub seal_after: i64,
    /// About how large a merged file becomes.
    pub target_bytes: u64,
    /// How long after having found nothing to do a running pipeline looks again, in microseconds.
    pub look_every: i64,
    /// A table gets a Delta checkpoint every so many commits.
    pub checkpoint_commits: u64,
    /// How old a file must be that nobody names, and how long a file stays that others took the place of, in microseconds.
    pub garbage_age: i64,
    /// How long after the end of their day raw records stay, in microseconds; for ever unless given.
    pub raw_events_age: Option<i64>,
}

/// What a plan depends on besides files.
#[derive(Clone, Copy, Debug)]
struct Clock {
    now: Micros,
    watermark: Option<Micros>,
    /// The input had ended when the last epoch was cut: nothing will join what is there.
    ended: bool,
}

/// What the writer knows of upkeep.
#[derive(Debug)]
pub(super) struct Keeper {
    log: Log,
    visible: Visible,
    /// The last record in effect about each table.
    last: BTreeMap<String, i64>,
    /// Removals of rows that wait for the manifest that names them.
    waiting: Vec<Record>,
    watermark: Option<Micros>,
    ended: bool,
}

/// A record in effect, and the one about the same table before it.
#[derive(Debug)]
pub(super) struct Effective {
    record: Record,
    before: i64,
}

/// Something that is to be done, and can be done in another thread.
#[derive(Debug)]
pub struct Task {
    job: Job,
    reason: String,
    done: Option<Rewritten>,
}

impl Task {
    /// Reads, checks and writes files that nobody sees yet. False if `stop` was raised: nothing is left behind then.
    pub fn run(&mut self, stop: &AtomicBool) -> Result<bool, LakeError> {
        self.done = self.job.run(stop)?;
        failpoint::pass("upkeep.written");
        Ok(self.done.is_some())
    }
}

/// What one act of upkeep came to.
#[derive(Clone, Debug)]
pub struct Act {
    pub kind: Kind,
    pub table: &'static str,
    pub files_before: usize,
    pub files_after: usize,
    pub rows: i64,
    /// Another writer did something first: nothing was changed.
    pub lost: bool,
}

impl Keeper {
    /// Of a lake of which nothing is known yet. Its records are signed with `keys`, if it is signed.
    pub(super) fn new(root: &Place, keys: Option<&KeyChain>) -> Self {
        Self {
            log: Log::none(root, keys),
            visible: Visible::default(),
            last: BTreeMap::new(),
            waiting: Vec::new(),
            watermark: None,
            ended: false,
        }
    }

    /// What records and manifests say about the files of the lake in `root`. Also gives the records in effect.
    pub(super) fn recover(
        root: &Place,
        job: &str,
        keys: Option<&KeyChain>,
        manifests: &[Manifest],
    ) -> Result<(Self, Vec<Effective>), LakeError> {
        let mut keeper = Self::new(root, keys);
        let records = keeper.log.refresh(Some(job))?;
        for manifest in manifests {
            keeper.see(manifest);
        }
        let covered = covered(manifests.last());
        let mut effective = Vec::new();
        for record in records {
            if record.kind == Kind::Remove && record.number > covered {
                keeper.waiting.push(record);
            } else {
                let before = keeper.apply(&record)?;
                effective.push(Effective { record, before });
            }
        }
        Ok((keeper, effective))
    }

    fn see(&mut self, manifest: &Manifest) {
        self.visible.add_epoch(manifest);
        self.watermark = manifest.watermark_us.map(Micros);
        self.ended = manifest.sealed;
    }

    /// Puts a record into effect here. Gives the one about the same table before it, 0 if there was none.
    fn apply(&mut self, record: &Record) -> Result<i64, LakeError> {
        self.visible
            .apply(record)
            .map_err(|reason| LakeError::Damaged {
                what: self.log.path(record.number).display().to_string(),
                reason,
            })?;
        let before = self.last.insert(record.table.clone(), record.number);
        Ok(before.unwrap_or(0))
    }

    /// The last record, for the next manifest.
    pub(super) fn head(&self) -> Option<super::ledger::UpkeepHead> {
        self.log.head()
    }
}

/// The last record that `manifest` names.
pub(super) fn covered(manifest: Option<&Manifest>) -> i64 {
    manifest
        .and_then(|manifest| manifest.upkeep.as_ref())
        .map_or(0, |head| head.number)
}

/// Makes every table show what `records` say.
pub(super) async fn roll_forward(
    tables: &mut [LakeTable],
    records: &[Effective],
) -> Result<BTreeMap<&'static str, u64>, LakeError> {
    let mut moved = BTreeMap::new();
    for table in tables {
        let at = table.upkeep().await?;
        let name = table.name();
        for Effective { record, before } in records {
            if record.table == name && record.number > at {
                let replaced = u64::from(table.replace(record, *before).await?);
                *moved.entry(name).or_default() += replaced;
            }
        }
    }
    Ok(moved)
}

impl Lake {
    /// What is to be done as of `now`, if anything is.
    pub fn plan_upkeep(&self, params: &UpkeepParams, now: Micros) -> Option<Task> {
        // What waits for a manifest is the last word until then.
        if !self.keeper.waiting.is_empty() {
            return None;
        }
        let clock = Clock {
            now,
            watermark: self.keeper.watermark,
            ended: self.keeper.ended,
        };
        let plan = plan::next(&self.keeper.visible, params, &clock)?;
        Some(Task {
            job: Job {
                root: self.staging.root.clone(),
                writer: self.staging.writer.clone(),
                table: plan.table,
                kind: plan.kind,
                number: self.keeper.log.next().0,
                files: plan.files,
                target_bytes: params.target_bytes,
            },
            reason: plan.reason,
            done: None,
        })
    }

    /// Whether rows are to go once the next manifest has said so.
    pub fn upkeep_waits(&self) -> bool {
        !self.keeper.waiting.is_empty()
    }

    /// Decides what a task has done, and makes its table show it.
    pub async fn finish_upkeep(&mut self, task: Task, now: Micros) -> Result<Act, LakeError> {
        let Task { job, reason, done } = task;
        let Some(done) = done else {
            return Ok(act(&job, 0, 0, true));
        };
        let paths: Vec<String> = done
            .added
            .iter()
            .map(|added| added.file.path.clone())
            .collect();
        // Whoever commits epochs is the writer, and nobody else touches files.
        let epoch = self.last_epoch + 1;
        if store::exists(&self.ledger.path(epoch))? {
            job.discard(&paths);
            return Err(LakeError::Fenced { epoch });
        }
        let (number, prev_sha256) = self.keeper.log.next();
        if number != job.number {
            job.discard(&paths);
            return Ok(act(&job, 0, 0, true));
        }
        let record = Record {
            v: Record::form(),
            job: self.job.clone(),
            number,
            writer: job.writer.clone(),
            prev_sha256: prev_sha256.clone(),
            epoch: self.last_epoch,
            created_ms: now.millis(),
            build: super::commit::build().to_owned(),
            table: job.table.name.to_owned(),
            kind: job.kind,
            reason,
            schema_sha256: job.files[0].schema_sha256.clone(),
            removed: job.files.iter().map(visible::removed_form).collect(),
            added: done.added,
            rows: done.rows,
            rows_sum: done.rows_sum,
            leaves: done.leaves,
            key: self.log.as_ref().map(Signed::key_number),
        };
        self.keeper
            .visible
            .check(&record)
            .map_err(|reason| LakeError::Damaged {
                what: format!("upkeep of {} before its commit", record.table),
                reason,
            })?;
        let key = self.log.as_ref().map(Signed::key);
        if !self.keeper.log.put(&record, key)? {
            job.discard(&paths);
            self.follow_others().await?;
            return Ok(act(&job, 0, 0, true));
        }
        let act = act(&job, record.added.len(), record.rows, false);
        if record.kind == Kind::Remove {
            self.keeper.waiting.push(record);
        } else {
            self.show(record).await?;
        }
        Ok(act)
    }

    /// Learns what another writer's upkeep has done.
    async fn follow_others(&mut self) -> Result<(), LakeError> {
        let job = self.job.clone();
        for record in self.keeper.log.refresh(Some(&job))? {
            if record.kind == Kind::Remove {
                self.keeper.waiting.push(record);
            } else {
                self.show(record).await?;
            }
        }
        Ok(())
    }

    async fn show(&mut self, record: Record) -> Result<(), LakeError> {
        let before = self.keeper.apply(&record)?;
        roll_forward(&mut self.tables, &[Effective { record, before }]).await?;
        self.seal_tables()
    }

    fn seal_tables(&mut self) -> Result<(), LakeError> {
        match &mut self.log {
            Some(log) => log.seal(self.last_epoch, &BTreeMap::new()),
            None => Ok(()),
        }
    }

    /// Takes in what an epoch has brought, and lets rows go whose removal its manifest names.
    pub(super) async fn settle_upkeep(&mut self, manifest: &Manifest) -> Result<(), LakeError> {
        self.keeper.see(manifest);
        let covered = covered(Some(manifest));
        let waiting = std::mem::take(&mut self.keeper.waiting);
        let (due, waiting) = waiting
            .into_iter()
            .partition(|record| record.number <= covered);
        self.keeper.waiting = waiting;
        for record in due {
            self.show(record).await?;
        }
        Ok(())
    }

    /// Gives one table that has had enough commits a Delta checkpoint. Gives its name, if one was due.
    ///
    /// The error says why a checkpoint could not be written. The table's commits stand all the same: it is tried again
    /// after as many more of them.
    pub async fn checkpoint(
        &mut self,
        params: &UpkeepParams,
    ) -> Result<Option<&'static str>, LakeError> {
        for table in &mut self.tables {
            if table.checkpoint(params.checkpoint_commits).await? {
                let name = table.name();
                self.seal_tables()?;
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

fn act(job: &Job, files_after: usize, rows: i64, lost: bool) -> Act {
    Act {
        kind: job.kind,
        table: job.table.name,
        files_before: job.files.len(),
        files_after,
        rows,
        lost,
    }
}
