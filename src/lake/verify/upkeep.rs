//! The records of upkeep: an unbroken chain that manifests name, and rows that are gone because one says so.

use super::manifests::name as manifest_name;
use super::{Read, Verdict};
use crate::lake::upkeep::Audit;
use crate::lake::{LakeError, Place};

/// Holds the records to the manifests. Gives the number of the last, and the leaves of the rows that were removed on
/// purpose, by first leaf, step and count.
pub(super) fn check(
    root: &Place,
    read: &[Read],
    verdict: &mut Verdict,
) -> Result<(i64, Vec<[i64; 3]>), LakeError> {
    let last = read.last().map_or(0, |last| last.manifest.epoch);
    let mut audit = match Audit::open(root) {
        Ok(audit) => audit,
        Err(LakeError::Damaged { what, reason }) => {
            verdict.wrong(last, what, reason);
            return Ok((i64::MAX, Vec::new()));
        }
        Err(error) => return Err(error),
    };
    for Read { manifest, .. } in read {
        if let Err(reason) = audit.see(manifest) {
            verdict.wrong(manifest.epoch, manifest_name(manifest.epoch), reason);
        }
    }
    let mut retired = Vec::new();
    for record in audit.removals() {
        let leaves: i64 = record.leaves.iter().map(|[_, _, count]| count).sum();
        if leaves != record.rows {
            let what = format!("ledger/upkeep/{:012}.json", record.number);
            verdict.wrong(record.epoch, what, "it names other leaves than rows");
        }
        retired.extend_from_slice(&record.leaves);
    }
    Ok((audit.last(), retired))
}
