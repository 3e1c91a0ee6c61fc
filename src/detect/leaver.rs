//! `leaver`: an identity or credential that somebody made is used for the first time after that somebody left.
//!
//! Who made a key knows it, and takes it along. That an account of a person was deleted or disabled is seen in the logs; what
//! that person made stays, and mostly rightly so, because it does its work: it is told once, so that somebody decides who
//! owns it now. Being used from elsewhere is told by other detectors.

use super::{Before, Detector, Verdict, no_surer_than};
use crate::correlate::{Dimension, Sighting};
use crate::model::{Confidence, Micros, Severity, Uid, Why};

/// How long the question is open.
#[derive(Clone, Debug)]
pub struct Params {
    /// A first use later than so many days after the leaving is not led back to it.
    pub days_max: i64,
}

#[derive(Debug)]
pub(super) struct Leaver(pub(super) Params);

impl Detector for Leaver {
    fn name(&self) -> &'static str {
        "leaver"
    }

    fn version(&self) -> i32 {
        1
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1078.004", "T1136.003"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI1:2025", "CC6.2", "A.5.11", "8.2.5", "PR.AA-01"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        // Machines make identities too, and are replaced: nothing leaves with them.
        let person = before.maker.filter(|maker| maker.used_by_people)?;
        let (left, maker) = (person.ended_at?, before.made_by()?);
        let at = sighting.event_time;
        let since = at.since(left);
        let used_before = last_use(sighting, before).is_some_and(|last| last > left);
        if !sighting.success || used_before || !(1..=self.0.days_max * Micros::DAY).contains(&since)
        {
            return None;
        }
        let days = since / Micros::DAY;
        let what = &sighting.by.acting_uid;
        Some(Verdict {
            key: maker.clone(),
            severity: Severity::Medium,
            confidence: no_surer_than(sighting, Confidence::Strong),
            title: format!("used {days} days after its maker left"),
            summary: format!(
                "{what}, or its credential, was made by {maker}, whose account was disabled or deleted at {left}; {days} \
                 days later it was used for {}.",
                sighting.operation
            ),
            why: vec![Why {
                dimension: Uid::from("days_since_maker_left"),
                observed: days.to_string(),
                expected: "a new owner before the next use".to_owned(),
                window_days: 0,
                n: 1,
                bits: None,
            }],
            related_uids: vec![maker.clone(), what.clone()],
            earlier: Vec::new(),
        })
    }

    fn continues(&self, key: &str, _: &Sighting, before: &Before<'_>) -> bool {
        before.made_by().is_some_and(|maker| **maker == *key)
    }
}

/// When what the leaver made was last used: the credential, if they made that, else the identity.
fn last_use(sighting: &Sighting, before: &Before<'_>) -> Option<Micros> {
    let made_key = before
        .credential
        .is_some_and(|known| known.created_by.is_some());
    let credential = sighting.credential_uid().filter(|_| made_key);
    match credential {
        Some(credential) => {
            let stats = before.profile.stats(Dimension::Credential, credential);
            stats.map(|stats| stats.last_seen_at)
        }
        None => before.acting?.last_use.as_ref().map(|(last, _)| *last),
    }
}
