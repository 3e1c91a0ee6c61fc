//! `stolen-service-role`: a role that was always assumed by services is assumed by somebody else.
//!
//! The role of a function, a build or a scheduler is meant for that service; its trust is often wider than anybody knows.
//! Who assumes it instead has found that out. It is asked of every event in whose chain the role has somebody before it,
//! a person too. A role that anybody else ever assumed is used to it.

use super::{Before, Detector, Verdict, no_surer_than};
use crate::correlate::{KnownIdentity, Sighting};
use crate::model::{Confidence, IdentityKind, Severity, Uid, Why};

/// What is always.
#[derive(Clone, Debug)]
pub struct Params {
    /// A role that is known for fewer days is not judged.
    pub history_days_min: i64,
}

#[derive(Debug)]
pub(super) struct StolenServiceRole(pub(super) Params);

impl Detector for StolenServiceRole {
    fn name(&self) -> &'static str {
        "stolen-service-role"
    }

    fn version(&self) -> i32 {
        1
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1078.004", "T1548.005"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI9:2025", "CC6.1", "A.5.15", "7.2.5", "PR.AA-05"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        let wielder = sighting.wielder()?;
        let role = &sighting.by.acting_uid;
        let known = before.acting?;
        let days = sighting.event_time.since(known.first_wielded_at?) / crate::model::Micros::DAY;
        if !only_services(role, known) || days < self.0.history_days_min {
            return None;
        }
        Some(Verdict {
            key: role.clone(),
            severity: Severity::High,
            confidence: no_surer_than(sighting, Confidence::Strong),
            title: "assumed a role that only services assumed".to_owned(),
            summary: format!(
                "{wielder} acts as {role} and called {}; in {days} days that role was only ever handed out by services.",
                sighting.operation
            ),
            why: vec![Why {
                dimension: Uid::from("assumed_by"),
                observed: wielder.to_string(),
                expected: "a service".to_owned(),
                window_days: days,
                n: known.wielders.len() as u64,
                bits: None,
            }],
            related_uids: sighting.by.chain.clone(),
            earlier: Vec::new(),
        })
    }

    fn continues(&self, key: &str, sighting: &Sighting, _: &Before<'_>) -> bool {
        sighting.wielder().is_some() && *sighting.by.acting_uid == *key
    }

    fn judges_people(&self) -> bool {
        true
    }
}

/// Whether `role` has only acted as what a service hands out, with nobody before it.
fn only_services(role: &Uid, known: &KnownIdentity) -> bool {
    let handed_out = [
        IdentityKind::WorkloadRole,
        IdentityKind::ServiceRole,
        IdentityKind::ServiceLinkedRole,
        IdentityKind::Ec2InstanceIdentity,
    ];
    handed_out.iter().any(|kind| kind.name() == known.kind)
        && known.wielders.iter().all(|wielder| wielder == role)
}
