//! `volume-spike`: an identity does many times as much in an hour as it ever did at that time of day.
//!
//! Copying a store, encrypting every object of a bucket or mining with somebody's quota shows as volume before it shows as
//! anything else. Hours are compared with the same and the neighbouring hours of days of the same sort, workdays or
//! weekends, so that a nightly job is no spike by night and one at noon; and with the busiest hour there ever was, so that
//! a job that moves to another hour is none either.

use super::{Before, Detector, Verdict, learning, no_surer_than};
use crate::correlate::Sighting;
use crate::model::{Confidence, Severity, Uid, Why};

/// What is many times as much.
#[derive(Clone, Debug)]
pub struct Params {
    /// An identity younger than this many days is learning and is not judged.
    pub history_days_min: i64,
    /// Nor is one with fewer distinct active hours.
    pub active_hours_min: u64,
    /// No hour with fewer events is a spike.
    pub events_min: u32,
    /// It has more than this many times the events of its time of day …
    pub usual_factor: u32,
    /// … and more than this many times those of the busiest hour.
    pub busiest_factor: u32,
}

#[derive(Debug)]
pub(super) struct VolumeSpike(pub(super) Params);

impl Detector for VolumeSpike {
    fn name(&self) -> &'static str {
        "volume-spike"
    }

    fn version(&self) -> i32 {
        1
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1530", "T1486", "T1496"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI10:2025", "CC7.2", "A.8.16", "10.4.1", "DE.AE-02"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        let at = sighting.event_time;
        let rhythm = &before.profile.rhythm;
        let events = rhythm.with(at);
        if events < self.0.events_min {
            return None;
        }
        let (usual, busiest) = (rhythm.usual(at), rhythm.busiest());
        let most = [
            self.0.events_min - 1,
            usual.saturating_mul(self.0.usual_factor),
            busiest.saturating_mul(self.0.busiest_factor),
        ];
        if most.iter().any(|most| events <= *most)
            || learning(
                before.profile,
                sighting,
                self.0.history_days_min,
                self.0.active_hours_min,
            )
        {
            return None;
        }
        let days = before.profile.age_days(at);
        Some(Verdict {
            key: key(sighting),
            severity: Severity::Medium,
            confidence: no_surer_than(sighting, Confidence::Probable),
            title: format!("{events} events in an hour that has at most {usual}"),
            summary: format!(
                "{} had {events} events in one hour so far, the last of them {}; at this time of day it had at most \
                 {usual}, and {busiest} in its busiest hour of {days} days.",
                sighting.by.identity_uid, sighting.operation,
            ),
            why: vec![Why {
                dimension: Uid::from("events_per_hour"),
                observed: events.to_string(),
                expected: format!("at most {usual} at this time of day, {busiest} ever"),
                window_days: days,
                n: before.profile.hours,
                bits: None,
            }],
            related_uids: sighting.presented().into_iter().cloned().collect(),
            earlier: Vec::new(),
        })
    }

    fn continues(&self, key: &str, sighting: &Sighting, _: &Before<'_>) -> bool {
        *key == *self::key(sighting)
    }
}

/// The hour that is the spike.
fn key(sighting: &Sighting) -> Uid {
    Uid::from(format!("hour {}", sighting.event_time.hour()))
}
