//! The ledger: one manifest per epoch, chained by hash. A manifest that exists is a commit; nothing else is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{LakeError, io, store};
use crate::engine::LaneCounts;
use crate::model::{LastRecord, SourceGap, hex, sha256, unhex};

/// Stands in the first manifest where the hash of the one before would stand.
pub(super) const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The version of the manifest's form.
const FORM: u32 = 1;

/// Everything that became true with one epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub v: u32,
    pub job: String,
    pub epoch: i64,
    /// Tells two writers apart that put the same epoch.
    pub writer: String,
    pub prev_manifest_sha256: String,
    pub created_ms: i64,
    pub build: String,
    pub params_sha256: String,
    pub inputs: Vec<InputRange>,
    /// Totals with their reasons, as the `epochs` row has them.
    pub counts_json: String,
    pub watermark_us: Option<i64>,
    /// Lanes that were read to their end and silent.
    pub idle: Vec<String>,
    /// Whether the input had ended.
    pub sealed: bool,
    pub tables: Vec<TableFiles>,
    pub state: StateFile,
    pub tree_size: i64,
}

/// What was read of one partition: `to − from = records + skipped + gaps`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRange {
    pub cluster: String,
    pub topic: String,
    pub partition: i32,
    pub from: i64,
    /// Exclusive.
    pub to: i64,
    pub bytes: u64,
    /// Offsets without a record: transaction markers, compacted records, records of aborted transactions.
    pub skipped: u64,
    /// Offsets that the source had lost before they were read, and that somebody accepted as lost.
    pub gaps: Vec<SourceGap>,
    /// Offset of the last record; none if there was no record.
    pub last_offset: Option<i64>,
    /// Hash of that record, hexadecimal, as `RawRecord::sha256` gives it: a restart looks whether it is there still.
    pub last_record_sha256: Option<String>,
    pub counts: PartitionCounts,
}

impl InputRange {
    /// Whether every offset and every element is accounted for, and every gap has a place and a reason.
    fn conserved(&self) -> Result<(), String> {
        let wrong = |what: String| Err(format!("{}/{}: {what}", self.topic, self.partition));
        let span = u64::try_from(self.to - self.from).unwrap_or(0);
        let gaps: u64 = self.gaps.iter().map(SourceGap::span).sum();
        let (records, skipped) = (self.counts.records, self.skipped);
        if span != records + skipped + gaps {
            return wrong(format!(
                "{span} offsets but {records} records, {skipped} skipped and {gaps} in gaps"
            ));
        }
        let mut at = self.from;
        for gap in &self.gaps {
            let placed = at <= gap.from && gap.from < gap.to && gap.to <= self.to;
            if !placed || gap.reason.is_empty() {
                return wrong(format!(
                    "a gap from {} to {} without a place or a reason",
                    gap.from, gap.to
                ));
            }
            at = gap.to;
        }
        if !self.counts.balanced() {
            return wrong(format!("{:?} does not add up", self.counts));
        }
        Ok(())
    }

    /// The last record of the range, if it had one.
    pub fn last_record(&self) -> Option<LastRecord> {
        Some(LastRecord {
            offset: self.last_offset?,
            sha256: unhex(self.last_record_sha256.as_deref()?)?,
        })
    }
}

/// Elements of one partition by what they came to: `elements = accepted + duplicate + rejected + ignored`.
pub type PartitionCounts = LaneCounts;

/// The files that an epoch adds to one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFiles {
    pub table: String,
    pub rows: i64,
    /// The epoch that last added to this table; 0 if none did.
    pub prev_epoch_with_adds: i64,
    pub files: Vec<StagedFile>,
}

/// One parquet file, written before it is visible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile {
    /// Relative to the table's folder.
    pub path: String,
    pub partition_values: BTreeMap<String, String>,
    pub size: u64,
    pub rows: i64,
    pub sha256: String,
    pub leaf_min: i64,
    pub leaf_max: i64,
}

/// Where the engine's state after this epoch is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFile {
    /// Relative to the lake.
    pub path: String,
    pub sha256: String,
    /// The epoch whose snapshot this builds on; its own number for a snapshot.
    pub base_epoch: i64,
}

impl Manifest {
    pub(super) const fn form() -> u32 {
        FORM
    }

    /// The bytes that are put, hashed and compared: JSON in the order of the fields, one line.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect(
            "a manifest is made of texts, numbers and lists, which always have a JSON form",
        );
        bytes.push(b'\n');
        bytes
    }

    /// Whether every offset and every element is accounted for. Names the first partition that is not.
    pub fn conserved(&self) -> Result<(), String> {
        self.inputs.iter().try_for_each(InputRange::conserved)
    }
}

/// The manifests of one lake.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    dir: PathBuf,
}

impl Ledger {
    /// The ledger of the lake in `root`; its folder is made if it is not there.
    pub(super) fn open(root: &Path) -> Result<Self, LakeError> {
        let dir = root.join("ledger");
        store::create_dir(&dir)?;
        Ok(Self { dir })
    }

    /// Where the manifest of `epoch` is.
    pub(super) fn path(&self, epoch: i64) -> PathBuf {
        self.dir.join(format!("epoch-{epoch:012}.json"))
    }

    /// The last epoch that is committed, 0 if none is.
    pub(super) fn last_epoch(&self) -> Result<i64, LakeError> {
        let mut last = 0;
        let entries = fs::read_dir(&self.dir).map_err(io("cannot list", &self.dir))?;
        for entry in entries {
            let name = entry.map_err(io("cannot list", &self.dir))?.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_prefix("epoch-")?.strip_suffix(".json"))
                .and_then(|digits| digits.parse::<i64>().ok());
            last = last.max(number.unwrap_or(0));
        }
        Ok(last)
    }

    /// The manifest of `epoch` and its hash.
    pub(super) fn read(&self, epoch: i64) -> Result<(Manifest, String), LakeError> {
        let path = self.path(epoch);
        let damaged = |reason: String| LakeError::Damaged {
            what: path.display().to_string(),
            reason,
        };
        let bytes = store::read(&path)?.ok_or_else(|| damaged("it is missing".to_owned()))?;
        let manifest: Manifest = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(format!("it does not parse: {error}")))?;
        if manifest.v != FORM || manifest.epoch != epoch {
            return Err(damaged(format!(
                "it says form {} and epoch {}",
                manifest.v, manifest.epoch
            )));
        }
        Ok((manifest, hex(&sha256(&bytes))))
    }

    /// Commits `manifest`. This is the one moment at which an epoch becomes true. Gives the manifest's hash.
    ///
    /// A put whose answer was lost finds its own bytes there and is done; other bytes mean another writer.
    pub(super) fn commit(&self, manifest: &Manifest) -> Result<String, LakeError> {
        let bytes = manifest.bytes();
        let path = self.path(manifest.epoch);
        let exists = store::put_if_absent(&path, &bytes)? == store::Put::Exists;
        if exists && store::read(&path)?.as_deref() != Some(&bytes) {
            return Err(LakeError::Fenced {
                epoch: manifest.epoch,
            });
        }
        Ok(hex(&sha256(&bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(from: i64, to: i64, reason: &str) -> SourceGap {
        SourceGap {
            from,
            to,
            cause: "retention".to_owned(),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn offsets_are_records_skipped_ones_and_gaps_that_are_explained() {
        let range = |skipped, gaps| InputRange {
            cluster: "c".to_owned(),
            topic: "t".to_owned(),
            partition: 0,
            from: 10,
            to: 20,
            bytes: 0,
            skipped,
            gaps,
            last_offset: None,
            last_record_sha256: None,
            counts: PartitionCounts {
                records: 3,
                ..PartitionCounts::default()
            },
        };
        range(7, vec![]).conserved().unwrap();
        range(2, vec![gap(10, 15, "an outage")])
            .conserved()
            .unwrap();
        range(0, vec![gap(10, 15, "an outage"), gap(18, 20, "another")])
            .conserved()
            .unwrap();
        for wrong in [
            range(6, vec![]),
            range(3, vec![gap(10, 15, "an outage")]),
            range(2, vec![gap(10, 15, "")]),
            range(2, vec![gap(5, 10, "before it")]),
            range(2, vec![gap(18, 23, "behind it")]),
            range(0, vec![gap(10, 15, "twice"), gap(14, 16, "twice")]),
        ] {
            wrong.conserved().unwrap_err();
        }
    }
}
