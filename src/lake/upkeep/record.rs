//! The record of what upkeep did: one file for each time that files of a table were put in the place of others.
//!
//! A record is decided before the table shows it, like an epoch: it is put if nobody else put that number, and tables
//! are rolled forward from it. Records are chained by hash, and every manifest names the last one there was. Each says its
//! own hash, so that a changed byte is noticed in the last one too, and in a signed lake it is a signed note: nobody but the
//! writer can have rows go.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::ledger::{NO_HASH, StagedFile, UpkeepHead};
use super::super::log::{KeyChain, SigningKey, open_own};
use super::super::{LakeError, Place, io, store};
use crate::failpoint;
use crate::model::{hex, sha256};

/// The version of the record's form. The first was never signed.
const FORM: u32 = 2;

/// What was done to the files of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Small files of closed hours became one sorted run.
    Merge,
    /// All files of a closed day became one sorted run.
    Seal,
    /// Rows that are past their age are gone, on purpose. Takes effect with the first manifest that names the record.
    Remove,
}

impl Kind {
    /// The name as records and logs have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Seal => "seal",
            Self::Remove => "remove",
        }
    }
}

/// A file that the table does not show any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedFile {
    /// Relative to the table's folder.
    pub path: String,
    pub size: u64,
    pub rows: i64,
    pub sha256: String,
}

/// A file that the table shows instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedFile {
    pub file: StagedFile,
    /// The epochs of its rows.
    pub epoch_min: i64,
    pub epoch_max: i64,
}

/// One act of upkeep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub v: u32,
    pub job: String,
    /// From 1, over all tables.
    pub number: i64,
    pub writer: String,
    /// Hash of the record before it.
    pub prev_sha256: String,
    /// The last epoch when it was decided.
    pub epoch: i64,
    pub created_ms: i64,
    pub build: String,
    pub table: String,
    pub kind: Kind,
    /// Why, for people: the rule and its setting.
    pub reason: String,
    /// Schema of the rows, as manifests name it: rows of two schemas never share a file.
    pub schema_sha256: String,
    pub removed: Vec<RemovedFile>,
    pub added: Vec<AddedFile>,
    pub rows: i64,
    /// Sum over the epoch, leaf and digest of every row, the same before and after.
    pub rows_sum: String,
    /// Leaves whose rows are gone, as first leaf, step and count. Empty unless rows were removed.
    pub leaves: Vec<[i64; 3]>,
    /// Number of the key that signs the record; none if the lake is not signed.
    pub key: Option<u32>,
}

impl Record {
    pub(super) const fn form() -> u32 {
        FORM
    }

    /// What is put and signed: JSON in the order of the fields, one line, and the line's hash.
    pub fn text(&self) -> String {
        let line = serde_json::to_string(self)
            .expect("a record is made of texts, numbers and lists, which always have a JSON form");
        let hash = hex(&sha256(line.as_bytes()));
        format!("{line}\n{hash}\n")
    }

    /// Reads a record, signed or not. The error says what is wrong with it.
    ///
    /// The signature is for whoever knows the keys: `keytrail verify`, and the writer at its start.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let line = bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or("it has no second line")?;
        let record: Self = serde_json::from_slice(&bytes[..line])
            .map_err(|error| format!("it does not parse: {error}"))?;
        if record.v != FORM {
            return Err(format!("it says form {}", record.v));
        }
        let rest = bytes
            .strip_prefix(record.text().as_bytes())
            .ok_or("its second line is not the hash of its first")?;
        match record.key {
            None if !rest.is_empty() => Err("something follows its second line".to_owned()),
            Some(_) if rest.is_empty() => Err("it has no signature".to_owned()),
            _ => Ok(record),
        }
    }

    /// Whether `bytes`, which are this record, are signed as the keys of the lake demand. The error says how not.
    fn signed(&self, bytes: &[u8], keys: Option<&KeyChain>) -> Result<(), String> {
        let (keys, number) = match (keys, self.key) {
            (None, None) => return Ok(()),
            (None, Some(_)) => return Err("it is signed, and the lake is not".to_owned()),
            (Some(_), None) => return Err("it is not signed, and the lake is".to_owned()),
            (Some(keys), Some(number)) => (keys, number),
        };
        let key = keys
            .numbered(number)
            .ok_or_else(|| format!("key {number} is no key of this ledger"))?;
        if !key.signs_after(self.epoch) {
            return Err("its key signs later epochs only".to_owned());
        }
        open_own(bytes, &key.verifier).map(drop)
    }
}

/// All records of one lake.
#[derive(Clone, Debug)]
pub(in crate::lake) struct Log {
    dir: Place,
    head: UpkeepHead,
    /// Hash of each record, to hold what manifests say against.
    hashes: BTreeMap<i64, String>,
    /// What records must be signed with; none if the lake is not signed.
    keys: Option<KeyChain>,
}

impl Log {
    /// The log of the lake in `root`, before anything of it is read. Its records are signed with `keys`.
    pub(super) fn none(root: &Place, keys: Option<&KeyChain>) -> Self {
        Self {
            dir: root.join("ledger").join("upkeep"),
            head: UpkeepHead {
                number: 0,
                sha256: NO_HASH.to_owned(),
            },
            hashes: BTreeMap::new(),
            keys: keys.cloned(),
        }
    }

    /// Reads the records of the lake in `root`. They must be an unbroken chain of `job`, if one is given.
    pub(in crate::lake) fn open(
        root: &Place,
        job: Option<&str>,
        keys: Option<&KeyChain>,
    ) -> Result<(Self, Vec<Record>), LakeError> {
        let mut log = Self::none(root, keys);
        let records = log.refresh(job)?;
        Ok((log, records))
    }

    /// The records that were put since the last look.
    pub(in crate::lake) fn refresh(&mut self, job: Option<&str>) -> Result<Vec<Record>, LakeError> {
        let last = self.last_number()?;
        let mut records = Vec::new();
        while self.head.number < last {
            let number = self.head.number + 1;
            let (record, bytes) = self.parsed(number)?;
            record
                .signed(&bytes, self.keys.as_ref())
                .map_err(|reason| self.damaged(number, reason))?;
            if record.number != number || record.prev_sha256 != self.head.sha256 {
                return Err(self.damaged(number, "it does not follow the record before it"));
            }
            if let Some(job) = job
                && record.job != job
            {
                return Err(self.damaged(number, format!("it is of job {:?}", record.job)));
            }
            self.push(number, &bytes);
            records.push(record);
        }
        Ok(records)
    }

    fn push(&mut self, number: i64, bytes: &[u8]) {
        let sha256 = hex(&sha256(bytes));
        self.hashes.insert(number, sha256.clone());
        self.head = UpkeepHead { number, sha256 };
    }

    /// The last record there is, as manifests name it; none if there is none.
    pub(in crate::lake) fn head(&self) -> Option<UpkeepHead> {
        (self.head.number > 0).then(|| self.head.clone())
    }

    /// Number and hash that the next record must have.
    pub(super) const fn next(&self) -> (i64, &String) {
        (self.head.number + 1, &self.head.sha256)
    }

    /// Whether a manifest names a record as it is.
    pub(in crate::lake) fn holds(&self, head: &UpkeepHead) -> bool {
        self.hashes.get(&head.number) == Some(&head.sha256)
    }

    /// Puts `record`, which is the next, signed by `key`, whose number it says. False if another writer put one of that
    /// number: then nothing has happened.
    ///
    /// A put whose answer was lost finds its own bytes there and is done.
    pub(super) fn put(
        &mut self,
        record: &Record,
        key: Option<&SigningKey>,
    ) -> Result<bool, LakeError> {
        store::create_dir(&self.dir)?;
        let (path, text) = (self.path(record.number), record.text());
        let bytes = match key {
            Some(key) => key.sign(&text),
            None => text.into_bytes(),
        };
        failpoint::reach("upkeep.before-put").map_err(io("cannot write", &path))?;
        let exists = store::put_if_absent(&path, &bytes)? == store::Put::Exists;
        if exists && store::read(&path)?.as_deref() != Some(&bytes) {
            return Ok(false);
        }
        failpoint::reach("upkeep.after-put").map_err(io("cannot write", &path))?;
        self.push(record.number, &bytes);
        Ok(true)
    }

    /// The record of `number`, which is one of those that were read before.
    pub(super) fn read(&self, number: i64) -> Result<Record, LakeError> {
        let (record, bytes) = self.parsed(number)?;
        if self.hashes.get(&number) != Some(&hex(&sha256(&bytes))) {
            return Err(self.damaged(number, "it is not the one that was read before"));
        }
        Ok(record)
    }

    fn parsed(&self, number: i64) -> Result<(Record, Vec<u8>), LakeError> {
        let bytes = store::read(&self.path(number))?;
        let bytes = bytes.ok_or_else(|| self.damaged(number, "it is missing"))?;
        let record = Record::parse(&bytes).map_err(|reason| self.damaged(number, reason))?;
        Ok((record, bytes))
    }

    fn damaged(&self, number: i64, reason: impl Into<String>) -> LakeError {
        LakeError::Damaged {
            what: self.path(number).display().to_string(),
            reason: reason.into(),
        }
    }

    /// Where the record of `number` is.
    pub(in crate::lake) fn path(&self, number: i64) -> Place {
        self.dir.join(format!("{number:012}.json"))
    }

    fn last_number(&self) -> Result<i64, LakeError> {
        let mut last = self.head.number;
        for name in store::names(&self.dir)? {
            let number = Self::number(&name);
            last = last.max(number.unwrap_or(0));
        }
        // A list may be old; asking for one name is not.
        while store::exists(&self.path(last + 1))? {
            last += 1;
        }
        Ok(last)
    }

    /// The number of the record in the file called so.
    pub(in crate::lake) fn number(name: &str) -> Option<i64> {
        let number = name.strip_suffix(".json")?.parse().ok()?;
        (format!("{number:012}.json") == name).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The records of an unsigned lake.
    fn open(dir: &Path, job: Option<&str>) -> Result<(Log, Vec<Record>), LakeError> {
        Log::open(&Place::of(dir).unwrap(), job, None)
    }

    pub(in super::super) fn record(number: i64, prev_sha256: &str) -> Record {
        Record {
            v: FORM,
            job: "main".to_owned(),
            number,
            writer: "w".to_owned(),
            prev_sha256: prev_sha256.to_owned(),
            epoch: 9,
            created_ms: 1_700_000_000_000,
            build: "keytrail 0".to_owned(),
            table: "activity".to_owned(),
            kind: Kind::Merge,
            reason: "closed hours".to_owned(),
            schema_sha256: String::new(),
            removed: vec![RemovedFile {
                path: "a.parquet".to_owned(),
                size: 3,
                rows: 2,
                sha256: "00".to_owned(),
            }],
            added: Vec::new(),
            rows: 2,
            rows_sum: "11".to_owned(),
            leaves: vec![[0, 2, 5]],
            key: None,
        }
    }

    #[test]
    fn every_changed_byte_of_a_record_is_noticed() {
        let bytes = record(1, NO_HASH).text().into_bytes();
        assert_eq!(Record::parse(&bytes).unwrap(), record(1, NO_HASH));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(Record::parse(&changed).is_err(), "byte {at} bit {bit}");
            }
            assert!(Record::parse(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn of_two_that_put_one_number_exactly_one_wins() {
        let dir = tempfile::tempdir().unwrap();
        let mut one = open(dir.path(), None).unwrap().0;
        let mut two = open(dir.path(), None).unwrap().0;
        assert!(one.put(&record(1, NO_HASH), None).unwrap());
        let mut other = record(1, NO_HASH);
        other.writer = "x".to_owned();
        assert!(!two.put(&other, None).unwrap());
        assert!(two.head().is_none(), "the loser has done nothing");
        assert_eq!(two.refresh(Some("main")).unwrap(), [record(1, NO_HASH)]);
        assert_eq!(one.head(), two.head());
        assert!(two.holds(&one.head().unwrap()));
        // A put whose answer was lost.
        let mut again = open(&dir.path().join("elsewhere"), None).unwrap().0;
        again.dir.clone_from(&two.dir);
        assert!(again.put(&record(1, NO_HASH), None).unwrap());
    }

    #[test]
    fn a_record_that_is_missing_or_of_another_chain_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), None).unwrap().0;
        log.put(&record(1, NO_HASH), None).unwrap();
        let hash = log.head().unwrap().sha256;
        log.put(&record(2, &hash), None).unwrap();
        assert!(open(dir.path(), Some("other")).is_err());
        let kept = fs::read(log.path(1).file_path()).unwrap();
        fs::remove_file(log.path(1).file_path()).unwrap();
        assert!(open(dir.path(), None).unwrap_err().integrity());
        let mut other = record(1, NO_HASH);
        other.writer = "x".to_owned();
        fs::write(log.path(1).file_path(), other.text()).unwrap();
        assert!(open(dir.path(), None).unwrap_err().integrity());
        fs::write(log.path(1).file_path(), kept).unwrap();
        assert_eq!(open(dir.path(), None).unwrap().1.len(), 2);
    }
}
