//! `reactivated`: an identity, or one of its long-lived credentials, is used after it slept far longer than it ever did.
//!
//! A key that nobody missed for months is a key nobody watches; whoever finds it uses it first where it was never
//! used. It fires at the moment of waking. A job that sleeps for a month and always did is not woken: the gap must
//! also be a multiple of the longest earlier one. Failed use is a lower finding and does not count as waking, so the
//! first success after it still speaks. An identity sleeps from the last time when anybody acted through it.

use super::{Before, Detector, Verdict, no_surer_than};
use crate::correlate::{Dimension, Sighting, Sleep};
use crate::model::{Confidence, Micros, Severity, Uid, Why};

/// When a sleep is long.
#[derive(Clone, Debug)]
pub struct Params {
    /// No shorter sleep is worth a finding, in days.
    pub gap_days_min: i64,
    /// The sleep must be this many times as long as the longest earlier one.
    pub gap_factor: i64,
    /// An identity with fewer distinct days of use has no habit yet …
    pub active_days_min: u32,
    /// … and must have slept at least this many days instead.
    pub gap_days_min_young: i64,
}

/// Marks the situation of a credential or identity that was tried and did not succeed.
const TRIED: &str = "#tried";

#[derive(Debug)]
pub(super) struct Reactivated(pub(super) Params);

impl Detector for Reactivated {
    fn name(&self) -> &'static str {
        "reactivated"
    }

    fn version(&self) -> i32 {
        2
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1078.004"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI1:2025", "CC6.2", "A.5.18", "8.2.6", "PR.AA-01"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        let identity = sighting.profiled()?;
        let used = last_use(identity, sighting, before);
        let before = before.profile;
        // An empty profile has no sleep to wake from, whoever else used the identity.
        let last = before.sleep.last_success_at.map(|own| own.max(used));
        if let Some(gap) = self.woke(&before.sleep, last, sighting.event_time) {
            return Some(verdict(sighting, identity, &before.sleep, gap, "identity"));
        }
        let credential = sighting.credential_uid()?;
        let stats = before.stats(Dimension::Credential, credential)?;
        let last = stats.sleep.last_success_at;
        let gap = self.woke(&stats.sleep, last, sighting.event_time)?;
        Some(verdict(
            sighting,
            credential,
            &stats.sleep,
            gap,
            "credential",
        ))
    }

    fn continues(&self, key: &str, sighting: &Sighting, _: &Before<'_>) -> bool {
        let (key, tried) = match key.strip_suffix(TRIED) {
            Some(key) => (key, true),
            None => (key, false),
        };
        if tried && sighting.success {
            return false;
        }
        let identity = sighting.profiled().is_some_and(|uid| uid.as_ref() == key);
        identity || sighting.credential_uid().map(AsRef::as_ref) == Some(key)
    }
}

impl Reactivated {
    /// How long the sleep since `last` lasted that ends at `at`, if it was long enough beside the earlier ones.
    fn woke(&self, sleep: &Sleep, last: Option<Micros>, at: Micros) -> Option<i64> {
        let gap = at.since(last?);
        let days_min = if sleep.days < self.0.active_days_min {
            self.0.gap_days_min_young
        } else {
            self.0.gap_days_min
        };
        let long = gap >= days_min * Micros::DAY;
        let longer = gap >= sleep.longest_gap.saturating_mul(self.0.gap_factor);
        (long && longer).then_some(gap)
    }
}

/// When `identity` was last used by anybody, to the hour; the earliest time there is if it never was.
fn last_use(identity: &Uid, sighting: &Sighting, before: &Before<'_>) -> Micros {
    let known = if sighting.by.acting_uid == *identity {
        before.acting
    } else if sighting.by.origin_uid == *identity {
        before.origin
    } else {
        None
    };
    let last = known.and_then(|known| known.last_use.as_ref());
    last.map_or(Micros::MIN, |(last, _)| *last)
}

fn verdict(sighting: &Sighting, key: &Uid, sleep: &Sleep, gap: i64, what: &str) -> Verdict {
    let days = gap / Micros::DAY;
    let longest = sleep.longest_gap / Micros::DAY;
    let network = sighting.network.as_deref().unwrap_or("an unknown network");
    let used = if sighting.success { "used" } else { "tried" };
    Verdict {
        // What was only tried is a situation of its own, so that the first success still speaks.
        key: if sighting.success {
            key.clone()
        } else {
            Uid::from(format!("{key}{TRIED}"))
        },
        severity: if sighting.success {
            Severity::High
        } else {
            Severity::Low
        },
        confidence: no_surer_than(sighting, Confidence::Exact),
        title: format!("{what} woke after {days} days"),
        summary: format!(
            "{key} was {used} for {} from {network} after {days} days without successful use; \
             its longest earlier pause was {longest} days.",
            sighting.operation
        ),
        why: vec![Why {
            dimension: Uid::from("gap_days"),
            observed: days.to_string(),
            expected: format!("at most {longest}"),
            window_days: days,
            n: u64::from(sleep.days),
            bits: None,
        }],
        related_uids: sighting.credential_uid().into_iter().cloned().collect(),
        earlier: Vec::new(),
    }
}
