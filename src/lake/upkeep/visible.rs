//! Which files each table shows, by what the ledger says: the files of every manifest, less what records of upkeep took
//! out, and what they put in their place. No table and no folder is asked.

use std::collections::BTreeMap;

use super::super::ledger::{Manifest, StagedFile};
use super::record::{Kind, Record, RemovedFile};
use crate::evidence::{TABLES, Table};

/// One file that a table shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lake) struct VisibleFile {
    pub(in crate::lake) file: StagedFile,
    pub(in crate::lake) schema_sha256: String,
    /// The epochs of its rows.
    pub(in crate::lake) epoch_min: i64,
    pub(in crate::lake) epoch_max: i64,
    /// When the epoch was cut; of a run, when the last of its epochs was.
    pub(super) created_ms: i64,
    /// The record that wrote it, and whether that sealed a day. Files of one record are one run: sorted, and their key
    /// ranges one after the other in the order of their paths.
    pub(super) run: Option<(i64, Kind)>,
}

/// Files by table and path.
#[derive(Clone, Debug, Default)]
pub(in crate::lake) struct Visible {
    tables: BTreeMap<&'static str, BTreeMap<String, VisibleFile>>,
}

impl Visible {
    /// The files of one more epoch.
    pub(in crate::lake) fn add_epoch(&mut self, manifest: &Manifest) {
        for files in &manifest.tables {
            let Some(table) = crate::evidence::table(&files.table) else {
                continue;
            };
            let known = self.tables.entry(table.name).or_default();
            for file in &files.files {
                known.insert(
                    file.path.clone(),
                    VisibleFile {
                        file: file.clone(),
                        schema_sha256: files.schema_sha256.clone(),
                        epoch_min: manifest.epoch,
                        epoch_max: manifest.epoch,
                        created_ms: manifest.created_ms,
                        run: None,
                    },
                );
            }
        }
    }

    /// Whether `record` can follow: the error names the first file that it could not have removed.
    pub(super) fn check(&self, record: &Record) -> Result<(), String> {
        let Some(table) = crate::evidence::table(&record.table) else {
            return Err(format!("there is no table {:?}", record.table));
        };
        let nothing = BTreeMap::new();
        let known = self.tables.get(table.name).unwrap_or(&nothing);
        let mut rows = 0;
        for removed in &record.removed {
            let Some(file) = known.get(&removed.path) else {
                return Err(format!("the table did not show {}", removed.path));
            };
            if removed_form(file) != *removed || file.schema_sha256 != record.schema_sha256 {
                return Err(format!("{} was another file", removed.path));
            }
            rows += removed.rows;
        }
        if let Some(added) = record
            .added
            .iter()
            .find(|added| known.contains_key(&added.file.path))
        {
            return Err(format!("the table shows {} already", added.file.path));
        }
        let added: i64 = record.added.iter().map(|added| added.file.rows).sum();
        let kept = match record.kind {
            Kind::Merge | Kind::Seal => added == rows,
            Kind::Remove => record.added.is_empty(),
        };
        if rows != record.rows || !kept {
            return Err(format!("{rows} rows became {added}"));
        }
        Ok(())
    }

    /// Takes out what `record` removed and puts in what it added. Changes nothing if it cannot follow.
    pub(in crate::lake) fn apply(&mut self, record: &Record) -> Result<(), String> {
        self.check(record)?;
        let Some(table) = crate::evidence::table(&record.table) else {
            return Ok(());
        };
        let known = self.tables.entry(table.name).or_default();
        let mut created_ms = i64::MIN;
        for removed in &record.removed {
            let file = known.remove(&removed.path);
            created_ms = created_ms.max(file.map_or(i64::MIN, |file| file.created_ms));
        }
        for added in &record.added {
            let file = VisibleFile {
                file: added.file.clone(),
                schema_sha256: record.schema_sha256.clone(),
                epoch_min: added.epoch_min,
                epoch_max: added.epoch_max,
                created_ms,
                run: Some((record.number, record.kind)),
            };
            known.insert(added.file.path.clone(), file);
        }
        Ok(())
    }

    /// The files of `table`, by path.
    pub(in crate::lake) fn of<'a>(
        &'a self,
        table: &Table,
    ) -> impl Iterator<Item = (&'a String, &'a VisibleFile)> + use<'a> {
        self.tables.get(table.name).into_iter().flatten()
    }

    /// The file at `path`.
    pub(in crate::lake) fn get(&self, table: &Table, path: &str) -> Option<&VisibleFile> {
        self.tables.get(table.name)?.get(path)
    }

    /// Every table with its files.
    pub(super) fn tables(
        &self,
    ) -> impl Iterator<Item = (&'static Table, &BTreeMap<String, VisibleFile>)> {
        TABLES
            .into_iter()
            .filter_map(|table| Some((table, self.tables.get(table.name)?)))
    }
}

/// The file as a record names one that it removes.
pub(super) fn removed_form(file: &VisibleFile) -> RemovedFile {
    RemovedFile {
        path: file.file.path.clone(),
        size: file.file.size,
        rows: file.file.rows,
        sha256: file.file.sha256.clone(),
    }
}
