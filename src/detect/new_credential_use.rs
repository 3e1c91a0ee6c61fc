//! `new-credential-use`: a credential that somebody made for an identity is first used from where that identity never was.
//!
//! A second key is the usual way to stay: whoever may make one uses it from their own network, while the identity goes on
//! working from its own. So the first use within a day of a credential's making is held against the networks of the
//! identity before it. An identity without history has just been set up, and its first key is used from somewhere new by
//! nature. It is graver if the network is the one from which the credential was made: then whoever made it uses it.

use super::{Before, Detector, Verdict, new_to, no_surer_than};
use crate::correlate::{Dimension, Sighting};
use crate::model::{Confidence, Micros, Severity, Uid, Why};

/// What is a first use, and who has history.
#[derive(Clone, Debug)]
pub struct Params {
    /// A first use later than this many hours after the making is not judged.
    pub hours_max: i64,
    /// An identity younger than this many days has no network of its own.
    pub history_days_min: i64,
}

#[derive(Debug)]
pub(super) struct NewCredentialUse(pub(super) Params);

impl Detector for NewCredentialUse {
    fn name(&self) -> &'static str {
        "new-credential-use"
    }

    fn version(&self) -> i32 {
        1
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1098.001"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI7:2025", "CC6.1", "A.5.17", "8.6.3", "PR.AA-01"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        let credential = before.credential?;
        let uid = sighting.by.credential_uid.as_ref()?;
        let (made, by) = (credential.created_at?, credential.created_by.as_ref()?);
        let since = sighting.event_time.since(made);
        if credential.first_used_at.is_some()
            || !(0..=self.0.hours_max * Micros::HOUR).contains(&since)
            || before.profile.age_days(sighting.event_time) < self.0.history_days_min
        {
            return None;
        }
        let network = sighting.network.as_ref()?;
        let why = new_to(Dimension::Network, sighting, before.profile)
            .filter(|_| !before.profile.values(Dimension::Network).seen.is_empty())?;
        let same = credential.created_from.as_ref() == Some(network);
        let minutes = since / Micros::MINUTE;
        Some(Verdict {
            key: uid.clone(),
            severity: if same {
                Severity::High
            } else {
                Severity::Medium
            },
            confidence: no_surer_than(sighting, Confidence::Strong),
            title: format!("a credential made {minutes} minutes before is used from elsewhere"),
            summary: format!(
                "{uid} was made for {} by {by}{} and first used {minutes} minutes later, from {network}, where {} was \
                 never seen before, for {}.",
                credential.identity,
                credential
                    .created_from
                    .as_ref()
                    .map_or_else(String::new, |from| format!(" from {from}")),
                sighting.by.identity_uid,
                sighting.operation,
            ),
            why: vec![
                why,
                Why {
                    dimension: Uid::from("minutes_since_made"),
                    observed: minutes.to_string(),
                    expected: format!("from a known network within {} hours", self.0.hours_max),
                    window_days: 0,
                    n: 1,
                    bits: None,
                },
            ],
            related_uids: vec![by.clone(), uid.clone()],
            earlier: Vec::new(),
        })
    }

    fn continues(&self, key: &str, sighting: &Sighting, _: &Before<'_>) -> bool {
        sighting.by.credential_uid.as_deref() == Some(key)
    }
}
