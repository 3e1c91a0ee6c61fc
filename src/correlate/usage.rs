//! Who used which credential on which day: counts that add up, however the input is cut into epochs.
//!
//! An identity is used by every event in whose chain it stands, so that a role which only ever serves as a step to
//! another one is not called unused. Distinct counts add up too: a row counts only what earlier rows of its day have
//! not counted, which is why the values of open days are remembered.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::Sighting;
use crate::model::{Changes, Day, Kept, Micros, Uid};

/// Up to this many distinct values of a day are counted exactly; further ones are not counted.
const DISTINCT_MAX: usize = 1_024;

/// So many identities and credentials of open days have their distinct values remembered. Those of further ones are not
/// counted; their events are.
const DAYS_MAX: usize = 1_000_000;

/// The part an identity plays in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Relation {
    Acting,
    Intermediate,
    Origin,
}

impl Relation {
    /// The name as rows spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acting => "acting",
            Self::Intermediate => "intermediate",
            Self::Origin => "origin",
        }
    }
}

/// What a usage row is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UsageKey {
    pub day: Day,
    pub identity_uid: Uid,
    pub relation: Relation,
    pub credential_uid: Option<Uid>,
}

/// What one row adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub successes: i64,
    pub failures: i64,
    pub reads: i64,
    pub writes: i64,
    pub first_at: Option<Micros>,
    pub last_at: Option<Micros>,
    pub last_success_at: Option<Micros>,
    /// Distinct values that no earlier row of the same key has counted.
    pub operations: i64,
    pub source_networks: i64,
    pub tenants: i64,
}

/// The distinct values of a day that is still open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayUse {
    operations: BTreeSet<Uid>,
    networks: BTreeSet<Uid>,
    tenants: BTreeSet<Uid>,
}

/// Rows of the epoch in the making, and the open days.
#[derive(Debug, Default)]
pub struct UsageCounter {
    rows: HashMap<UsageKey, Usage, RandomState>,
    days: Kept<UsageKey, DayUse>,
    /// Days before this one are closed.
    closed_before: Option<Day>,
    /// Uses whose distinct values were not counted.
    pub evicted: u64,
}

impl UsageCounter {
    /// Counts `sighting` for every identity of its chain.
    pub fn add(&mut self, sighting: &Sighting) {
        if sighting.foreign_copy {
            return;
        }
        let last = sighting.by.chain.len().saturating_sub(1);
        for (place, identity) in sighting.by.chain.iter().enumerate() {
            // A chain can pass an identity twice; the event is one use of it all the same.
            if place != last && sighting.by.chain[..place].contains(identity) {
                continue;
            }
            let relation = match place {
                _ if place == last => Relation::Acting,
                0 => Relation::Origin,
                _ => Relation::Intermediate,
            };
            let key = UsageKey {
                day: sighting.event_time.day(),
                identity_uid: identity.clone(),
                relation,
                credential_uid: match relation {
                    Relation::Acting => sighting.credential_uid().cloned(),
                    _ => None,
                },
            };
            self.count(key, sighting);
        }
    }

    fn count(&mut self, key: UsageKey, sighting: &Sighting) {
        let room = self.days.len() < DAYS_MAX || self.days.contains(&key);
        let day = room.then(|| self.days.entry(&key, DayUse::default));
        let row = self.rows.entry(key).or_default();
        let at = sighting.event_time;
        if sighting.success {
            row.successes += 1;
            row.last_success_at = row.last_success_at.max(Some(at));
        } else if sighting.failure {
            row.failures += 1;
        }
        if sighting.reads() {
            row.reads += 1;
        } else {
            row.writes += 1;
        }
        row.first_at = Some(row.first_at.map_or(at, |first| first.min(at)));
        row.last_at = row.last_at.max(Some(at));
        let Some(day) = day else {
            self.evicted += 1;
            return;
        };
        row.operations += distinct(&mut day.operations, Some(&sighting.operation));
        row.source_networks += distinct(&mut day.networks, sighting.network.as_ref());
        row.tenants += distinct(&mut day.tenants, sighting.tenant_uid.as_ref());
    }

    /// The rows counted since the last call.
    pub fn take_rows(&mut self) -> BTreeMap<UsageKey, Usage> {
        self.rows.drain().collect()
    }

    /// Forgets the values of days that ended before `day`. A use that comes later still counts its events.
    pub fn close_days_before(&mut self, day: Day) {
        if self.closed_before.is_some_and(|closed| closed >= day) {
            return;
        }
        self.closed_before = Some(day);
        let ended: Vec<UsageKey> = self
            .days
            .unordered()
            .filter(|(key, _)| key.day < day)
            .map(|(key, _)| key.clone())
            .collect();
        for key in ended {
            self.days.remove(&key);
        }
    }

    /// What must survive a restart: changes since the last call, or everything if `all`.
    pub fn written(&mut self, all: bool) -> Changes<UsageKey, DayUse> {
        self.days.written(all)
    }

    /// Continues from what [`UsageCounter::written`] gave.
    pub fn restore(&mut self, changes: Changes<UsageKey, DayUse>) {
        self.days.apply(changes);
    }
}

/// 1 if `value` is new in `seen` and there is room to remember it.
fn distinct(seen: &mut BTreeSet<Uid>, value: Option<&Uid>) -> i64 {
    match value {
        Some(value) if seen.len() < DISTINCT_MAX && !seen.contains(value) => {
            seen.insert(value.clone());
            1
        }
        _ => 0,
    }
}
