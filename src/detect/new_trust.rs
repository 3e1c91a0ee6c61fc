//! `new-trust`: an identity is used by somebody whom a change of its trust let in shortly before.
//!
//! Who may become a role, and which tokens an application believes, is where somebody builds a way back in: no secret is
//! made, nothing expires. A change alone is what deployments do all day; a change and a first use soon after, by somebody
//! who never acted through the identity before, is what this tells. A federated credential that was just added is the
//! same thing in Entra. It is graver if whoever made the change uses it.

use super::{Before, Detector, Verdict, no_surer_than};
use crate::correlate::Sighting;
use crate::model::{Confidence, CredentialKind, Micros, Severity, Uid, Why};

/// How soon is soon.
#[derive(Clone, Debug)]
pub struct Params {
    /// A first use later than so many hours after the change is not led back to it.
    pub hours_max: i64,
    /// An identity that is known for fewer days is being set up: its first uses are new by nature.
    pub history_days_min: i64,
}

#[derive(Debug)]
pub(super) struct NewTrust(pub(super) Params);

impl Detector for NewTrust {
    fn name(&self) -> &'static str {
        "new-trust"
    }

    fn version(&self) -> i32 {
        1
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1098", "T1484.002"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI4:2025", "CC6.1", "A.5.15", "7.2.5", "PR.AA-05"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        if !sighting.success {
            return None;
        }
        let at = sighting.event_time;
        let (changed, by, what) = change(sighting, before)?;
        let since = at.since(changed);
        let known = before.acting?;
        let days = at.since(known.first_wielded_at?) / Micros::DAY;
        if !(0..=self.0.hours_max * Micros::HOUR).contains(&since) || days < self.0.history_days_min
        {
            return None;
        }
        let minutes = since / Micros::MINUTE;
        let user = sighting.wielder().unwrap_or(&sighting.by.acting_uid);
        let own = *by == sighting.by.identity_uid || by == user;
        Some(Verdict {
            key: what.clone(),
            severity: if own {
                Severity::High
            } else {
                Severity::Medium
            },
            confidence: no_surer_than(sighting, Confidence::Strong),
            title: format!("used {minutes} minutes after its trust was changed"),
            summary: format!(
                "{by} changed whom {} trusts at {changed}; {minutes} minutes later {user}, who never acted through it \
                 before, used it for {}.",
                sighting.by.acting_uid, sighting.operation
            ),
            why: vec![Why {
                dimension: Uid::from("minutes_since_trust_changed"),
                observed: minutes.to_string(),
                expected: format!(
                    "one of {} who acted through it before",
                    known.wielders.len()
                ),
                window_days: days,
                n: known.wielders.len() as u64,
                bits: None,
            }],
            related_uids: vec![by.clone(), what.clone()],
            earlier: Vec::new(),
        })
    }

    fn continues(&self, key: &str, sighting: &Sighting, _: &Before<'_>) -> bool {
        let by = &sighting.by;
        *by.acting_uid == *key || by.credential_uid.as_deref() == Some(key)
    }

    fn judges_people(&self) -> bool {
        true
    }
}

/// When the trust was changed that this use may rest on, by whom, and what it is about: nothing if the use is not new.
fn change<'a>(sighting: &'a Sighting, before: &Before<'a>) -> Option<(Micros, &'a Uid, &'a Uid)> {
    let by = &sighting.by;
    if by.credential_kind == Some(CredentialKind::FederatedCredential) {
        let credential = before
            .credential
            .filter(|known| known.first_used_at.is_none())?;
        let uid = by.credential_uid.as_ref()?;
        return Some((credential.created_at?, credential.created_by.as_ref()?, uid));
    }
    let known = before.acting?;
    let wielder = sighting.wielder()?;
    let (changed, maker) = known.trust_changed.as_ref()?;
    known
        .learns(wielder)
        .then_some((*changed, maker, &by.acting_uid))
}
