//! `first-operation`: an identity with steady habits calls a service or an operation that it never called, touches a class
//! of resources or a region that it never touched, or acts as somebody as whom it never acted.
//!
//! How surprising that is depends on how often it does something new: an administrator's role shows a new operation every
//! week, a function that reads one bucket never does. Less surprise is enough for an operation that gives access, reads
//! secrets or blinds a log, or together with a new network. A new account or tenant is `cross-system`'s. All new acts of
//! a day are one finding. An identity that is too young for habits is held against its peers, those of its kind in its
//! tenant: less sure and less grave.

use super::surprise::{self, Against};
use super::{Before, Detector, Verdict, no_surer_than};
use crate::correlate::Sighting;
use crate::model::{Confidence, Severity, Uid, Why};

/// How much surprise is too much.
#[derive(Clone, Debug)]
pub struct Params {
    /// An identity younger than this many days is learning and is held against its peers.
    pub history_days_min: i64,
    /// So is one with fewer distinct active hours.
    pub active_hours_min: u64,
    /// Bits at which a new act alone is a finding.
    pub bits_min: u32,
    /// Bits that are enough for a sensitive operation, or together with a second surprise.
    pub bits_min_joint: u32,
    /// Bits that origin, client and time need together to be a second surprise.
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
        2
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1580", "T1526"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI5:2025", "CC7.2", "A.8.16", "10.4.1", "DE.CM-03"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        let against = self.against(sighting, before)?;
        let act = against.act(sighting)?;
        let bits = act.bits.unwrap_or(0);
        let origin = against
            .origin(sighting)
            .into_iter()
            .max_by_key(|why| why.bits);
        let support = against.support(sighting);
        let second = surprise::sum(origin.iter().chain(&support)) >= self.0.bits_second_group;
        let grave = sighting.sensitive();
        let joint = bits >= self.0.bits_min_joint && (grave.is_some() || second);
        if bits < self.0.bits_min && !joint {
            return None;
        }
        let peers = against.peers().then_some(act.n);
        let title = title(&act, sighting);
        let mut why = vec![act];
        why.extend(origin);
        why.extend(support);
        Some(Verdict {
            key: Uid::from(KEY),
            severity: severity(sighting, peers.is_some()),
            confidence: no_surer_than(
                sighting,
                if peers.is_some() {
                    Confidence::Probable
                } else {
                    Confidence::Strong
                },
            ),
            title,
            summary: summary(sighting, before, peers),
            why,
            related_uids: sighting.credential_uid().into_iter().cloned().collect(),
            earlier: Vec::new(),
        })
    }

    fn continues(&self, _: &str, sighting: &Sighting, before: &Before<'_>) -> bool {
        let against = self.against(sighting, before);
        against.is_some_and(|against| against.act(sighting).is_some())
    }
}

impl FirstOperation {
    fn against<'a>(&self, sighting: &Sighting, before: &Before<'a>) -> Option<Against<'a>> {
        let young = (self.0.history_days_min, self.0.active_hours_min);
        Against::of(sighting, before, young)
    }
}

/// A sensitive act is graver, one that failed is not grave, and one that is only new among peers is less so.
fn severity(sighting: &Sighting, peers: bool) -> Severity {
    match (sighting.success, sighting.sensitive(), peers) {
        (false, _, _) => Severity::Low,
        (true, Some(_), false) => Severity::High,
        (true, Some(_), true) | (true, None, false) => Severity::Medium,
        (true, None, true) => Severity::Low,
    }
}

/// What is new, by the dimension that says so.
fn title(act: &Why, sighting: &Sighting) -> String {
    let what = &act.observed;
    let tried = if sighting.success {
        ""
    } else {
        "tried and failed: "
    };
    let done = match act.dimension.as_ref() {
        "acts_as" => "acted as",
        "region" => "worked in",
        "resource_class" => "touched",
        _ => "called",
    };
    format!("{tried}{done} {what} for the first time")
}

/// What happened, in a sentence or two; `peers` is their number where it was held against them.
fn summary(sighting: &Sighting, before: &Before<'_>, peers: Option<u64>) -> String {
    let done = if sighting.success {
        "called"
    } else {
        "tried to call"
    };
    let identity = &sighting.by.identity_uid;
    let (operation, service) = (&sighting.operation, &sighting.service);
    let days = before.profile.age_days(sighting.event_time);
    let hours = before.profile.hours;
    let mut text = match peers {
        Some(peers) => format!(
            "{identity} {done} {operation} of {service}. It is known for {days} days and {hours} active hours, too short for \
             habits of its own; of {peers} identities of its kind and tenant none is known to have done such a thing."
        ),
        None => format!(
            "{identity} {done} {operation} of {service}, as it never did in {days} days and {hours} active hours."
        ),
    };
    if let Some(group) = sighting.sensitive() {
        text.push_str(&format!(" The operation is sensitive ({group})."));
    }
    text
}
