//! Staging, committing and recovering epochs: the writer's side of the lake.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow::record_batch::RecordBatch;

use super::ledger::{InputRange, Ledger, Manifest, NO_HASH, TableFiles};
use super::log::{Growth, Integrity, Log};
use super::rows::Leaves;
use super::stage::{StagedTable, Staging};
use super::tables::{self, LakeTable};
use super::upkeep::{self, Keeper};
use super::{LakeError, Place, inbox, state};
use crate::engine::{EpochContext, EvidenceEpoch, State};
use crate::evidence::{self, Epochs, EpochsRow, Rows, Table};
use crate::failpoint;
use crate::model::{ReadTo, hex, sha256};

/// The writer's end of a lake. There is one per job; a second one loses at the first put.
#[derive(Debug)]
pub struct Lake {
    pub(super) staging: Staging,
    pub(super) job: String,
    pub(super) ledger: Ledger,
    pub(super) tables: Vec<LakeTable>,
    pub(super) keeper: Keeper,
    pub(super) last_epoch: i64,
    last_hash: String,
    /// The epoch that last added to each table.
    last_adds: BTreeMap<String, i64>,
    pub(super) base_epoch: i64,
    snapshot_epochs: i64,
    tree_size: i64,
    /// None if the lake is not signed.
    pub(super) log: Option<Log>,
}

/// What a restart found.
#[derive(Debug)]
pub struct Recovered {
    pub epoch: i64,
    /// How far every partition was read that ever was, by cluster, topic and partition.
    pub positions: BTreeMap<(String, String, i32), ReadTo>,
    /// Table commits that the ledger had decided and a crash had prevented.
    pub tables_moved: usize,
    /// Files of the statements that any epoch took.
    pub statements: BTreeSet<String>,
}

/// An epoch whose files are written and whose manifest is not: nothing of it is true yet.
#[derive(Debug)]
pub struct Pending {
    manifest: Manifest,
    growth: Option<Growth>,
}

impl Pending {
    /// The manifest that will be put.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

impl Lake {
    /// Opens the lake that `data` names, creating it if it is empty, and finishes what a crash has left undone.
    pub async fn open(
        data: &Path,
        job: &str,
        snapshot_epochs: i64,
        integrity: &Integrity,
    ) -> Result<(Self, Recovered), LakeError> {
        Self::open_at(&Place::of(data)?, job, snapshot_epochs, integrity).await
    }

    /// Opens the lake at `root`, as [`Lake::open`] does.
    pub async fn open_at(
        root: &Place,
        job: &str,
        snapshot_epochs: i64,
        integrity: &Integrity,
    ) -> Result<(Self, Recovered), LakeError> {
        let writer = writer_name();
        if !root.local() {
            super::remote::check(root, &writer)?;
        }
        let ledger = Ledger::open(root)?;
        super::store::create_dir(&root.join("state"))?;
        let last_epoch = ledger.last_epoch()?;
        let mut lake = Self {
            keeper: Keeper::new(root, None),
            staging: Staging {
                root: root.clone(),
                writer,
            },
            job: job.to_owned(),
            tables: Vec::new(),
            last_epoch,
            last_hash: NO_HASH.to_owned(),
            last_adds: BTreeMap::new(),
            base_epoch: 0,
            snapshot_epochs: snapshot_epochs.max(1),
            tree_size: 0,
            log: None,
            ledger,
        };
        let mut recovered = Recovered {
            epoch: last_epoch,
            positions: BTreeMap::new(),
            tables_moved: 0,
            statements: BTreeSet::new(),
        };
        let manifests = lake.read_chain()?;
        failpoint::pass("recovery.chain-read");
        lake.tree_size = manifests.last().map_or(0, |last| last.tree_size);
        lake.log = Log::open(root, job, integrity, &manifests, &lake.last_hash)?;
        lake.tables = tables::open_all(root, job).await?;
        for manifest in &manifests {
            for input in &manifest.inputs {
                let partition = (input.cluster.clone(), input.topic.clone(), input.partition);
                let read = recovered.positions.entry(partition).or_default();
                read_on(read, input);
            }
            let taken = manifest.statements.iter();
            recovered
                .statements
                .extend(taken.map(|taken| taken.file.clone()));
            for files in &manifest.tables {
                lake.last_adds.insert(files.table.clone(), manifest.epoch);
            }
        }
        let mut moved = lake.roll_forward_all(&manifests).await?;
        let keys = lake.log.as_ref().map(Log::keys);
        let (keeper, records) = Keeper::recover(root, job, keys, &manifests)?;
        lake.keeper = keeper;
        for (table, replaced) in upkeep::roll_forward(&mut lake.tables, &records).await? {
            *moved.entry(table).or_default() += replaced;
        }
        recovered.tables_moved = moved.values().sum::<u64>() as usize;
        if let Some(log) = &mut lake.log {
            log.seal(last_epoch, &moved)?;
        }
        failpoint::pass("recovery.tables-moved");
        if let Some(last) = manifests.last() {
            lake.base_epoch = last.state.base_epoch;
        }
        Ok((lake, recovered))
    }

    /// Every manifest, checked to be an unbroken chain.
    fn read_chain(&mut self) -> Result<Vec<Manifest>, LakeError> {
        let mut manifests = Vec::new();
        for epoch in 1..=self.last_epoch {
            let (manifest, hash) = self.ledger.read(epoch)?;
            if manifest.prev_manifest_sha256 != self.last_hash {
                return Err(LakeError::Damaged {
                    what: self.ledger.path(epoch).display().to_string(),
                    reason: "it does not follow the manifest before it".to_owned(),
                });
            }
            if manifest.job != self.job {
                return Err(LakeError::ForeignJob {
                    found: manifest.job,
                    wanted: self.job.clone(),
                });
            }
            self.last_hash = hash;
            manifests.push(manifest);
        }
        Ok(manifests)
    }

    /// Makes every table hold what the ledger says it holds. Gives how many commits each needed.
    async fn roll_forward_all(
        &mut self,
        manifests: &[Manifest],
    ) -> Result<BTreeMap<&'static str, u64>, LakeError> {
        let mut moved = BTreeMap::new();
        for (table, schema) in self.tables.iter_mut().zip(crate::evidence::TABLES) {
            let at = table.epoch().await?;
            if at > self.last_epoch {
                return Err(ahead(&self.ledger, schema.name, at, self.last_epoch)?);
            }
            for manifest in manifests {
                if manifest.epoch <= at {
                    continue;
                }
                if let Some(files) = files_of(manifest, schema.name) {
                    check_staged(&self.staging.root, files)?;
                    if table.roll_forward(manifest, files).await? {
                        *moved.entry(schema.name).or_default() += 1;
                    }
                }
            }
        }
        Ok(moved)
    }

    /// The number of the epoch that comes next, and whether its state must be a full snapshot.
    pub const fn next(&self) -> (i64, bool) {
        let epoch = self.last_epoch + 1;
        let snapshot = self.base_epoch == 0 || epoch - self.base_epoch >= self.snapshot_epochs;
        (epoch, snapshot)
    }

    /// Where files go that nobody can see yet: those of an epoch can be begun while the one before is committed.
    pub const fn staging(&self) -> &Staging {
        &self.staging
    }

    /// Writes what is left of an epoch that readers cannot see yet, beside the files in `staged`. Does not change the
    /// lake.
    pub fn stage(
        &self,
        evidence: EvidenceEpoch,
        staged: Vec<StagedTable>,
        context: &EpochContext,
        inputs: Vec<InputRange>,
        (state, snapshot): (&State, bool),
    ) -> Result<Pending, LakeError> {
        debug_assert_eq!(context.epoch, self.last_epoch + 1);
        let inputs_json = serde_json::to_string(&inputs)
            .expect("input ranges are texts and numbers, which always have a JSON form");
        let counts_json = evidence.counts.to_json();
        let epoch = context.epoch;
        let mut staged = staged;
        self.stage_batches(&mut staged, &evidence.batches, epoch)?;
        let mut growth = self.log.as_ref().map(Log::grow);
        if let Some(growth) = &mut growth {
            self.grow(growth, &mut staged, evidence.tree_size - 1)?;
        }
        let root_hash = growth.as_ref().map(Growth::root);
        let mut epochs = Epochs::default();
        epochs.push(&EpochsRow {
            epoch,
            prev_hash: &self.last_hash,
            manifest_sha256: None,
            inputs_json: &inputs_json,
            counts_json: &counts_json,
            watermark_time: evidence.watermark,
            tree_size: evidence.tree_size,
            root_hash: root_hash.as_deref(),
            params_sha256: &evidence.params_sha256,
            build: build(),
            committed_time: context.now,
        });
        let row = epochs.finish(evidence::Ledger {
            epoch,
            first_leaf: evidence.tree_size - 1,
            step: 1,
        });
        self.stage_batches(&mut staged, &[(epochs.table(), row)], epoch)?;
        let own = staged.last().map(|epochs| epochs.leaves.as_slice());
        if let (Some(growth), Some([(_, digest)])) = (&mut growth, own) {
            growth.push(digest);
        }
        let tables = self.with_last_adds(staged);
        let base_epoch = if snapshot { epoch } else { self.base_epoch };
        let state = state::write(
            &self.staging.root,
            epoch,
            base_epoch,
            &self.staging.writer,
            state,
        )?;
        let manifest = Manifest {
            v: Manifest::form(),
            job: self.job.clone(),
            epoch,
            writer: self.staging.writer.clone(),
            prev_manifest_sha256: self.last_hash.clone(),
            created_ms: context.now.millis(),
            build: build().to_owned(),
            params_sha256: evidence.params_sha256,
            inputs,
            statements: context.statements.iter().map(inbox::input).collect(),
            counts_json,
            watermark_us: evidence.watermark.map(|time| time.0),
            idle: context.idle.iter().map(|lane| lane.to_string()).collect(),
            sealed: context.seal,
            tables,
            state,
            tree_size: evidence.tree_size,
            root_hash: growth.as_ref().map(Growth::root),
            key: self.log.as_ref().map(Log::key_number),
            upkeep: self.keeper.head(),
        };
        manifest.conserved().map_err(|reason| LakeError::Damaged {
            what: format!("epoch {epoch} before its commit"),
            reason,
        })?;
        Ok(Pending { manifest, growth })
    }

    /// Stages `batches` beside what is staged.
    fn stage_batches(
        &self,
        staged: &mut Vec<StagedTable>,
        batches: &[(&'static Table, RecordBatch)],
        epoch: i64,
    ) -> Result<(), LakeError> {
        for (table, batch) in batches {
            let mut rows = self.staging.begin(table, epoch);
            rows.add(batch)?;
            staged.extend(rows.finish()?);
        }
        Ok(())
    }

    /// Grows the tree by the rows that are staged, up to `size` leaves.
    fn grow(
        &self,
        growth: &mut Growth,
        staged: &mut [StagedTable],
        size: i64,
    ) -> Result<(), LakeError> {
        let places = [self.tree_size, size].map(|size| u64::try_from(size).unwrap_or(0));
        let mut leaves = Leaves::new(places[0], places[1]);
        for table in staged {
            leaves.add(std::mem::take(&mut table.leaves));
        }
        let leaves = leaves.finish().map_err(|reason| LakeError::Damaged {
            what: format!("epoch {} before its commit", self.last_epoch + 1),
            reason,
        })?;
        leaves.iter().for_each(|leaf| growth.push(leaf));
        Ok(())
    }

    /// The files that were staged, each table's with the epoch that last added to it.
    fn with_last_adds(&self, staged: Vec<StagedTable>) -> Vec<TableFiles> {
        let mut tables: Vec<TableFiles> = staged.into_iter().map(|table| table.files).collect();
        for files in &mut tables {
            files.prev_epoch_with_adds = self.last_adds.get(&files.table).copied().unwrap_or(0);
        }
        tables
    }

    /// Commits a staged epoch and makes it visible, the `epochs` table last.
    pub async fn commit(&mut self, pending: Pending) -> Result<Manifest, LakeError> {
        let Pending { manifest, growth } = pending;
        self.last_hash = self.ledger.commit(&manifest)?;
        self.last_epoch = manifest.epoch;
        self.base_epoch = manifest.state.base_epoch;
        self.tree_size = manifest.tree_size;
        // What can be proven follows from what is committed, and is written while the tables are.
        let writing = match (&mut self.log, growth) {
            (Some(log), Some(growth)) => {
                let grown = log.committed(growth, &manifest, &self.last_hash);
                Some(tokio::task::spawn_blocking(move || grown.write()))
            }
            _ => None,
        };
        for files in &manifest.tables {
            self.last_adds.insert(files.table.clone(), manifest.epoch);
        }
        let (epochs, others): (Vec<_>, Vec<_>) = self
            .tables
            .iter_mut()
            .zip(crate::evidence::TABLES)
            .filter_map(|(table, schema)| {
                files_of(&manifest, schema.name).map(|files| (table, files))
            })
            .partition(|(_, files)| files.table == "epochs");
        // Memory gains nothing from tables that move side by side, and one after the other is the same in every run.
        let (side_by_side, in_turn): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|_| !self.staging.root.in_process());
        let moves = side_by_side
            .into_iter()
            .map(|(table, files)| table.roll_forward(&manifest, files));
        futures::future::try_join_all(moves).await?;
        for (table, files) in in_turn {
            table.roll_forward(&manifest, files).await?;
        }
        failpoint::pass("epochs.before-row");
        for (table, files) in epochs {
            table.roll_forward(&manifest, files).await?;
        }
        if let Some(writing) = writing {
            writing
                .await
                .unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))?;
        }
        failpoint::pass("log.before-seal");
        if let Some(log) = &mut self.log {
            log.seal(manifest.epoch, &BTreeMap::new())?;
        }
        self.settle_upkeep(&manifest).await?;
        Ok(manifest)
    }
}

/// Moves `read` on by what one epoch has read. The last record stays where an epoch brought none.
fn read_on(read: &mut ReadTo, input: &InputRange) {
    read.next = input.to;
    read.last = input.last_record().or(read.last);
}

/// Why a table that stands after the ledger's end stops this writer: another one is at work, or the ledger has lost what
/// it had decided. Going on would commit that epoch again, and the table would take the old rows for the new ones.
fn ahead(ledger: &Ledger, table: &str, at: i64, last: i64) -> Result<LakeError, LakeError> {
    if super::store::exists(&ledger.path(at))? {
        return Ok(LakeError::Fenced { epoch: at });
    }
    Ok(LakeError::Damaged {
        what: format!("table {table}"),
        reason: format!("it stands at epoch {at}, and the ledger ends at {last}"),
    })
}

fn files_of<'a>(manifest: &'a Manifest, table: &str) -> Option<&'a TableFiles> {
    manifest.tables.iter().find(|files| files.table == table)
}

/// A staged file that is missing or changed must not become visible: stop and say so.
fn check_staged(root: &Place, files: &TableFiles) -> Result<(), LakeError> {
    for file in &files.files {
        let path = root
            .join(super::TABLES_DIR)
            .join(&files.table)
            .join(&file.path);
        let damaged = |reason: &str| LakeError::Damaged {
            what: path.display().to_string(),
            reason: reason.to_owned(),
        };
        let bytes = super::store::read(&path)?.ok_or_else(|| damaged("it is missing"))?;
        if hex(&sha256(&bytes)) != file.sha256 {
            return Err(damaged("its hash is not the one in the manifest"));
        }
    }
    Ok(())
}

/// Version of the program, as manifests name it.
pub(super) const fn build() -> &'static str {
    concat!("keytrail ", env!("CARGO_PKG_VERSION"))
}

/// A name that no other writer has: process and start time. It need not be secret, only different.
pub(super) fn writer_name() -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let text = format!("{} {}", std::process::id(), now.as_nanos());
    hex(&sha256(text.as_bytes())[..6])
}
