//! `human-use`: a person works with the identity of a machine.
//!
//! A machine has no browser, does not sign in to the console and gives no second factor. When one that never showed such a
//! sign does, or when a person assumes a role that so far only machines used, the credential is with a person: a colleague
//! in a hurry, or somebody else. Who may use it is then nobody's decision any more, and no action can be led back to one
//! person. It is told once of each: identities that people ever used are used to it.

use super::{Before, Detector, Verdict, learning, no_surer_than};
use crate::correlate::{Dimension, Sighting};
use crate::model::{ActorType, Confidence, Severity, Uid, Why};

/// Who is a machine.
#[derive(Clone, Debug)]
pub struct Params {
    /// An identity younger than this many days is learning and is not judged.
    pub history_days_min: i64,
    /// Nor is one with fewer distinct active hours.
    pub active_hours_min: u64,
}

#[derive(Debug)]
pub(super) struct HumanUse(pub(super) Params);

impl Detector for HumanUse {
    fn name(&self) -> &'static str {
        "human-use"
    }

    fn version(&self) -> i32 {
        1
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1078.004"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI10:2025", "CC6.1", "A.5.16", "8.6.1", "PR.AA-01"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        let sign = sign(sighting, before)?;
        let signs = &before.profile.values(Dimension::Person).seen;
        if !signs.is_empty()
            || learning(
                before.profile,
                sighting,
                self.0.history_days_min,
                self.0.active_hours_min,
            )
        {
            return None;
        }
        let days = before.profile.age_days(sighting.event_time);
        let machine = sighting.wielded()?;
        Some(Verdict {
            key: machine.clone(),
            severity: Severity::Medium,
            confidence: no_surer_than(sighting, Confidence::Probable),
            title: format!("used by a person ({sign})"),
            summary: format!(
                "{machine} was used by a person ({sign}) for {}; in {days} days and {} active hours it showed no sign \
                 of one.",
                sighting.operation, before.profile.hours,
            ),
            why: vec![Why {
                dimension: Uid::from(Dimension::Person.name()),
                observed: sign,
                expected: "no sign of a person".to_owned(),
                window_days: days,
                n: before.profile.hours,
                bits: None,
            }],
            related_uids: sighting.by.chain.clone(),
            earlier: Vec::new(),
        })
    }

    fn continues(&self, _: &str, sighting: &Sighting, before: &Before<'_>) -> bool {
        sighting.by.actor_type == ActorType::Human || sign(sighting, before).is_some()
    }

    fn judges_people(&self) -> bool {
        true
    }
}

/// What says that a person is at work: who acts, if no person ever did, else a sign in the record.
fn sign(sighting: &Sighting, before: &Before<'_>) -> Option<String> {
    if sighting.by.actor_type == ActorType::Human {
        let known = before.acting.is_some_and(|acting| acting.used_by_people);
        return (!known).then(|| sighting.by.identity_uid.to_string());
    }
    sighting.person.as_ref().map(ToString::to_string)
}
