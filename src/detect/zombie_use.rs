//! `zombie-use`: a credential or identity is used after it was disabled or deleted, or through a session that outlived it.
//!
//! Disabling a key does not end the sessions that were obtained with it (AWS IAM user guide, "Disabling permissions for
//! temporary security credentials"), and neither does deleting a role's user: whoever holds such a session works on. So
//! three things are asked: is the credential itself ended, is an identity of the chain ended, and has the user behind the
//! session any key left. IAM is eventually consistent, so uses shortly after the end are not judged.

use super::{Before, Detector, Verdict, no_surer_than};
use crate::correlate::Sighting;
use crate::model::{ActorType, Confidence, CredentialKind, Method, Micros, Severity, Uid, Why};

/// What is shortly after.
#[derive(Clone, Debug)]
pub struct Params {
    /// Uses within so many minutes after the end are not judged.
    pub grace_minutes: i64,
}

#[derive(Debug)]
pub(super) struct ZombieUse(pub(super) Params);

/// What ended, when, and how it is still used.
struct Ended {
    what: Uid,
    at: Micros,
    how: &'static str,
}

impl Detector for ZombieUse {
    fn name(&self) -> &'static str {
        "zombie-use"
    }

    fn version(&self) -> i32 {
        1
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1078.004", "T1550.001"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI1:2025", "CC6.2", "A.5.18", "8.2.6", "PR.AA-01"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        let grace = self.0.grace_minutes * Micros::MINUTE;
        let ended =
            ended(sighting, before).filter(|ended| sighting.event_time.since(ended.at) > grace)?;
        let minutes = sighting.event_time.since(ended.at) / Micros::MINUTE;
        let (used, severity) = if sighting.success {
            ("used", Severity::High)
        } else {
            ("tried", Severity::Low)
        };
        Some(Verdict {
            key: ended.what.clone(),
            severity,
            confidence: no_surer_than(sighting, Confidence::Strong),
            title: format!("{used} {minutes} minutes after its end"),
            summary: format!(
                "{} was disabled or deleted at {}; {minutes} minutes later it was {used} for {}{}.",
                ended.what, ended.at, sighting.operation, ended.how,
            ),
            why: vec![Why {
                dimension: Uid::from("minutes_after_end"),
                observed: minutes.to_string(),
                expected: format!("no use later than {} minutes after", self.0.grace_minutes),
                window_days: 0,
                n: 1,
                bits: None,
            }],
            related_uids: sighting.by.chain.clone(),
            earlier: Vec::new(),
        })
    }

    fn continues(&self, key: &str, sighting: &Sighting, before: &Before<'_>) -> bool {
        ended(sighting, before).is_some_and(|ended| *ended.what == *key)
    }

    fn judges_people(&self) -> bool {
        true
    }
}

/// What of the event's credential and identities had ended before it.
fn ended(sighting: &Sighting, before: &Before<'_>) -> Option<Ended> {
    let by = &sighting.by;
    if let (Some(credential), Some(at)) = (
        &by.credential_uid,
        before
            .credential
            .and_then(|credential| credential.ended_at()),
    ) {
        return Some(Ended {
            what: credential.clone(),
            at,
            how: "",
        });
    }
    let session = by.credential_kind != Some(CredentialKind::AccessKey);
    for (identity, known) in [
        (&by.acting_uid, before.acting),
        (&by.origin_uid, before.origin),
    ] {
        if let Some(at) = known.and_then(|known| known.ended_at) {
            return Some(Ended {
                what: identity.clone(),
                at,
                how: if session {
                    ", through a session that goes on"
                } else {
                    ""
                },
            });
        }
    }
    // What a person does begins at the console as a rule, and needs no key.
    let person = by.actor_type == ActorType::Human || by.method == Method::ConsoleSignIn;
    let origin = before.origin.filter(|_| session && !person)?;
    Some(Ended {
        what: by.origin_uid.clone(),
        at: origin.without_access_keys_since()?,
        how: ", through a session, with no key of it left",
    })
}
