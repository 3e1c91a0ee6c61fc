//! `privilege-escalation`: an identity gives itself more than it had, or makes another one that is more and becomes it.
//!
//! Two steps are asked for. One event is enough if it grants the highest tier to an identity of its own chain: nobody who
//! may not already do everything needs to. The other way takes three: create an identity, grant it the highest tier,
//! assume it. Deployments create and grant all day, to roles that others use; they do not become them.

use super::{Before, Detector, Verdict, no_surer_than};
use crate::correlate::Sighting;
use crate::model::{Action, Confidence, Micros, Severity, Uid, Why};

/// What is a step up.
#[derive(Clone, Debug)]
pub struct Params {
    /// Privilege tier that must be granted, 1 to 3.
    pub tier_min: u8,
    /// An identity that was made longer ago, in days, is not held against its maker.
    pub made_days_max: i64,
}

#[derive(Debug)]
pub(super) struct PrivilegeEscalation(pub(super) Params);

impl Detector for PrivilegeEscalation {
    fn name(&self) -> &'static str {
        "privilege-escalation"
    }

    fn version(&self) -> i32 {
        1
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1098", "T1548.005", "T1136.003"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI5:2025", "CC6.3", "A.8.2", "7.2.5", "PR.AA-05"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        if !sighting.success {
            return None;
        }
        self.grants_itself(sighting, before)
            .or_else(|| self.becomes_its_own(sighting, before))
    }

    fn continues(&self, key: &str, sighting: &Sighting, _: &Before<'_>) -> bool {
        sighting.by.chain.iter().any(|identity| **identity == *key)
    }
}

impl PrivilegeEscalation {
    fn grants_itself(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        let (target, tier, reason) = sighting
            .changes
            .iter()
            .zip(before.targets)
            .filter(|(change, _)| change.action == Action::Grant)
            .find_map(|(change, target)| {
                let (tier, reason) = change.privilege.as_ref()?;
                let target = target.as_ref()?;
                let own = sighting.by.chain.contains(target);
                (own && *tier >= self.0.tier_min).then_some((target, *tier, reason))
            })?;
        Some(verdict(
            sighting,
            target,
            "gave itself more privilege".to_owned(),
            format!(
                "{} called {} and so gave {target}, as which it acts, {reason} (tier {tier}).",
                sighting.by.identity_uid, sighting.operation
            ),
            ("granted_to_itself", format!("tier {tier}: {reason}")),
        ))
    }

    fn becomes_its_own(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        let acting = before.acting?;
        let (maker, made) = (acting.created_by.as_ref()?, acting.created_at?);
        let since = sighting.event_time.since(made);
        let (tier, reason) = acting.privilege()?;
        let by = &sighting.by;
        let earlier = &by.chain[..by.chain.len().saturating_sub(1)];
        if tier < self.0.tier_min
            || since > self.0.made_days_max * Micros::DAY
            || !earlier.contains(maker)
        {
            return None;
        }
        Some(verdict(
            sighting,
            &by.acting_uid,
            "became an identity that it made".to_owned(),
            format!(
                "{maker} made {} at {made}, which has {reason} (tier {tier}), and acts as it: it called {}.",
                by.acting_uid, sighting.operation
            ),
            ("acts_as_its_own", format!("tier {tier}: {reason}")),
        ))
    }
}

fn verdict(
    sighting: &Sighting,
    key: &Uid,
    title: String,
    summary: String,
    (dimension, observed): (&str, String),
) -> Verdict {
    Verdict {
        key: key.clone(),
        severity: Severity::High,
        confidence: no_surer_than(sighting, Confidence::Strong),
        title,
        summary,
        why: vec![Why {
            dimension: Uid::from(dimension),
            observed,
            expected: "privilege that others grant".to_owned(),
            window_days: 0,
            n: 1,
            bits: None,
        }],
        related_uids: sighting.by.chain.clone(),
        earlier: Vec::new(),
    }
}
