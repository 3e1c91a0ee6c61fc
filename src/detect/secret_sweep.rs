//! `secret-sweep`: an identity reads secrets from many services or regions within an hour.
//!
//! A program reads the secrets it needs from where they are kept. Whoever reads them in every region and every store is
//! collecting. An identity that did so in a few hours before (a tool that copies or counts secrets) is used to it; of
//! a young one more is asked, because a program that has just been deployed reads its first secrets too. One that is known
//! for long and seldom seen is not young.
//! Decryption and tokens of registries are left out: everything that works with encrypted data calls them.

use super::{Before, Detector, Verdict, no_surer_than};
use crate::correlate::Sighting;
use crate::model::{Confidence, Severity, Uid, Why};

/// How many places are too many.
#[derive(Clone, Debug)]
pub struct Params {
    /// Different services and regions within an hour.
    pub places_min: usize,
    /// So many of an identity that is young …
    pub places_min_young: usize,
    /// … because it is known for fewer days than this.
    pub history_days_min: i64,
    /// Secrets read in them.
    pub reads_min: usize,
    /// So many such hours before are a habit.
    pub usual_hours: u64,
}

const KEY: &str = "secrets";

#[derive(Debug)]
pub(super) struct SecretSweep(pub(super) Params);

impl Detector for SecretSweep {
    fn name(&self) -> &'static str {
        "secret-sweep"
    }

    fn version(&self) -> i32 {
        2
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1555.006", "T1552"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI2:2025", "CC6.1", "A.8.16", "10.4.1", "DE.CM-03"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        let place = sighting.secret_read()?;
        let crowd = before.profile.secrets_with(sighting, &place);
        let young = before.profile.age_days(sighting.event_time) < self.0.history_days_min;
        let places_min = if young {
            self.0.places_min_young
        } else {
            self.0.places_min
        };
        if crowd.values < places_min || crowd.events < self.0.reads_min {
            return None;
        }
        let alike = before
            .profile
            .secrets
            .hours_with(crowd.values, sighting.event_time);
        if alike >= self.0.usual_hours {
            return None;
        }
        Some(Verdict {
            key: Uid::from(KEY),
            severity: Severity::High,
            confidence: no_surer_than(sighting, Confidence::Strong),
            title: format!("read secrets in {} places within an hour", crowd.values),
            summary: format!(
                "{} read secrets {} times within an hour from {} services and regions, the last of them {place}; \
                 in {alike} of its {} active hours before it read from as many.",
                sighting.by.identity_uid, crowd.events, crowd.values, before.profile.hours,
            ),
            why: vec![Why {
                dimension: Uid::from("secret_places"),
                observed: crowd.values.to_string(),
                expected: format!("fewer than {places_min}"),
                window_days: before.profile.age_days(sighting.event_time),
                n: before.profile.hours,
                bits: None,
            }],
            related_uids: sighting.presented().into_iter().cloned().collect(),
            earlier: Vec::new(),
        })
    }

    fn continues(&self, _: &str, sighting: &Sighting, _: &Before<'_>) -> bool {
        sighting.secret_read().is_some()
    }
}
