//! Delta tables, rolled forward from the ledger. Every commit carries the epoch as its transaction version, so that
//! doing it twice is the same as doing it once, and every error means "look again", never "try blindly".

use std::collections::HashMap;

use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, FinalizedCommit};
use deltalake::kernel::{Action, Add, StructType, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError, TableProperty};
use serde_json::{Value, json};

use super::ledger::{Manifest, StagedFile, TableFiles};
use super::{LakeError, Place, TABLES_DIR, store};
use crate::evidence::{TABLES, Table};
use crate::failpoint;
use crate::telemetry::Event;

/// How often a commit is looked at again before it is given up. Each look rereads the table.
pub(super) const LOOKS_MAX: usize = 5;

/// Tag of an `add` in which upkeep says the SHA-256 of a file that no manifest names.
pub(super) const SHA256_TAG: &str = "keytrail.sha256";

/// One Delta table of the lake.
#[derive(Debug)]
pub(super) struct LakeTable {
    table: &'static Table,
    pub(super) app_id: String,
    pub(super) delta: DeltaTable,
    /// The version at which a Delta checkpoint was last written or tried; none before the first look.
    pub(super) checkpoint_tried: Option<u64>,
}

impl LakeTable {
    /// Opens the table, or creates it empty.
    pub(super) async fn open(
        root: &Place,
        table: &'static Table,
        job: &str,
    ) -> Result<Self, LakeError> {
        let failed = |source| LakeError::Delta {
            table: table.name,
            source: Box::new(source),
        };
        let folder = root.join(TABLES_DIR).join(table.name);
        store::create_dir(&folder)?;
        // A commit whose folder could not be synced is seen, and a power cut takes it away.
        store::create_dir(&folder.join("_delta_log"))?;
        let mut delta = unloaded(&folder)?.map_err(failed)?;
        if has_log(&folder)? {
            delta.load().await.map_err(failed)?;
        } else if let Err(error) = create(&mut delta, table).await {
            // It may have been created nevertheless, by us or by another.
            delta.load().await.map_err(|_| failed(error))?;
        }
        Ok(Self {
            table,
            app_id: format!("keytrail/{job}/{}", table.name),
            checkpoint_tried: Some(checkpointed(&folder)?),
            delta,
        })
    }

    /// Gives the table the columns that this build knows and the one that created it did not.
    pub(super) async fn upgrade(&mut self) -> Result<(), LakeError> {
        self.delta = super::schema::upgrade(self.delta.clone(), self.table).await?;
        Ok(())
    }

    /// The last epoch that this table holds.
    pub(super) async fn epoch(&self) -> Result<i64, LakeError> {
        Ok(self.transaction(&self.app_id).await?.unwrap_or(0))
    }

    /// The last version that `app_id` committed.
    pub(super) async fn transaction(&self, app_id: &str) -> Result<Option<i64>, LakeError> {
        let snapshot = self
            .delta
            .snapshot()
            .map_err(|e| self.failed(e))?
            .snapshot();
        let log = self.delta.log_store();
        snapshot
            .transaction_version(log.as_ref(), app_id)
            .await
            .map_err(|e| self.failed(e))
    }

    /// The table's name.
    pub(super) const fn name(&self) -> &'static str {
        self.table.name
    }

    /// Makes `files` of `manifest` visible, once. Gives whether there was anything to do.
    pub(super) async fn roll_forward(
        &mut self,
        manifest: &Manifest,
        files: &TableFiles,
    ) -> Result<bool, LakeError> {
        let mut last_error = None;
        for _ in 0..LOOKS_MAX {
            if let Err(error) = self.delta.update_state().await {
                last_error = Some(error);
                continue;
            }
            let at = self.epoch().await?;
            if at >= manifest.epoch {
                return Ok(last_error.is_some());
            }
            if at != files.prev_epoch_with_adds {
                return Err(LakeError::Hole {
                    table: self.table.name,
                    found: at,
                    wanted: manifest.epoch,
                });
            }
            failpoint::pass("table.before-commit");
            match self.commit(manifest, files).await {
                Ok(()) => {
                    failpoint::pass("table.committed");
                    return Ok(true);
                }
                Err(error) => last_error = Some(self.told(error)),
            }
        }
        Err(self.gave_up(last_error))
    }

    async fn commit(
        &mut self,
        manifest: &Manifest,
        files: &TableFiles,
    ) -> Result<(), DeltaTableError> {
        let transaction = Transaction::new(&self.app_id, manifest.epoch);
        let properties = CommitProperties::default()
            .with_application_transaction(transaction)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false))
            .with_metadata([("keytrail.epoch".to_owned(), Value::from(manifest.epoch))]);
        let partition_by: Vec<String> = self
            .table
            .partition_by
            .iter()
            .map(|column| (*column).to_owned())
            .collect();
        let actions = files
            .files
            .iter()
            .map(|file| Action::Add(add(manifest, file)))
            .collect();
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: (!partition_by.is_empty()).then_some(partition_by),
            predicate: None,
        };
        let snapshot = self.delta.snapshot()?.snapshot().clone();
        let committed = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(&snapshot), self.delta.log_store(), operation)
            .await?;
        self.shows(&committed);
        Ok(())
    }

    /// Takes over what the table shows after a commit of ours: the next look then has nothing to read.
    pub(super) fn shows(&mut self, committed: &FinalizedCommit) {
        self.delta.state = Some(committed.snapshot());
    }

    /// Paths of the files that readers see, with their sizes.
    pub(super) fn visible_files(&self) -> Result<Vec<(String, i64)>, LakeError> {
        let snapshot = self.delta.snapshot().map_err(|e| self.failed(e))?;
        Ok(snapshot
            .log_data()
            .iter()
            .map(|file| (file.path().to_string(), file.size()))
            .collect())
    }

    /// Says that a commit did not go through and is looked at again.
    pub(super) fn told(&self, error: DeltaTableError) -> DeltaTableError {
        let reason = error.to_string();
        Event::TableRetried {
            table: self.table.name,
            reason: &reason,
        }
        .tell();
        error
    }

    /// Why a commit that was looked at so often is given up.
    pub(super) fn gave_up(&self, last: Option<DeltaTableError>) -> LakeError {
        self.failed(
            last.unwrap_or_else(|| DeltaTableError::generic("the commit was never seen to arrive")),
        )
    }

    pub(super) fn failed(&self, source: DeltaTableError) -> LakeError {
        LakeError::Delta {
            table: self.table.name,
            source: Box::new(source),
        }
    }
}

/// Opens or creates every table of the lake, in the order of the registry.
pub(super) async fn open_all(root: &Place, job: &str) -> Result<Vec<LakeTable>, LakeError> {
    let mut tables = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        let mut opened = LakeTable::open(root, table, job).await?;
        opened.upgrade().await?;
        tables.push(opened);
        failpoint::pass("recovery.table-opened");
    }
    Ok(tables)
}

/// The table in `folder`, before anything of it is read. Delta writes through the lake's own store: its own local one
/// syncs nothing.
pub(crate) fn unloaded(folder: &Place) -> Result<Result<DeltaTable, DeltaTableError>, LakeError> {
    let url = folder.folder_url()?;
    Ok(DeltaTableBuilder::from_url(url.clone())
        .and_then(|builder| builder.with_storage_backend(folder.store(), url).build()))
}

/// Whether the folder holds a Delta log.
pub(crate) fn has_log(folder: &Place) -> Result<bool, LakeError> {
    store::holds_files(&folder.join("_delta_log"))
}

/// The version of the table's last Delta checkpoint; the first version if there is none.
fn checkpointed(folder: &Place) -> Result<u64, LakeError> {
    let hint = store::read(&folder.join("_delta_log/_last_checkpoint"))?.unwrap_or_default();
    let hint: Value = serde_json::from_slice(&hint).unwrap_or_default();
    Ok(hint["version"].as_u64().unwrap_or(0))
}

async fn create(delta: &mut DeltaTable, table: &'static Table) -> Result<(), DeltaTableError> {
    let schema = table.schema();
    let columns: StructType = schema.as_ref().try_into_kernel()?;
    *delta = delta
        .clone()
        .create()
        .with_table_name(table.name)
        .with_comment(table.doc.trim())
        .with_columns(columns.fields().cloned())
        .with_partition_columns(table.partition_by.iter().copied())
        .with_configuration_property(TableProperty::AppendOnly, Some("true"))
        // Commit files are evidence: by default they would be removed after thirty days.
        .with_configuration_property(TableProperty::EnableExpiredLogCleanup, Some("false"))
        // Keeps log content out of the statistics in the log.
        .with_configuration_property(
            TableProperty::DataSkippingStatsColumns,
            Some("_epoch,_leaf"),
        )
        .await?;
    Ok(())
}

fn add(manifest: &Manifest, file: &StagedFile) -> Add {
    let stats = json!({
        "numRecords": file.rows,
        "minValues": { "_epoch": manifest.epoch, "_leaf": file.leaf_min },
        "maxValues": { "_epoch": manifest.epoch, "_leaf": file.leaf_max },
        "nullCount": { "_epoch": 0, "_leaf": 0 },
    });
    let partition_values: HashMap<String, Option<String>> = file
        .partition_values
        .iter()
        .map(|(column, value)| (column.clone(), Some(value.clone())))
        .collect();
    Add {
        path: file.path.clone(),
        partition_values,
        size: i64::try_from(file.size).unwrap_or(i64::MAX),
        modification_time: manifest.created_ms,
        data_change: true,
        stats: Some(stats.to_string()),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    }
}
