//! `first-operation`: an identity with steady habits calls a service or an operation that it never called.
//!
//! How surprising that is depends on how often it does something new: an administrator's role shows a new operation every
//! week, a function that reads one bucket never does. Less surprise is enough for an operation that gives access, reads
//! secrets or blinds a log, or together with a new network. A new account or tenant is `cross-system`'s. All new acts of
//! a day are one finding.

use super::{Before, Detector, Verdict, learning, no_surer_than, surprise};
use crate::correlate::{Dimension, Sighting};
use crate::model::{Confidence, Severity, Uid, Why};

/// How much surprise is too much.
#[derive(Clone, Debug)]
pub struct Params {
    /// An identity younger than this many days is learning and is not judged.
    pub history_days_min: i64,
    /// Nor is one with fewer distinct active hours.
    pub active_hours_min: u64,
    /// Bits at which a new service or operation alone is a finding.
    pub bits_min: u32,
    /// Bits that are enough for a sensitive operation, or together with a second surprise.
    pub bits_min_joint: u32,
    /// Bits that make the network a second surprise.
    pub bits_second_group: u32,
}

/// There is one situation of an identity at a time: what it does for the first time.
const KEY: &str = "new acts";

#[derive(Debug)]
pub(super) struct FirstOperation(pub(super) Params);

impl Detector for FirstOperation {
    fn name(&self) -> &'static str {
        "first-operation"
    }

    fn version(&self) -> i32 {
        1
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1580", "T1526"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI5:2025", "CC7.2", "A.8.16", "10.4.1", "DE.CM-03"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        if learning(
            before.profile,
            sighting,
            self.0.history_days_min,
            self.0.active_hours_min,
        ) {
            return None;
        }
        let act = act(sighting, before)?;
        let bits = act.bits.unwrap_or(0);
        let origin = surprise(Dimension::Network, sighting, before.profile)
            .filter(|why| why.bits >= Some(self.0.bits_second_group));
        let grave = sighting.sensitive();
        let joint = bits >= self.0.bits_min_joint && (grave.is_some() || origin.is_some());
        if bits < self.0.bits_min && !joint {
            return None;
        }
        let done = if sighting.success {
            "called"
        } else {
            "tried to call"
        };
        let severity = match (sighting.success, grave) {
            (true, Some(_)) => Severity::High,
            (true, None) => Severity::Medium,
            (false, _) => Severity::Low,
        };
        let what = act.observed.clone();
        let mut why = vec![act];
        why.extend(origin);
        Some(Verdict {
            key: Uid::from(KEY),
            severity,
            confidence: no_surer_than(sighting, Confidence::Strong),
            title: format!("{done} {what} for the first time"),
            summary: format!(
                "{} {done} {} of {} for the first time in {} days and {} active hours.{}",
                sighting.by.identity_uid,
                sighting.operation,
                sighting.service,
                before.profile.age_days(sighting.event_time),
                before.profile.hours,
                grave.map_or_else(String::new, |group| format!(
                    " The operation is sensitive ({group})."
                )),
            ),
            why,
            related_uids: sighting.credential_uid().into_iter().cloned().collect(),
            earlier: Vec::new(),
        })
    }

    fn continues(&self, _: &str, sighting: &Sighting, before: &Before<'_>) -> bool {
        act(sighting, before).is_some()
    }
}

/// The more surprising of a new service and a new operation. One explains the other, so they count once.
fn act(sighting: &Sighting, before: &Before<'_>) -> Option<Why> {
    [Dimension::Service, Dimension::Operation]
        .into_iter()
        .filter_map(|dimension| surprise(dimension, sighting, before.profile))
        .max_by_key(|why| why.bits)
}
