//! `dormant-privileged`: a machine identity that can do much is not used any more.
//!
//! The same as `dormant` for identities that can read secrets, let data out, blind a log or give themselves more (privilege
//! tier 2 and 3): the ones to take care of first. What an identity may do is known from what was granted to it and from
//! what it did, so a tier may be too low for one whose grants were made before the logs begin.

use super::dormant::{self, PRIVILEGED};
use super::sweep::{Subject, Sweep, Word};
use crate::model::{Day, Severity};

pub use super::dormant::Params;

#[derive(Debug)]
pub(super) struct DormantPrivileged(pub(super) Params);

impl Sweep for DormantPrivileged {
    fn name(&self) -> &'static str {
        "dormant-privileged"
    }

    fn version(&self) -> i32 {
        1
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1078.004"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &[
            "NHI1:2025",
            "NHI5:2025",
            "CC6.3",
            "A.8.2",
            "7.2.5.1",
            "PR.AA-05",
        ]
    }

    fn look(&self, subject: &Subject<'_>) -> Vec<Word> {
        let tier = subject.tier();
        if tier < PRIVILEGED {
            return Vec::new();
        }
        let severities = if tier > PRIVILEGED {
            [Severity::Medium, Severity::High, Severity::High]
        } else {
            [Severity::Low, Severity::Medium, Severity::High]
        };
        dormant::asleep(&self.0, subject, severities)
            .into_iter()
            .collect()
    }

    fn untrue(&self, word: &Word, day: Day, subject: &Subject<'_>) -> bool {
        dormant::used_between(word, day, subject)
    }

    fn over(&self, word: &Word, subject: &Subject<'_>) -> bool {
        subject.tier() < PRIVILEGED || dormant::used_since(word, subject)
    }
}
