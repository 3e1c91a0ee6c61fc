//! `concurrent-origins`: one credential is used from two networks within a quarter of an hour that were never seen together.
//!
//! A credential that is copied works in two places at once. Machines behind several ways out do too, all day: what counts is
//! that these two networks were never seen together, and how seldom that happens to this identity. Sessions count for
//! themselves, so a role with many instances is many credentials here.

use super::{Before, Detector, Verdict, learning, no_surer_than};
use crate::correlate::{Dimension, Sighting, bits};
use crate::model::{Confidence, Micros, Severity, Uid, Why};

/// How much surprise is too much.
#[derive(Clone, Debug)]
pub struct Params {
    /// An identity younger than this many days is learning and is not judged.
    pub history_days_min: i64,
    /// Nor is one with fewer distinct active hours.
    pub active_hours_min: u64,
    /// Bits at which two networks at once are a finding.
    pub bits_min: u32,
}

#[derive(Debug)]
pub(super) struct ConcurrentOrigins(pub(super) Params);

impl Detector for ConcurrentOrigins {
    fn name(&self) -> &'static str {
        "concurrent-origins"
    }

    fn version(&self) -> i32 {
        2
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1550.001", "T1078.004"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI9:2025", "CC7.2", "A.8.16", "10.4.1", "DE.CM-03"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        let network = sighting.network.as_ref()?;
        let credential = sighting.presented()?;
        let at = sighting.event_time;
        let profile = before.profile;
        let beside = profile.whereabouts.beside(credential, network, at)?;
        let (other, then) = (beside.network, beside.at);
        let hours = profile.values(Dimension::Network).hours;
        let surprise = bits(hours, profile.whereabouts.single_pairs());
        if surprise < self.0.bits_min
            || learning(
                profile,
                sighting,
                self.0.history_days_min,
                self.0.active_hours_min,
            )
        {
            return None;
        }
        let minutes = at.since(then).abs() / Micros::MINUTE;
        let events = |network| {
            let stats = profile.stats(Dimension::Network, network);
            stats.map_or(0, |stats| stats.events)
        };
        // What goes on in the usual one of the two is no part of it.
        let rare = if events(other) < events(network) {
            other
        } else {
            network
        };
        Some(Verdict {
            key: rare.clone(),
            severity: if sighting.sensitive().is_some() {
                Severity::High
            } else {
                Severity::Medium
            },
            confidence: no_surer_than(sighting, Confidence::Strong),
            title: format!("used from {other} and {network} within {minutes} minutes"),
            summary: format!(
                "{credential} of {} was used from {other} and, {minutes} minutes later, from {network} for {}; in {hours} \
                 active hours these two were never seen together.",
                sighting.by.identity_uid, sighting.operation,
            ),
            why: vec![Why {
                dimension: Uid::from("networks_at_once"),
                observed: format!("{other} and {network}"),
                expected: format!("one of {} known pairs", profile.whereabouts.pairs()),
                window_days: profile.age_days(at),
                n: hours,
                bits: Some(surprise),
            }],
            related_uids: vec![credential.clone()],
            earlier: beside
                .event
                .map(|event| (event.clone(), then))
                .into_iter()
                .collect(),
        })
    }

    fn continues(&self, key: &str, sighting: &Sighting, _: &Before<'_>) -> bool {
        sighting.network.as_deref() == Some(key)
    }
}
