//! `never-used`: a machine identity was made a month ago or more, and nobody ever used it.
//!
//! What nobody needs can be removed without asking anybody, and is used by nobody but a thief. It is judged only if its
//! making stands in the logs: an identity that was there before may have been used before.

use super::dormant::{self, PRIVILEGED};
use super::sweep::{Subject, Sweep, Word};
use crate::model::{Confidence, Day, Severity, Uid, Why};

/// How long is long.
#[derive(Clone, Debug)]
pub struct Params {
    /// Days since it was made after which it is told.
    pub days_min: i64,
}

#[derive(Debug)]
pub(super) struct NeverUsed(pub(super) Params);

impl Sweep for NeverUsed {
    fn name(&self) -> &'static str {
        "never-used"
    }

    fn version(&self) -> i32 {
        1
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1078.004"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI1:2025", "CC6.2", "A.5.18", "7.2.5.1", "PR.AA-01"]
    }

    fn look(&self, subject: &Subject<'_>) -> Vec<Word> {
        let known = subject.known;
        // Of one whose making was not seen nobody knows what came before.
        let unused = known.created_event.is_some() && known.last_use.is_none();
        let Some(made) = known.created_at.filter(|_| unused) else {
            return Vec::new();
        };
        let days = subject.days_since(made);
        if days < self.0.days_min || !subject.covered(self.0.days_min) {
            return Vec::new();
        }
        let by = known.created_by.as_deref().unwrap_or("somebody unknown");
        vec![Word {
            about: subject.uid.clone(),
            level: 1,
            severity: if subject.tier() >= PRIVILEGED {
                Severity::Medium
            } else {
                Severity::Low
            },
            confidence: Confidence::Strong,
            title: format!("never used in {days} days"),
            summary: format!(
                "{} was made by {by} at {made} and has not been used with success since, for {days} days.",
                subject.called()
            ),
            why: vec![Why {
                dimension: Uid::from("days_since_made"),
                observed: days.to_string(),
                expected: format!("a use within {} days", self.0.days_min),
                window_days: self.0.days_min,
                n: 0,
                bits: None,
            }],
            since: made,
            event: known.created_event.clone(),
        }]
    }

    fn untrue(&self, word: &Word, day: Day, subject: &Subject<'_>) -> bool {
        dormant::used_between(word, day, subject)
    }

    fn over(&self, _: &Word, subject: &Subject<'_>) -> bool {
        subject.known.last_use.is_some()
    }
}
