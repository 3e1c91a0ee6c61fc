//! A table made to show what a record of upkeep says, and Delta checkpoints of it.

use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, Remove, Transaction};
use deltalake::protocol::DeltaOperation;
use deltalake::{DeltaTableError, checkpoints};
use serde_json::{Value, json};

use super::super::LakeError;
use super::super::ledger::StagedFile;
use super::super::tables::{LOOKS_MAX, LakeTable, SHA256_TAG};
use super::record::{AddedFile, Record};
use crate::failpoint;

impl LakeTable {
    /// The last record of upkeep that this table shows.
    pub(in crate::lake) async fn upkeep(&self) -> Result<i64, LakeError> {
        Ok(self.transaction(&self.upkeep_id()).await?.unwrap_or(0))
    }

    /// Upkeep counts apart from epochs: it never touches the epochs' transaction.
    fn upkeep_id(&self) -> String {
        format!("{}/upkeep", self.app_id)
    }

    /// Shows the files that `record` added instead of those that it removed, once. `before` is the record that the table
    /// must show until then. Gives whether there was anything to do.
    pub(super) async fn replace(
        &mut self,
        record: &Record,
        before: i64,
    ) -> Result<bool, LakeError> {
        let mut last_error = None;
        for _ in 0..LOOKS_MAX {
            if let Err(error) = self.delta.update_state().await {
                last_error = Some(error);
                continue;
            }
            let at = self.upkeep().await?;
            if at >= record.number {
                return Ok(last_error.is_some());
            }
            if at != before {
                return Err(LakeError::Hole {
                    table: self.name(),
                    found: at,
                    wanted: record.number,
                });
            }
            self.must_show(record)?;
            match self.commit_upkeep(record).await {
                Ok(()) => {
                    failpoint::pass("upkeep.shown");
                    return Ok(true);
                }
                Err(error) => last_error = Some(self.told(error)),
            }
        }
        Err(self.gave_up(last_error))
    }

    /// Files that are to be removed must be there: Delta itself does not ask.
    fn must_show(&self, record: &Record) -> Result<(), LakeError> {
        let visible = self.visible_files()?;
        let visible: std::collections::BTreeMap<&str, i64> = visible
            .iter()
            .map(|(path, size)| (path.as_str(), *size))
            .collect();
        for removed in &record.removed {
            if visible.get(removed.path.as_str()).copied() != i64::try_from(removed.size).ok() {
                return Err(LakeError::Damaged {
                    what: format!("{}/{}", record.table, removed.path),
                    reason: format!("the table does not show it before upkeep {}", record.number),
                });
            }
        }
        Ok(())
    }

    async fn commit_upkeep(&mut self, record: &Record) -> Result<(), DeltaTableError> {
        let transaction = Transaction::new(self.upkeep_id(), record.number);
        let properties = CommitProperties::default()
            .with_application_transaction(transaction)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false))
            .with_metadata([("keytrail.upkeep".to_owned(), Value::from(record.number))]);
        let values = record
            .added
            .first()
            .map(|added| &added.file.partition_values);
        let removes = record.removed.iter().map(|file| {
            let values = values.map(partition_values);
            Action::Remove(Remove {
                path: file.path.clone(),
                // Rows moved, or are past their age: no reader who follows changes has anything to do.
                data_change: false,
                deletion_timestamp: Some(record.created_ms),
                extended_file_metadata: values.is_some().then_some(true),
                partition_values: values,
                size: i64::try_from(file.size).ok(),
                tags: None,
                deletion_vector: None,
                base_row_id: None,
                default_row_commit_version: None,
            })
        });
        let adds = record
            .added
            .iter()
            .map(|file| Action::Add(add(record, file)));
        let operation = DeltaOperation::Optimize {
            predicate: None,
            target_size: 0,
        };
        let snapshot = self.delta.snapshot()?.snapshot().clone();
        let committed = CommitBuilder::from(properties)
            .with_actions(removes.chain(adds).collect())
            .build(Some(&snapshot), self.delta.log_store(), operation)
            .await?;
        self.shows(&committed);
        Ok(())
    }

    /// Writes a Delta checkpoint if there were `commits` of them since the last. Gives whether it did.
    pub(super) async fn checkpoint(&mut self, commits: u64) -> Result<bool, LakeError> {
        let version = self.delta.version().unwrap_or(0);
        let since = *self.checkpoint_tried.get_or_insert(version);
        if version < since + commits {
            return Ok(false);
        }
        // Whatever comes of it, the next try is after as many commits.
        self.checkpoint_tried = Some(version);
        self.delta
            .update_state()
            .await
            .map_err(|error| self.failed(error))?;
        checkpoints::create_checkpoint(&self.delta, None)
            .await
            .map_err(|error| self.failed(error))?;
        failpoint::pass("upkeep.checkpointed");
        Ok(true)
    }
}

fn partition_values(
    values: &std::collections::BTreeMap<String, String>,
) -> std::collections::HashMap<String, Option<String>> {
    values
        .iter()
        .map(|(column, value)| (column.clone(), Some(value.clone())))
        .collect()
}

fn add(record: &Record, added: &AddedFile) -> Add {
    let file: &StagedFile = &added.file;
    let stats = json!({
        "numRecords": file.rows,
        "minValues": { "_epoch": added.epoch_min, "_leaf": file.leaf_min },
        "maxValues": { "_epoch": added.epoch_max, "_leaf": file.leaf_max },
        "nullCount": { "_epoch": 0, "_leaf": 0 },
    });
    Add {
        path: file.path.clone(),
        partition_values: partition_values(&file.partition_values),
        size: i64::try_from(file.size).unwrap_or(i64::MAX),
        modification_time: record.created_ms,
        data_change: false,
        stats: Some(stats.to_string()),
        tags: Some(std::collections::HashMap::from([(
            SHA256_TAG.to_owned(),
            Some(file.sha256.clone()),
        )])),
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    }
}
