//! Nothing may lie in the ledger or in a table's log that nothing names: a reader could take it for true.

use super::signatures::{Sealed, is_of_log};
use super::{Read, Seen, Verdict};
use crate::lake::log::{HINT, KeyChain, Seal, TileId};
use crate::lake::upkeep::Records;

/// Names that were there when the verification began, so that each belongs to an epoch that it judged.
///
/// `last` is the last epoch, `records` the last record of upkeep.
pub(super) fn check(
    seen: &Seen,
    sealed: &Sealed,
    (last, records): (i64, i64),
    read: &[Read],
    verdict: &mut Verdict,
) {
    let sizes = read.iter().map(|read| read.manifest.tree_size);
    let size = sizes.max().and_then(|size| u64::try_from(size).ok());
    let size = size.unwrap_or(0);
    for name in &seen.ledger_files {
        let tile = TileId::parse(name).is_some_and(|tile| tile.within(size));
        let epoch = ["json", "checkpoint"]
            .iter()
            .find_map(|ending| epoch(name, ending))
            .is_some_and(|epoch| (1..=last).contains(&epoch));
        let seal = Seal::number(name).is_some_and(|number| number <= sealed.count);
        let record = name.strip_prefix("upkeep/").and_then(Records::number);
        let record = record.is_some_and(|number| (1..=records).contains(&number));
        let keys = verdict.keys.len();
        let key = (1..=keys).any(|number| KeyChain::name(number as u32) == *name);
        if !(tile || epoch || seal || key || record || leftover(name)) {
            let what = format!("ledger/{name}");
            verdict.wrong(
                last,
                what,
                "nothing names it: it is beyond the end of the ledger or not of it",
            );
        }
    }
    for (table, names) in &seen.log_files {
        for name in names {
            if !(is_of_log(name) || name == HINT || leftover(name)) {
                let what = format!("tables/{table}/_delta_log/{name}");
                verdict.wrong(last, what, "nothing names it");
            }
        }
    }
}

fn epoch(name: &str, ending: &str) -> Option<i64> {
    let number = name.strip_prefix("epoch-")?.strip_suffix(ending)?;
    let number = number.strip_suffix('.')?;
    let epoch = number.parse().ok()?;
    (number == format!("{epoch:012}")).then_some(epoch)
}

/// What a crash leaves in the middle of a write: no reader takes it for anything.
fn leftover(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.starts_with('.') || name.contains('#') || name.starts_with("_commit_")
}
