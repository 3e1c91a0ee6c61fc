//! What a verification must know of upkeep: whether its records are those that the manifests name, and which rows are
//! gone on purpose. Rows that moved are for the tree to judge: each must still be at its leaf.

use super::super::ledger::Manifest;
use super::super::log::KeyChain;
use super::super::{LakeError, Place};
use super::record::{Kind, Log, Record};
use super::visible::Visible;

/// The records of a lake, held against its manifests.
#[derive(Debug)]
pub(in crate::lake) struct Audit {
    log: Log,
    records: Vec<Record>,
    /// The last record that a manifest names.
    covered: i64,
}

impl Audit {
    /// Reads the records of the lake in `root`, which are signed with `keys` if it is signed.
    pub(in crate::lake) fn open(root: &Place, keys: Option<&KeyChain>) -> Result<Self, LakeError> {
        let (log, records) = Log::open(root, None, keys)?;
        Ok(Self {
            log,
            records,
            covered: 0,
        })
    }

    /// Takes in the next manifest. The error says how it contradicts the records.
    pub(in crate::lake) fn see(&mut self, manifest: &Manifest) -> Result<(), String> {
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

    /// The files that each table shows by what manifests and records say: to be asked when every manifest was seen. The
    /// error names the first record that cannot follow what was before it.
    pub(in crate::lake) fn visible(&self, read: &[&Manifest]) -> Result<Visible, (i64, String)> {
        let mut visible = Visible::default();
        read.iter().for_each(|manifest| visible.add_epoch(manifest));
        for record in &self.records {
            if record.kind != Kind::Remove || record.number <= self.covered {
                visible
                    .apply(record)
                    .map_err(|reason| (record.number, reason))?;
            }
        }
        Ok(visible)
    }

    /// The number of the last record.
    pub(in crate::lake) const fn last(&self) -> i64 {
        self.log.next().0 - 1
    }

    /// The records by which rows were removed on purpose: each names the leaves that are gone. Only those that a manifest
    /// covers.
    pub(in crate::lake) fn removals(&self) -> impl Iterator<Item = &Record> {
        self.records
            .iter()
            .filter(|record| record.kind == Kind::Remove && record.number <= self.covered)
    }
}
