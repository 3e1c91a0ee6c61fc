//! Files that may go: staged by a writer that lost or crashed, replaced long ago, state that no start needs any more.
//!
//! A name decides, and then an age. What a table shows stays; so does everything that a manifest names and no record
//! took out, whether or not a table shows it yet. Nothing in the ledger is ever removed.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::ledger::Manifest;
use super::super::{Lake, LakeError, Place, TABLES_DIR, store};
use super::UpkeepParams;
use super::record::Record;
use crate::evidence::{TABLES, Table};
use crate::model::Micros;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Files that nobody named.
    pub orphans: u64,
    /// Files that others took the place of, or whose rows were removed.
    pub replaced: u64,
    /// State of epochs that no start needs.
    pub states: u64,
    pub bytes: u64,
}

/// A file that may be garbage.
#[derive(Debug)]
struct Candidate {
    folder: Place,
    /// Below that folder, as ledgers write it.
    path: String,
    bytes: u64,
}

impl Lake {
    /// Removes what nobody needs and is older than `garbage_age`.
    pub fn remove_garbage(&self, params: &UpkeepParams, now: Micros) -> Result<Garbage, LakeError> {
        let mut garbage = Garbage::default();
        let root = &self.staging.root;
        let age = Duration::from_micros(params.garbage_age.unsigned_abs());
        for table in TABLES {
            self.table_garbage(table, age, now, &mut garbage)?;
        }
        let needed = self.state_needed_from()?;
        for candidate in old_files(&root.join("state"), age)? {
            let name = file_name(&candidate.path);
            let Some(epoch) = number_after(&name, "epoch-") else {
                if half_written(&name) {
                    remove(&candidate, &mut garbage.orphans, &mut garbage.bytes)?;
                }
                continue;
            };
            if store::exists(&self.ledger.path(epoch))? {
                let (manifest, _) = self.ledger.read(epoch)?;
                let named = manifest.state.path.ends_with(&name);
                if !named {
                    remove(&candidate, &mut garbage.orphans, &mut garbage.bytes)?;
                } else if epoch < needed {
                    remove(&candidate, &mut garbage.states, &mut garbage.bytes)?;
                }
            } else if epoch <= self.last_epoch {
                remove(&candidate, &mut garbage.orphans, &mut garbage.bytes)?;
            }
        }
        Ok(garbage)
    }

    fn table_garbage(
        &self,
        table: &'static Table,
        age: Duration,
        now: Micros,
        garbage: &mut Garbage,
    ) -> Result<(), LakeError> {
        let folder = self.staging.root.join(TABLES_DIR).join(table.name);
        let visible: BTreeSet<&String> = self
            .keeper
            .visible
            .of(table)
            .map(|(path, _)| path)
            .collect();
        let candidates = old_files(&folder, age)?;
        let mut known = Vec::new();
        for candidate in candidates {
            let relative = candidate.path.clone();
            let name = file_name(&candidate.path);
            if visible.contains(&relative) || relative.starts_with("_delta_log") {
                continue;
            }
            if half_written(&name) {
                remove(&candidate, &mut garbage.orphans, &mut garbage.bytes)?;
            } else if self.decided(&name) {
                known.push((relative, candidate));
            }
        }
        let orphans = self.replaced_garbage(table, known, age, now, garbage)?;
        for (relative, candidate) in orphans {
            if !self.named(table, &file_name(&candidate.path), &relative)? {
                remove(&candidate, &mut garbage.orphans, &mut garbage.bytes)?;
            }
        }
        Ok(())
    }

    /// Whether the epoch or record that a file is of is decided: a writer may be about to commit one that is not there
    /// yet, however old its files are.
    fn decided(&self, name: &str) -> bool {
        let epoch = number_after(name, "part-").is_some_and(|epoch| epoch <= self.last_epoch);
        let next = self.keeper.log.next().0;
        epoch || number_after(name, "upkeep-").is_some_and(|number| number < next)
    }

    /// Whether the epoch or record that a file is of names it.
    fn named(&self, table: &Table, name: &str, path: &str) -> Result<bool, LakeError> {
        if let Some(epoch) = number_after(name, "part-") {
            let (manifest, _) = self.ledger.read(epoch)?;
            return Ok(names(&manifest, table, path));
        }
        let number = number_after(name, "upkeep-").unwrap_or(0);
        let record = self.keeper.log.read(number)?;
        let added = record.added.iter().any(|added| added.file.path == path);
        Ok(added && record.table == table.name)
    }

    /// Removes those that left their table long enough ago: a reader may still be in the middle of one. Gives back those
    /// of which no record says that they left.
    fn replaced_garbage(
        &self,
        table: &'static Table,
        mut named: Vec<(String, Candidate)>,
        age: Duration,
        now: Micros,
        garbage: &mut Garbage,
    ) -> Result<Vec<(String, Candidate)>, LakeError> {
        // What a removal names that waits for its manifest is shown still, and was sorted out with what is shown.
        let mut number = self.keeper.log.next().0 - 1;
        while number > 0 && !named.is_empty() {
            let record: Record = self.keeper.log.read(number)?;
            number -= 1;
            if record.table != table.name {
                continue;
            }
            let removed: BTreeSet<&String> = record.removed.iter().map(|file| &file.path).collect();
            let left = Micros::from_millis(record.created_ms);
            let old = left.plus(age.as_micros() as i64) <= now;
            let mut rest = Vec::new();
            for (path, candidate) in named {
                if !removed.contains(&path) {
                    rest.push((path, candidate));
                } else if old {
                    remove(&candidate, &mut garbage.replaced, &mut garbage.bytes)?;
                }
            }
            named = rest;
        }
        Ok(named)
    }

    /// The first epoch whose state is still of use: that of the snapshot before the one a start would read.
    fn state_needed_from(&self) -> Result<i64, LakeError> {
        if self.base_epoch <= 1 {
            return Ok(self.base_epoch);
        }
        let (before, _) = self.ledger.read(self.base_epoch - 1)?;
        Ok(before.state.base_epoch)
    }
}

fn names(manifest: &Manifest, table: &Table, path: &str) -> bool {
    manifest
        .tables
        .iter()
        .filter(|files| files.table == table.name)
        .any(|files| files.files.iter().any(|file| file.path == path))
}

/// Every file below `folder` that has not been written to for `age`.
fn old_files(folder: &Place, age: Duration) -> Result<Vec<Candidate>, LakeError> {
    let found = store::older_than(folder, age)?.into_iter();
    let candidates = found.map(|(path, bytes)| Candidate {
        folder: folder.clone(),
        path,
        bytes,
    });
    Ok(candidates.collect())
}

fn remove(candidate: &Candidate, files: &mut u64, bytes: &mut u64) -> Result<(), LakeError> {
    store::remove_below(&candidate.folder, &candidate.path)?;
    *files += 1;
    *bytes += candidate.bytes;
    Ok(())
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

/// Whether a name is that of a file which is put in place once it is whole.
fn half_written(name: &str) -> bool {
    name.contains('#')
}

/// The number of twelve digits after `prefix`.
fn number_after(name: &str, prefix: &str) -> Option<i64> {
    name.strip_prefix(prefix)?.get(..12)?.parse().ok()
}
