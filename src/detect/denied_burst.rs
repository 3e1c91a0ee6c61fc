//! `denied-burst`: an identity is refused many different operations within ten minutes.
//!
//! Whoever has found a credential does not know what it may do, and tries. A program that lost a permission is refused the
//! same few operations again and again, which is no burst: different operations count, not calls. An identity that
//! was refused as much in a few hours before (an inventory tool without all rights) is used to it.

use super::{Before, Detector, Verdict, no_surer_than};
use crate::correlate::Sighting;
use crate::model::{Confidence, Severity, Uid, Why};

/// How many refusals are too many.
#[derive(Clone, Debug)]
pub struct Params {
    /// Refusals within ten minutes.
    pub denials_min: usize,
    /// Different operations among them.
    pub operations_min: usize,
    /// So many such hours before are a habit.
    pub usual_hours: u64,
}

const KEY: &str = "refusals";

#[derive(Debug)]
pub(super) struct DeniedBurst(pub(super) Params);

impl Detector for DeniedBurst {
    fn name(&self) -> &'static str {
        "denied-burst"
    }

    fn version(&self) -> i32 {
        1
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1580", "T1526", "T1087.004"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI5:2025", "CC7.2", "A.8.16", "10.2.1.4", "DE.AE-02"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        if !sighting.denied {
            return None;
        }
        let crowd = before.profile.denials_with(sighting);
        if crowd.events < self.0.denials_min || crowd.values < self.0.operations_min {
            return None;
        }
        let alike = before
            .profile
            .denials
            .hours_with(crowd.values, sighting.event_time);
        if alike >= self.0.usual_hours {
            return None;
        }
        Some(Verdict {
            key: Uid::from(KEY),
            severity: Severity::Medium,
            confidence: no_surer_than(sighting, Confidence::Strong),
            title: format!("was refused {} different operations", crowd.values),
            summary: format!(
                "{} was refused {} times within ten minutes, over {} different operations, the last of them {}; \
                 in {alike} of its {} active hours before it was refused as much.",
                sighting.by.identity_uid,
                crowd.events,
                crowd.values,
                sighting.operation,
                before.profile.hours,
            ),
            why: vec![Why {
                dimension: Uid::from("denied_operations"),
                observed: crowd.values.to_string(),
                expected: format!("fewer than {}", self.0.operations_min),
                window_days: before.profile.age_days(sighting.event_time),
                n: before.profile.hours,
                bits: None,
            }],
            related_uids: sighting.presented().into_iter().cloned().collect(),
            earlier: Vec::new(),
        })
    }

    fn continues(&self, _: &str, sighting: &Sighting, _: &Before<'_>) -> bool {
        sighting.denied
    }
}
