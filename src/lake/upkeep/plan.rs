//! What there is to do, decided from the ledger and a time alone: the same lake gives the same plan.
//!
//! Files are told apart by *group*: a partition of a table; for a table without partitions, the day on which the epoch
//! was cut. Rows of two schemas are two groups.
//!
//! * An hour is closed once `merge_after` has passed since its end; all hours are, when the input had ended. The files
//!   that epochs of closed hours brought to a group are merged into one sorted run, as many as memory allows at once.
//! * A day is closed once the watermark has passed its end by `seal_after`; for a table without partitions, once its last
//!   hour is closed. When nothing is left to merge, the runs of a closed day become one: the day is sealed.
//! * Rows that come later are merged like others. A sealed day is sealed again only when what came later is an eighth of
//!   it, or many runs: every row is rewritten a few times and not once for each late one.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::record::Kind;
use super::visible::{Visible, VisibleFile};
use super::{Clock, UpkeepParams};
use crate::evidence::Table;
use crate::model::{Day, Micros};

/// Files that are sorted in memory at once, in compressed bytes. Audit logs shrink to about a tenth.
const SORT_BYTES_MAX: u64 = 32 << 20;

/// How many of them: each is an open file and a few buffers for a moment.
const SORT_FILES_MAX: usize = 2_048;

/// Runs that are merged at once. Each holds a batch of rows and the buffers of a reader.
const RUNS_MAX: usize = 64;

/// A sealed day is sealed again at the latest when so many runs lie beside it.
const LATE_RUNS_MAX: usize = 16;

/// … or when they hold this share of its bytes.
const LATE_SHARE: u64 = 8;

/// A file that is alone in its day is sorted only if it is larger: a smaller one is read whole anyway.
const SEAL_ALONE_BYTES_MIN: u64 = 4 << 20;

const HOUR_MS: i64 = 3_600_000;

/// What to do next.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) table: &'static Table,
    pub(super) reason: String,
    pub(super) files: Vec<VisibleFile>,
}

/// Files that may become one: table, partition values, day of the cut (0 with partitions), schema.
type Group<'a> = (Vec<&'a str>, i32, &'a str);

/// The next thing to do, if there is any: merges before seals before removals.
pub(super) fn next(visible: &Visible, params: &UpkeepParams, clock: &Clock) -> Option<Plan> {
    let mut seal = None;
    let mut merge: Option<Plan> = None;
    for (table, files) in visible.tables() {
        let mut groups: BTreeMap<Group<'_>, Vec<&VisibleFile>> = BTreeMap::new();
        for file in files.values() {
            if !past_age(table, file, params, clock) {
                groups.entry(group_of(table, file)).or_default().push(file);
            }
        }
        for ((values, day, _), files) in groups {
            let found = merge_of(table, &files, params, clock);
            // The group with the most files first: it costs readers most.
            if let Some(found) = found {
                if merge
                    .as_ref()
                    .is_none_or(|merge| merge.files.len() < found.files.len())
                {
                    merge = Some(found);
                }
            } else if seal.is_none() && day_closed(table, &values, day, params, clock) {
                seal = seal_of(table, &files, params, clock);
            }
        }
    }
    merge.or(seal).or_else(|| removal(visible, params, clock))
}

fn group_of<'a>(table: &Table, file: &'a VisibleFile) -> Group<'a> {
    let values = file.file.partition_values.values();
    let day = if table.partition_by.is_empty() {
        Micros(file.created_ms * 1_000).day().0
    } else {
        0
    };
    (
        values.map(String::as_str).collect(),
        day,
        &file.schema_sha256,
    )
}

/// Small files of closed hours, as many as can be sorted at once.
fn merge_of(
    table: &'static Table,
    files: &[&VisibleFile],
    params: &UpkeepParams,
    clock: &Clock,
) -> Option<Plan> {
    let mut due: Vec<&&VisibleFile> = files
        .iter()
        .filter(|file| file.run.is_none() && hour_closed(file, params, clock))
        .collect();
    due.sort_by_key(|file| (Reverse(file.file.size), &file.file.path));
    let mut chosen = Vec::new();
    let mut bytes = 0;
    for file in due {
        let fits = bytes + file.file.size <= SORT_BYTES_MAX && chosen.len() < SORT_FILES_MAX;
        // One that is too large for company is sorted alone.
        if fits || chosen.is_empty() {
            bytes += file.file.size;
            chosen.push((*file).clone());
        }
    }
    (chosen.len() >= 2 || bytes >= SORT_BYTES_MAX / 2).then(|| Plan {
        kind: Kind::Merge,
        table,
        reason: format!("{} files of closed hours", chosen.len()),
        files: chosen,
    })
}

/// Files with their size together.
type Sized<'a> = (u64, Vec<&'a VisibleFile>);

/// All runs of a closed day, or as many as can be read at once, the smallest first.
fn seal_of(
    table: &'static Table,
    files: &[&VisibleFile],
    params: &UpkeepParams,
    clock: &Clock,
) -> Option<Plan> {
    if files
        .iter()
        .any(|file| file.run.is_none() && !hour_closed(file, params, clock))
    {
        return None;
    }
    // A file that is too large to be merged with others is a run of its own once it is sorted.
    let mut runs = BTreeMap::<(Option<i64>, &str), Sized<'_>>::new();
    let (mut sealed_bytes, mut late_bytes) = (0, 0);
    for file in files {
        let key = match file.run {
            Some((number, _)) => (Some(number), ""),
            None => (None, file.file.path.as_str()),
        };
        let run = runs.entry(key).or_default();
        run.0 += file.file.size;
        run.1.push(file);
        match file.run {
            Some((_, Kind::Seal)) => sealed_bytes += file.file.size,
            _ => late_bytes += file.file.size,
        }
    }
    let alone = runs.len() < 2;
    let unsorted = files.iter().any(|file| file.run.is_none());
    if alone && !(unsorted && late_bytes >= SEAL_ALONE_BYTES_MIN) {
        return None;
    }
    if sealed_bytes > 0 && runs.len() <= LATE_RUNS_MAX && late_bytes * LATE_SHARE < sealed_bytes {
        return None;
    }
    let mut runs: Vec<_> = runs.into_values().collect();
    runs.sort_by_key(|(bytes, _)| *bytes);
    let whole = runs.len() <= RUNS_MAX;
    runs.truncate(RUNS_MAX);
    Some(Plan {
        kind: if whole { Kind::Seal } else { Kind::Merge },
        table,
        reason: format!("{} runs of a closed day", runs.len()),
        files: runs
            .into_iter()
            .flat_map(|(_, files)| files)
            .cloned()
            .collect(),
    })
}

/// Raw records of days that are past their age, all at once.
fn removal(visible: &Visible, params: &UpkeepParams, clock: &Clock) -> Option<Plan> {
    let age = params.raw_events_age?;
    for (table, files) in visible.tables() {
        let due: Vec<&VisibleFile> = files
            .values()
            .filter(|file| past_age(table, file, params, clock))
            .collect();
        if let Some(first) = due.first() {
            let files = due
                .iter()
                .filter(|file| file.schema_sha256 == first.schema_sha256)
                .map(|file| (*file).clone());
            return Some(Plan {
                kind: Kind::Remove,
                table,
                reason: format!("raw_events_age is {} s", age / 1_000_000),
                files: files.collect(),
            });
        }
    }
    None
}

/// Whether the rows of a file are to be gone.
fn past_age(table: &Table, file: &VisibleFile, params: &UpkeepParams, clock: &Clock) -> bool {
    let Some(age) = params.raw_events_age else {
        return false;
    };
    let day = file.file.partition_values.get("event_date");
    table.name == "raw_events"
        && day
            .and_then(|text| parse_day(text))
            .is_some_and(|day| end_of(day).plus(age) <= clock.now)
}

fn hour_closed(file: &VisibleFile, params: &UpkeepParams, clock: &Clock) -> bool {
    let end = (file.created_ms.div_euclid(HOUR_MS) + 1) * HOUR_MS;
    clock.ended || Micros(end * 1_000).plus(params.merge_after) <= clock.now
}

fn day_closed(
    table: &Table,
    values: &[&str],
    day: i32,
    params: &UpkeepParams,
    clock: &Clock,
) -> bool {
    if clock.ended {
        return true;
    }
    if table.partition_by.is_empty() {
        return end_of(Day(day)).plus(params.merge_after) <= clock.now;
    }
    let day = values.iter().find_map(|value| parse_day(value));
    // Without a watermark no event has been judged yet.
    day.is_some_and(|day| {
        clock
            .watermark
            .is_some_and(|watermark| end_of(day).plus(params.seal_after) <= watermark)
    })
}

fn end_of(day: Day) -> Micros {
    Micros((i64::from(day.0) + 1).saturating_mul(Micros::DAY))
}

/// A day as partition values have it, `2026-11-26`.
fn parse_day(text: &str) -> Option<Day> {
    let date: chrono::NaiveDate = text.parse().ok()?;
    let days = date.signed_duration_since(chrono::NaiveDate::default());
    i32::try_from(days.num_days()).ok().map(Day)
}
