//! Which files each table shows, by its own log read strictly: every commit must be one that the writer sealed.
//!
//! Which rows are in those files is another question, asked in `placed`: upkeep may move rows from file to file.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::signatures::Sealed;
use super::upkeep::Records;
use super::{Read, Seen, Verdict};
use crate::evidence::{TABLES, Table};
use crate::lake::log::{Files, HINT, commit_name, is_checkpoint};
use crate::lake::tables::{SHA256_TAG, unloaded};
use crate::lake::{LakeError, Place, TABLES_DIR};
use crate::model::{hex, sha256};

/// A file that a table shows, or showed.
#[derive(Clone, Debug)]
pub(super) struct ShownFile {
    pub(super) table: &'static Table,
    /// Below the table's folder.
    pub(super) path: String,
    pub(super) partition_values: BTreeMap<String, String>,
    pub(super) size: u64,
    pub(super) sha256: Option<String>,
    /// The epoch that staged it; the last one for a compacted file.
    pub(super) epoch: i64,
    leaves: Option<(u64, u64)>,
}

impl ShownFile {
    /// First and last leaf of its rows, as far as that is known.
    pub(super) const fn leaves(&self) -> Option<(u64, u64)> {
        self.leaves
    }
}

/// Reads the logs of all tables and holds them to seals and manifests.
pub(super) async fn tables(
    root: &Place,
    files: &Files,
    seen: &Seen,
    sealed: &Sealed,
    (last, read): (i64, &[Read]),
    records: &Records,
    verdict: &mut Verdict,
) -> Result<Vec<ShownFile>, LakeError> {
    let mut shown = Vec::new();
    for table in TABLES {
        let staged = staged(table, read);
        let mut log = Log {
            table,
            files,
            sealed,
            last,
            shown: BTreeMap::new(),
            removed: BTreeSet::new(),
        };
        let hint = seen.hints.get(table.name);
        let head = log.read(verdict)?;
        let problems = verdict.problems.len();
        log.checkpoints(hint.map(Vec::as_slice), verdict)?;
        let sound = verdict.problems.len() == problems;
        if head.is_none() && !staged.is_empty() {
            let what = format!("tables/{}/_delta_log", table.name);
            verdict.wrong(last, what, "its Delta log is missing");
        }
        if let Some(head) = head
            && hint.is_some()
            && sound
        {
            log.as_readers_see(root, head, verdict).await;
        }
        compare(&mut log, &staged, records, verdict);
        shown.extend(log.shown.into_values());
    }
    Ok(shown)
}

/// The files that manifests name in a table, by path.
fn staged(table: &'static Table, read: &[Read]) -> BTreeMap<String, ShownFile> {
    let mut staged = BTreeMap::new();
    for Read { manifest, .. } in read {
        let of_table = manifest
            .tables
            .iter()
            .filter(|files| files.table == table.name);
        for file in of_table.flat_map(|files| &files.files) {
            let shown = ShownFile {
                table,
                path: file.path.clone(),
                partition_values: file.partition_values.clone(),
                size: file.size,
                sha256: Some(file.sha256.clone()),
                epoch: manifest.epoch,
                leaves: Some((file.leaf_min.unsigned_abs(), file.leaf_max.unsigned_abs())),
            };
            staged.insert(file.path.clone(), shown);
        }
    }
    staged
}

/// Holds what a table shows to what manifests say that it was given.
fn compare(
    log: &mut Log<'_>,
    staged: &BTreeMap<String, ShownFile>,
    records: &Records,
    verdict: &mut Verdict,
) {
    for (path, file) in staged {
        let what = format!("tables/{}/{path}", log.table.name);
        match log.shown.get_mut(path) {
            None if log.removed.contains(path) => (),
            None => verdict.wrong(file.epoch, what, "the table does not show it"),
            Some(shown) => {
                if shown.size != file.size || shown.partition_values != file.partition_values {
                    let reason = "the table says another size or partition than the manifest";
                    verdict.wrong(file.epoch, what, reason);
                }
                *shown = file.clone();
            }
        }
    }
    for (path, file) in &log.shown {
        if !staged.contains_key(path) {
            records.explain(file, verdict);
        }
    }
}

struct Log<'a> {
    table: &'static Table,
    files: &'a Files,
    sealed: &'a Sealed,
    last: i64,
    shown: BTreeMap<String, ShownFile>,
    removed: BTreeSet<String>,
}

impl Log<'_> {
    fn what(&self, name: &str) -> String {
        format!("tables/{}/_delta_log/{name}", self.table.name)
    }

    /// Reads the commits up to the last that is sealed, or all of them where nothing is. Gives the last.
    fn read(&mut self, verdict: &mut Verdict) -> Result<Option<u64>, LakeError> {
        let sealed = self.sealed.heads.get(self.table.name).copied();
        let mut last = None;
        for version in 0.. {
            if sealed.is_some_and(|sealed| version > sealed && !self.sealed.broken) {
                break;
            }
            let name = commit_name(version);
            let Some(bytes) = self.files.read_table_log(self.table.name, &name)? else {
                if sealed.is_some_and(|sealed| version <= sealed) {
                    verdict.wrong(self.last, self.what(&name), "it is missing");
                    if sealed > Some(version) {
                        continue;
                    }
                }
                break;
            };
            self.check(&name, &bytes, verdict);
            let actions: Result<Vec<Value>, _> = bytes
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
                .map(serde_json::from_slice)
                .collect();
            match actions {
                Ok(actions) => actions.iter().for_each(|action| self.apply(action)),
                Err(error) => {
                    verdict.wrong(
                        self.last,
                        self.what(&name),
                        format!("it does not parse: {error}"),
                    );
                }
            }
            last = Some(version);
        }
        Ok(last)
    }

    /// Holds the checkpoints of the log to their seals, and the hint that points at the last.
    fn checkpoints(&self, hint: Option<&[u8]>, verdict: &mut Verdict) -> Result<(), LakeError> {
        let table = self.table.name;
        match hint {
            Some(hint) if self.sealed.count > 0 && !self.sealed.has_hint(table, hint) => {
                verdict.wrong(
                    self.last,
                    self.what(HINT),
                    "it is not the file that was sealed",
                );
            }
            None if self.sealed.hinted(table) => {
                verdict.wrong(self.last, self.what(HINT), "it is missing");
            }
            _ => (),
        }
        let sealed = self.sealed.files.keys().filter(|(of, _)| of == table);
        for (_, name) in sealed.filter(|(_, name)| is_checkpoint(name)) {
            match self.files.read_table_log(table, name)? {
                Some(bytes) => self.check(name, &bytes, verdict),
                None => verdict.wrong(self.last, self.what(name), "it is missing"),
            }
        }
        Ok(())
    }

    /// Holds a file of the log to its seal.
    fn check(&self, name: &str, bytes: &[u8], verdict: &mut Verdict) {
        verdict.files += 1;
        verdict.bytes += bytes.len() as u64;
        let key = (self.table.name.to_owned(), name.to_owned());
        match self.sealed.files.get(&key) {
            Some(sha256_then) if *sha256_then != hex(&sha256(bytes)) => {
                verdict.wrong(
                    self.last,
                    self.what(name),
                    "it is not the file that was sealed",
                );
            }
            None if self.sealed.count > 0 && !self.sealed.broken => {
                verdict.wrong(self.last, self.what(name), "it was never sealed");
            }
            _ => (),
        }
    }

    fn apply(&mut self, action: &Value) {
        if let Some(file) = self.add(&action["add"]) {
            self.shown.insert(file.path.clone(), file);
        }
        let remove = &action["remove"];
        if let Some(path) = remove["path"].as_str() {
            self.shown.remove(path);
            self.removed.insert(path.to_owned());
        }
    }

    fn add(&self, add: &Value) -> Option<ShownFile> {
        let stats: Value =
            serde_json::from_str(add["stats"].as_str().unwrap_or_default()).unwrap_or_default();
        let leaf = |end: &str| stats[end]["_leaf"].as_u64();
        let values = add["partitionValues"].as_object();
        Some(ShownFile {
            table: self.table,
            path: add["path"].as_str()?.to_owned(),
            partition_values: values
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            size: add["size"].as_u64().unwrap_or(0),
            sha256: add["tags"][SHA256_TAG].as_str().map(str::to_owned),
            epoch: self.last,
            leaves: leaf("minValues").zip(leaf("maxValues")),
        })
    }

    /// A table with a checkpoint of its log is read from that: it must show what the commits say.
    async fn as_readers_see(&self, root: &Place, head: u64, verdict: &mut Verdict) {
        let folder = root.join(TABLES_DIR).join(self.table.name);
        let what = format!("tables/{}/_delta_log/{HINT}", self.table.name);
        let Ok(opened) = unloaded(&folder) else {
            return;
        };
        let table = match opened {
            Ok(mut table) => table.load_version(head).await.map(|()| table),
            Err(error) => Err(error),
        };
        let seen = table.and_then(|table| {
            let snapshot = table.snapshot()?;
            let files = snapshot.log_data().into_iter();
            Ok(files
                .map(|file| file.path().to_string())
                .collect::<BTreeSet<_>>())
        });
        match seen {
            Ok(seen) if seen.iter().eq(self.shown.keys()) => (),
            Ok(_) => {
                let reason = "its checkpoint shows readers other files than the commits do";
                verdict.wrong(self.last, what, reason);
            }
            Err(error) => {
                verdict.wrong(self.last, what, format!("readers cannot open it: {error}"))
            }
        }
    }
}
