//! What time alone brings about: nothing happens, and that is the finding.
//!
//! Detectors are asked about events; a sweep is asked about every machine identity at the beginning of each day (UTC), with
//! what is known of it then. It says how grave the matter is by a level that only rises: a finding has one revision for each
//! level, and is closed when the matter is over: the identity was used, the key was changed, either was removed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::correlate::{KnownIdentity, Standing};
use crate::model::{Confidence, Day, Facts, Micros, Severity, Uid, Why};

/// Kinds of identities that a sweep is asked about: machines that a customer owns and can remove.
pub const KINDS: [&str; 10] = [
    "agent",
    "ec2_instance_identity",
    "iam_role",
    "iam_user",
    "managed_identity",
    "oidc_ci",
    "oidc_workload",
    "service_principal",
    "service_role",
    "workload_role",
];

/// One identity at the beginning of a day.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub uid: &'a Uid,
    pub known: &'a KnownIdentity,
    /// What an inventory says of it, and whether there is any inventory.
    pub facts: Option<&'a Facts>,
    pub inventory: bool,
    pub today: Day,
    /// Days before today on which its tenant's logs told of anything, the latest last.
    pub logged: &'a [Day],
}

impl Subject<'_> {
    /// Whether it is a machine that can still be used and that nobody keeps under another id.
    pub fn judged(&self) -> bool {
        let known = self.known;
        // A user without a key that can be used is a person, or cannot do anything.
        let person =
            known.kind == "iam_user" && !known.keys.values().any(|key| key.ended_at.is_none());
        KINDS.contains(&known.kind.as_str())
            && known.standing == Standing::Active
            && known.merged_into.is_none()
            && !person
    }

    /// Whole days from `then` to today.
    pub fn days_since(&self, then: Micros) -> i64 {
        i64::from(self.today.0) - i64::from(then.day().0)
    }

    /// Whether its use would have been seen in the last `days`: the logs of its tenant reach back as far, and have gaps
    /// on at most one day in ten.
    pub fn covered(&self, days: i64) -> bool {
        let from = i64::from(self.today.0) - days;
        let early = self
            .logged
            .first()
            .is_some_and(|first| i64::from(first.0) <= from);
        early && self.days_without_logs(days) * 10 <= days
    }

    /// On how many of the last `days` its tenant's logs told of nothing.
    pub fn days_without_logs(&self, days: i64) -> i64 {
        let from = i64::from(self.today.0) - days;
        let with = self
            .logged
            .iter()
            .rev()
            .take_while(|day| i64::from(day.0) >= from);
        days - i64::try_from(with.count()).unwrap_or(days)
    }

    /// The privilege tier that is known of it.
    pub fn tier(&self) -> u8 {
        self.known.privilege().map_or(0, |(tier, _)| tier)
    }

    /// Its name for a sentence: the one that people gave it where it is known.
    pub fn called(&self) -> String {
        match &self.known.name {
            Some(name) => format!("{name} ({})", self.uid),
            None => self.uid.to_string(),
        }
    }
}

/// What a sweep says about one identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// What it is about: the identity itself, or one of its credentials.
    pub about: Uid,
    /// Rises with time. A finding is revised when it does.
    pub level: u8,
    pub severity: Severity,
    pub confidence: Confidence,
    pub title: String,
    pub summary: String,
    pub why: Vec<Why>,
    /// Since when: the last use, or the beginning. The same matter has the same time on every replay.
    pub since: Micros,
    /// The event of then, where it was seen.
    pub event: Option<Uid>,
}

/// A question asked of every machine identity once a day.
pub trait Sweep: fmt::Debug + Send + Sync {
    /// The name under which rows, configuration and controls know it.
    fn name(&self) -> &'static str;

    /// Raised when the same events would give other findings than before.
    fn version(&self) -> i32;

    /// MITRE ATT&CK technique ids that this is an opportunity for.
    fn attacks(&self) -> &'static [&'static str];

    /// Controls that this bears on, by the ids of `schemas/controls.toml`.
    fn controls(&self) -> &'static [&'static str];

    /// What there is to say about `subject` today.
    fn look(&self, subject: &Subject<'_>) -> Vec<Word>;

    /// Whether what was said at the beginning of `day` was untrue: records that came later than the logs' lateness allows tell
    /// of something that was so then.
    fn untrue(&self, _word: &Word, _day: Day, _subject: &Subject<'_>) -> bool {
        false
    }

    /// Whether what was said is over. That it cannot be seen any more, because logs are missing, is no end.
    fn over(&self, word: &Word, subject: &Subject<'_>) -> bool;
}
