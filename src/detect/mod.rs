//! One file per detector: a question asked of every sighting, with the profile as it was *before* it.
//!
//! A detector decides from what it is handed and remembers nothing itself: profiles remember for all of them. It says
//! what was seen, what was expected and on how much history that rests; the engine turns that into a finding, follows
//! the situation for a day and counts what else happened in it.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod cross_system;
mod reactivated;
mod unusual_origin;

use std::fmt;

use crate::correlate::{Profile, Sighting};
use crate::model::{Confidence, Severity, Uid, Why};

pub use cross_system::Params as CrossSystem;
pub use reactivated::Params as Reactivated;
pub use unusual_origin::Params as UnusualOrigin;

/// Thresholds of every detector; `None` switches one off.
#[derive(Clone, Debug)]
pub struct Params {
    pub cross_system: Option<CrossSystem>,
    pub reactivated: Option<Reactivated>,
    pub unusual_origin: Option<UnusualOrigin>,
}

/// What a detector says about one sighting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the situation is about: the network, tenant or credential. Later events with the same key belong to it.
    pub key: Uid,
    pub severity: Severity,
    pub confidence: Confidence,
    pub title: String,
    pub summary: String,
    pub why: Vec<Why>,
    pub related_uids: Vec<Uid>,
}

/// One detector.
pub trait Detector: fmt::Debug + Send + Sync {
    /// The name under which rows, configuration and controls know it.
    fn name(&self) -> &'static str;

    /// Raised when the same events would give other findings than before.
    fn version(&self) -> i32;

    /// MITRE ATT&CK technique ids that this behaviour is a sign of.
    fn attacks(&self) -> &'static [&'static str];

    /// Controls that this behaviour bears on, by the ids of `schemas/controls.toml`.
    fn controls(&self) -> &'static [&'static str];

    /// What the detector says about `sighting`, given what was normal before it.
    fn judge(&self, sighting: &Sighting, before: &Profile) -> Option<Verdict>;

    /// Whether `sighting`, of the same identity and within a day, belongs to the situation with this key.
    fn continues(&self, key: &str, sighting: &Sighting) -> bool;
}

/// Every detector that is switched on, alphabetically.
pub fn detectors(params: &Params) -> Vec<Box<dyn Detector>> {
    let mut detectors: Vec<Box<dyn Detector>> = Vec::new();
    if let Some(params) = &params.cross_system {
        detectors.push(Box::new(cross_system::CrossSystem(params.clone())));
    }
    if let Some(params) = &params.reactivated {
        detectors.push(Box::new(reactivated::Reactivated(params.clone())));
    }
    if let Some(params) = &params.unusual_origin {
        detectors.push(Box::new(unusual_origin::UnusualOrigin(params.clone())));
    }
    detectors
}

/// Operations whose unusual use is worth more than their rarity: they give access, hide traces or hand out secrets.
/// Compared without letter case, as ARM's are lower case and AWS's are not.
///
/// Sources: Rhino Security Labs' list of IAM privilege escalation methods; MITRE ATT&CK T1098, T1552, T1562.008.
const SENSITIVE: [&str; 24] = [
    "addroletoinstanceprofile",
    "attachrolepolicy",
    "attachuserpolicy",
    "createaccesskey",
    "createloginprofile",
    "createpolicyversion",
    "createuser",
    "deletetrail",
    "getparameter",
    "getparameters",
    "getsecretvalue",
    "passrole",
    "putrolepolicy",
    "putuserpolicy",
    "setdefaultpolicyversion",
    "stoplogging",
    "updateassumerolepolicy",
    "updateloginprofile",
    "microsoft.authorization/roleassignments/write",
    "microsoft.keyvault/vaults/accesspolicies/write",
    "microsoft.storage/storageaccounts/listkeys/action",
    "microsoft.insights/diagnosticsettings/delete",
    "secretget",
    "secretlist",
];

/// Whether `operation` stands in the list of sensitive operations.
fn sensitive(operation: &str) -> bool {
    SENSITIVE
        .iter()
        .any(|known| known.eq_ignore_ascii_case(operation))
}

/// Whether an identity is too young to be surprised about: fewer days or active hours than these.
fn learning(before: &Profile, sighting: &Sighting, days_min: i64, hours_min: u64) -> bool {
    before.age_days(sighting.event_time) < days_min || before.hours < hours_min
}

/// The weaker of the attribution's confidence and the detector's own: a finding is no surer than who it is about.
fn no_surer_than(sighting: &Sighting, own: Confidence) -> Confidence {
    sighting.by.confidence.min(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_alphabetic_and_names_are_unique() {
        let params = Params {
            cross_system: Some(CrossSystem {
                history_days_min: 14,
                active_hours_min: 50,
                bits_min: 7,
            }),
            reactivated: Some(Reactivated {
                gap_days_min: 30,
                gap_factor: 4,
                active_days_min: 3,
                gap_days_min_young: 90,
            }),
            unusual_origin: Some(UnusualOrigin {
                history_days_min: 14,
                active_hours_min: 50,
                bits_min: 10,
                bits_min_joint: 7,
                bits_second_group: 5,
            }),
        };
        let names: Vec<_> = detectors(&params).iter().map(|d| d.name()).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }
}
