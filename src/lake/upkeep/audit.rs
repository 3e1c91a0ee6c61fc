//! What a verification must know of upkeep: which files may be gone, and which a table must show.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::ledger::Manifest;
use super::super::{LakeError, stage};
use super::record::{Kind, Log, Record};
use super::rewrite::{next_batch, open_checked};
use super::sums::Sums;
use super::visible::{Visible, VisibleFile};
use crate::evidence::Table;
use crate::model::hex;

/// The records of a lake, held against its manifests and its files.
#[derive(Debug)]
pub(in crate::lake) struct Audit {
    log: Log,
    records: Vec<Record>,
    /// By table and path: others took its place, or its rows were removed.
    left: BTreeSet<(String, String)>,
    /// What the manifests say.
    staged: Visible,
    /// The last record that a manifest names.
    covered: i64,
    /// The last record there was when this began.
    last: i64,
}

impl Audit {
    /// Reads the records of the lake in `root`.
    pub(in crate::lake) fn open(root: &Path) -> Result<Self, LakeError> {
        let (log, records) = Log::open(root, None)?;
        let mut audit = Self {
            last: log.next().0 - 1,
            log,
            records: Vec::new(),
            left: BTreeSet::new(),
            staged: Visible::default(),
            covered: 0,
        };
        audit.take(records);
        Ok(audit)
    }

    fn take(&mut self, records: Vec<Record>) {
        for record in &records {
            for file in &record.removed {
                self.left.insert((record.table.clone(), file.path.clone()));
            }
        }
        self.records.extend(records);
    }

    /// Reads records that were put since: a table that was read after the ledger may be ahead of it.
    pub(in crate::lake) fn refresh(&mut self) -> Result<(), LakeError> {
        let records = self.log.refresh(None)?;
        self.take(records);
        Ok(())
    }

    /// Whether a file that a manifest names may be gone.
    pub(in crate::lake) fn left(&self, table: &str, path: &str) -> bool {
        self.left.contains(&(table.to_owned(), path.to_owned()))
    }

    /// Takes in the next manifest. The error says how it contradicts the records.
    pub(in crate::lake) fn see(&mut self, manifest: &Manifest) -> Result<(), String> {
        self.staged.add_epoch(manifest);
        let covered = super::covered(Some(manifest));
        if covered < self.covered {
            return Err(format!(
                "it names upkeep {covered}, but {} came before it",
                self.covered
            ));
        }
        self.covered = covered;
        match &manifest.upkeep {
            Some(head) if !self.log.holds(head) => Err(format!(
                "record {} of upkeep is not the one it names",
                head.number
            )),
            _ => Ok(()),
        }
    }

    /// The files that `table` must show when it says that it stands at record `at`. Files that cannot be explained are
    /// named in `wrong`.
    pub(in crate::lake) fn expected(
        &self,
        table: &Table,
        at: i64,
        wrong: &mut Vec<(String, String)>,
    ) -> Visible {
        let mut shown = self.staged.only(table);
        for record in self
            .records
            .iter()
            .filter(|record| record.table == table.name)
        {
            let effective = record.kind != Kind::Remove || record.number <= self.covered;
            // What came while this was reading counts if the table shows it already.
            if !effective || record.number > at.max(self.last) {
                continue;
            }
            if let Err(reason) = shown.apply(record) {
                let what = self.log.path(record.number).display().to_string();
                wrong.push((what, reason));
            }
        }
        shown
    }

    /// Reads the files of `shown` that upkeep wrote, and holds their rows against what their records say.
    pub(in crate::lake) fn check_rows(
        &self,
        root: &Path,
        table: &'static Table,
        shown: &Visible,
        wrong: &mut Vec<(String, String)>,
    ) {
        for record in self
            .records
            .iter()
            .filter(|record| record.table == table.name)
        {
            let files: Vec<&VisibleFile> = record
                .added
                .iter()
                .filter_map(|added| shown.get(table, &added.file.path))
                .collect();
            if files.is_empty() {
                continue;
            }
            // A run leaves as a whole.
            let whole = files.len() == record.added.len();
            match sums(root, table, &files) {
                Err(error) => {
                    let what = stage::full_path(root, table, &files[0].file.path);
                    wrong.push((what.display().to_string(), error.to_string()));
                }
                Ok(sums) if whole && hex(&sums.ledger) == record.rows_sum => (),
                Ok(_) => {
                    let what = self.log.path(record.number).display().to_string();
                    let reason = "the rows of its files are not those it took over".to_owned();
                    wrong.push((what, reason));
                }
            }
        }
    }

    /// The records by which rows were removed on purpose: each names the leaves that are gone. Only those that a manifest
    /// covers.
    pub(in crate::lake) fn removals(&self) -> impl Iterator<Item = &Record> {
        self.records
            .iter()
            .filter(|record| record.kind == Kind::Remove && record.number <= self.covered)
    }
}

fn sums(root: &Path, table: &'static Table, files: &[&VisibleFile]) -> Result<Sums, LakeError> {
    let mut sums = Sums::default();
    for file in files {
        let mut reader = open_checked(root, table, &file.file.path, &file.file.sha256)?;
        while let Some(batch) = next_batch(&mut reader, table)? {
            sums.add(&batch)?;
        }
    }
    Ok(sums)
}
