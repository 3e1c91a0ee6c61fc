//! `overdue-rotation`: a long-lived key, secret or certificate is older than its identity's privilege allows.
//!
//! The longer a key lives, the more places know it. The window depends on what it opens: days for what can do everything,
//! months for the rest. It is told of credentials that can be used and whose making stands in the logs: how old the others
//! are nobody can tell from a log. A new credential beside the old one is no rotation until the old one is switched off.

use super::sweep::{Subject, Sweep, Word};
use crate::model::{Confidence, CredentialKind, Severity, Uid, Why};

/// How old is old, in days, by privilege tier.
#[derive(Clone, Debug)]
pub struct Params {
    /// For identities that can give themselves everything (tier 3).
    pub days_tier_3: i64,
    /// For those that can read secrets, let data out or blind a log (tier 2).
    pub days_tier_2: i64,
    /// For all others.
    pub days: i64,
}

/// Credentials that somebody must change: they hold a secret that does not change by itself.
const ROTATED: [CredentialKind; 5] = [
    CredentialKind::AccessKey,
    CredentialKind::BearerApiKey,
    CredentialKind::ServiceSpecific,
    CredentialKind::SpCertificate,
    CredentialKind::SpSecret,
];

#[derive(Debug)]
pub(super) struct OverdueRotation(pub(super) Params);

impl Sweep for OverdueRotation {
    fn name(&self) -> &'static str {
        "overdue-rotation"
    }

    fn version(&self) -> i32 {
        1
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1078.004", "T1552"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI7:2025", "CC6.1", "A.5.17", "8.6.3", "PR.AA-01"]
    }

    fn look(&self, subject: &Subject<'_>) -> Vec<Word> {
        let tier = subject.tier();
        let (allowed, severity) = match tier {
            3.. => (self.0.days_tier_3, Severity::Medium),
            2 => (self.0.days_tier_2, Severity::Low),
            _ => (self.0.days, Severity::Info),
        };
        let keys = subject.known.keys.iter();
        keys.filter(|(_, key)| key.ended_at.is_none() && ROTATED.contains(&key.kind))
            .filter_map(|(uid, key)| Some((uid, key, key.made_at?)))
            .filter(|(_, _, made)| subject.days_since(*made) >= allowed)
            .map(|(uid, key, made)| {
                let age = subject.days_since(made);
                Word {
                    about: uid.clone(),
                    // Told again when it is twice as old as it may be.
                    level: if age >= 2 * allowed { 2 } else { 1 },
                    severity,
                    confidence: Confidence::Exact,
                    title: format!("a credential is {age} days old"),
                    summary: format!(
                        "{uid} of {} was made at {made}, {age} days ago; with privilege of tier {tier} it may be {allowed} \
                         days old.",
                        subject.called()
                    ),
                    why: vec![Why {
                        dimension: Uid::from("credential_age_days"),
                        observed: age.to_string(),
                        expected: format!("fewer than {allowed}"),
                        window_days: allowed,
                        n: 1,
                        bits: None,
                    }],
                    since: made,
                    event: key.made_event.clone(),
                }
            })
            .collect()
    }

    fn over(&self, word: &Word, subject: &Subject<'_>) -> bool {
        let key = subject.known.keys.get(&word.about);
        key.is_none_or(|key| key.ended_at.is_some() || key.made_at != Some(word.since))
    }
}
