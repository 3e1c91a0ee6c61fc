//! The chain of manifests, and what each says about its own epoch.

use std::collections::BTreeMap;

use super::{Read, Verdict, VerifiedGap};
use crate::lake::ledger::{Ledger, Manifest, NO_HASH};
use crate::lake::{LakeError, Place, state, store};

/// Reads every manifest up to `last`. Those that cannot be read are told and left out.
pub(super) fn check(
    root: &Place,
    ledger: &Ledger,
    last: i64,
    verdict: &mut Verdict,
) -> Result<Vec<Read>, LakeError> {
    verdict.head = NO_HASH.to_owned();
    let mut all: Vec<Read> = Vec::new();
    let mut next_offset = BTreeMap::new();
    // State of epochs before the last snapshot is of no use to any start, and may be gone.
    let base_epoch = ledger
        .read(last)
        .map_or(0, |(manifest, _)| manifest.state.base_epoch);
    for epoch in 1..=last {
        let name = name(epoch);
        let (manifest, sha256) = match ledger.read(epoch) {
            Ok(read) => read,
            Err(LakeError::Damaged { reason, .. }) => {
                verdict.wrong(epoch, name, reason);
                continue;
            }
            Err(error) => return Err(error),
        };
        let before = all.last().map(|read| read.manifest.epoch);
        if before.unwrap_or(0) + 1 == epoch && manifest.prev_manifest_sha256 != verdict.head {
            verdict.wrong(epoch, name, "it does not follow the manifest before it");
        }
        if let Some(first) = all.first()
            && first.manifest.job != manifest.job
        {
            let reason = format!("it is of job {:?}", manifest.job);
            verdict.wrong(epoch, self::name(epoch), reason);
        }
        verdict.head.clone_from(&sha256);
        verdict.epochs = epoch;
        check_inputs(&manifest, &mut next_offset, verdict);
        check_leaves(all.last().map(|read| &read.manifest), &manifest, verdict);
        let needed = epoch >= base_epoch || store::exists(&root.join(&manifest.state.path))?;
        if !needed {
            all.push(Read { manifest, sha256 });
            continue;
        }
        match state::read_one(root, &manifest.state) {
            Err(LakeError::Damaged { what, reason }) => verdict.wrong(epoch, what, reason),
            Err(error) => return Err(error),
            Ok(_) => (),
        }
        all.push(Read { manifest, sha256 });
    }
    if let Some(last) = all.last() {
        verdict.tree_size = last.manifest.tree_size;
        verdict.root_hash = last.manifest.root_hash.clone().unwrap_or_default();
    }
    Ok(all)
}

/// Where the manifest of `epoch` lies below the lake.
pub(super) fn name(epoch: i64) -> String {
    format!("ledger/epoch-{epoch:012}.json")
}

fn check_inputs(
    manifest: &Manifest,
    next_offset: &mut BTreeMap<(String, String, i32), i64>,
    verdict: &mut Verdict,
) {
    if let Err(reason) = manifest.conserved() {
        verdict.wrong(manifest.epoch, "conservation", reason);
    }
    for input in &manifest.inputs {
        let key = (input.cluster.clone(), input.topic.clone(), input.partition);
        if let Some(next) = next_offset.insert(key, input.to)
            && next != input.from
        {
            let what = format!("{}/{}", input.topic, input.partition);
            let reason = format!("continues at offset {}, but {next} came next", input.from);
            verdict.wrong(manifest.epoch, what, reason);
        }
        let gaps = input.gaps.iter().map(|gap| VerifiedGap {
            epoch: manifest.epoch,
            topic: input.topic.clone(),
            partition: input.partition,
            gap: gap.clone(),
        });
        verdict.gaps.extend(gaps);
        verdict.skipped += input.skipped;
        verdict.elements += input.counts.elements;
        verdict.accepted += input.counts.accepted;
        verdict.duplicate += input.counts.duplicate;
        verdict.rejected += input.counts.rejected;
        verdict.ignored += input.counts.ignored;
    }
}

/// Leaves of an epoch are numbered without a gap, and every row has one.
fn check_leaves(before: Option<&Manifest>, manifest: &Manifest, verdict: &mut Verdict) {
    let begin = before.map_or(0, |before| before.tree_size);
    let rows: i64 = manifest.tables.iter().map(|files| files.rows).sum();
    let next = before.map_or(1, |before| before.epoch + 1) == manifest.epoch;
    if next && manifest.tree_size != begin + rows {
        let reason = format!(
            "{} leaves after {rows} rows on top of {begin}",
            manifest.tree_size
        );
        verdict.wrong(manifest.epoch, "leaves", reason);
    }
    let accepted: u64 = manifest
        .inputs
        .iter()
        .map(|input| input.counts.accepted)
        .sum();
    for files in &manifest.tables {
        let rows: i64 = files.files.iter().map(|file| file.rows).sum();
        if rows != files.rows {
            let reason = format!("{} rows, but its files hold {rows}", files.rows);
            verdict.wrong(manifest.epoch, files.table.clone(), reason);
        }
    }
    let activity = manifest
        .tables
        .iter()
        .find(|files| files.table == "activity");
    let activity = activity.map_or(0, |files| files.rows);
    if accepted != activity.unsigned_abs() {
        let reason = format!("{accepted} accepted elements but {activity} rows");
        verdict.wrong(manifest.epoch, "activity", reason);
    }
}
