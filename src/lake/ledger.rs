//! The ledger: one manifest per epoch, chained by hash. A manifest that exists is a commit; nothing else is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{LakeError, Place, io, store};
use crate::engine::LaneCounts;
use crate::failpoint;
use crate::model::{LastRecord, SourceGap, hex, sha256, unhex};

/// Stands in the first manifest where the hash of the one before would stand.
pub(super) const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// How often a manifest whose put was not answered is put again.
const PUTS_MAX: usize = 5;

/// The version of the manifest's form.
const FORM: u32 = 2;

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
    /// What people stated, as far as this epoch took it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<StatementInput>,
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
    /// Root of the tree over all leaves, hexadecimal. None if the lake is not signed.
    pub root_hash: Option<String>,
    /// Number of the key that signs the epoch's checkpoint. None if the lake is not signed.
    pub key: Option<u32>,
    /// The last record of upkeep when this epoch was staged; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upkeep: Option<UpkeepHead>,
}

/// The last record of upkeep: with it a manifest holds all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpkeepHead {
    pub number: i64,
    pub sha256: String,
}

/// A statement that an epoch took: rows say what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementInput {
    /// The file in which it waited.
    pub file: String,
    /// Hash of that file, hexadecimal.
    pub sha256: String,
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
        // Not even numbers that no sum holds may come out even.
        let span = self.to.checked_sub(self.from);
        let span = span.and_then(|span| u64::try_from(span).ok());
        let (records, skipped) = (self.counts.records, self.skipped);
        let mut gaps = self.gaps.iter().map(SourceGap::span);
        let gaps = gaps.try_fold(0_u64, u64::checked_add);
        let told = records.checked_add(skipped).zip(gaps);
        let told = told.and_then(|(read, gaps)| read.checked_add(gaps));
        if span.is_none() || span != told {
            return wrong(format!(
                "offsets from {} to {} but {records} records, {skipped} skipped and {} in gaps",
                self.from,
                self.to,
                gaps.unwrap_or(u64::MAX)
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
    /// Schema of the rows, which their digests name too. Empty in manifests of builds that did not write it.
    #[serde(default)]
    pub schema_sha256: String,
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
    dir: Place,
}

impl Ledger {
    /// The ledger of the lake in `root`; its folder is made if it is not there.
    pub(super) fn open(root: &Place) -> Result<Self, LakeError> {
        let dir = root.join("ledger");
        store::create_dir(&dir)?;
        Ok(Self { dir })
    }

    /// Where the manifest of `epoch` is.
    pub(super) fn path(&self, epoch: i64) -> Place {
        self.dir.join(format!("epoch-{epoch:012}.json"))
    }

    /// The last epoch that is committed, 0 if none is.
    pub(super) fn last_epoch(&self) -> Result<i64, LakeError> {
        let mut last = 0;
        for name in store::names(&self.dir)? {
            let number = name
                .strip_prefix("epoch-")
                .and_then(|name| name.strip_suffix(".json"))
                .and_then(|digits| digits.parse::<i64>().ok());
            last = last.max(number.unwrap_or(0));
        }
        // A list may be old; asking for one name is not.
        while store::exists(&self.path(last + 1))? {
            last += 1;
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
        // What a reader passes over, another could read a meaning into.
        if manifest.bytes() != bytes {
            return Err(damaged("it is not written as a manifest is".to_owned()));
        }
        Ok((manifest, hex(&sha256(&bytes))))
    }

    /// Commits `manifest`. This is the one moment at which an epoch becomes true. Gives the manifest's hash.
    ///
    /// A put whose answer was lost is put again, with the same bytes: it finds them there and is done; other bytes mean
    /// another writer. That the bytes can be read is not enough, they must be durable.
    pub(super) fn commit(&self, manifest: &Manifest) -> Result<String, LakeError> {
        let bytes = manifest.bytes();
        let path = self.path(manifest.epoch);
        failpoint::reach("ledger.before-put").map_err(io("cannot write", &path))?;
        let mut last_error = None;
        for turn in 0..PUTS_MAX {
            let answer = store::put_if_absent(&path, &bytes).and_then(|put| match put {
                store::Put::Done => Ok(true),
                store::Put::Exists => Ok(store::read(&path)?.as_deref() == Some(&bytes)),
            });
            match answer {
                Ok(true) => {
                    failpoint::reach("ledger.after-put").map_err(io("cannot write", &path))?;
                    return Ok(hex(&sha256(&bytes)));
                }
                Ok(false) => {
                    return Err(LakeError::Fenced {
                        epoch: manifest.epoch,
                    });
                }
                Err(error) => last_error = Some(error),
            }
            path.pause(turn);
        }
        Err(last_error.expect("a turn without an answer leaves an error"))
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
