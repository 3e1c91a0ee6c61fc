//! The records of upkeep: an unbroken chain that manifests name, each signed and fit for what was there before it, and rows
//! that are gone because one says so.

use super::manifests::name as manifest_name;
use super::shown::ShownFile;
use super::{Read, Verdict};
use crate::lake::ledger::Manifest;
use crate::lake::log::KeyChain;
use crate::lake::upkeep::{Audit, VisibleFiles};
use crate::lake::{LakeError, Place};

/// What the records say.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// The number of the last.
    pub(super) last: i64,
    /// Leaves of rows that were removed on purpose, by first leaf, step and count.
    pub(super) retired: Vec<[i64; 3]>,
    /// The files that tables show; none if the records do not hold.
    visible: Option<VisibleFiles>,
}

/// Holds the records to the keys and the manifests.
pub(super) fn check(
    root: &Place,
    keys: &KeyChain,
    read: &[Read],
    verdict: &mut Verdict,
) -> Result<Records, LakeError> {
    let end = read.last().map_or(0, |last| last.manifest.epoch);
    let keys = (!keys.keys.is_empty()).then_some(keys);
    let mut audit = match Audit::open(root, keys) {
        Ok(audit) => audit,
        Err(LakeError::Damaged { what, reason }) => {
            verdict.wrong(end, what, reason);
            return Ok(Records {
                last: i64::MAX,
                ..Records::default()
            });
        }
        Err(error) => return Err(error),
    };
    for Read { manifest, .. } in read {
        if let Err(reason) = audit.see(manifest) {
            verdict.wrong(manifest.epoch, manifest_name(manifest.epoch), reason);
        }
    }
    let mut records = Records {
        last: audit.last(),
        ..Records::default()
    };
    let manifests: Vec<&Manifest> = read.iter().map(|read| &read.manifest).collect();
    match audit.visible(&manifests) {
        Ok(visible) => records.visible = Some(visible),
        Err((number, reason)) => verdict.wrong(end, name(number), reason),
    }
    for record in audit.removals() {
        let leaves: i64 = record.leaves.iter().map(|[_, _, count]| count).sum();
        if leaves != record.rows {
            let reason = "it names other leaves than rows";
            verdict.wrong(record.epoch, name(record.number), reason);
        }
        records.retired.extend_from_slice(&record.leaves);
    }
    Ok(records)
}

fn name(number: i64) -> String {
    format!("ledger/upkeep/{number:012}.json")
}

impl Records {
    /// Holds a file that a table shows and no manifest names to the record that must have put it there.
    pub(super) fn explain(&self, file: &ShownFile, verdict: &mut Verdict) {
        let Some(visible) = &self.visible else {
            return;
        };
        let what = file.what();
        match visible.get(file.table, &file.path) {
            None => verdict.wrong(
                file.epoch,
                what,
                "no manifest and no record of upkeep names it",
            ),
            Some(known)
                if known.file.size != file.size
                    || Some(&known.file.sha256) != file.sha256.as_ref() =>
            {
                let reason = "the table says another size or hash than the record of upkeep";
                verdict.wrong(file.epoch, what, reason);
            }
            Some(_) => (),
        }
    }
}
