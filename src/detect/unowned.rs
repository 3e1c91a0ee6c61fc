//! `unowned`: a machine identity that can be used has nobody who answers for it.
//!
//! It is asked only where there is an inventory, since without one nobody is known to own anything. Whoever is not in the
//! inventory, or stands there without an owner, is told once it has been known for a while: a new identity may be entered
//! a few days later. The more it can do, the graver.

use super::dormant::PRIVILEGED;
use super::sweep::{Subject, Sweep, Word};
use crate::model::{Confidence, Micros, Severity, Uid, Why};

/// How long is long.
#[derive(Clone, Debug)]
pub struct Params {
    /// Days for which an identity is known before it is told.
    pub days_min: i64,
}

#[derive(Debug)]
pub(super) struct Unowned(pub(super) Params);

impl Sweep for Unowned {
    fn name(&self) -> &'static str {
        "unowned"
    }

    fn version(&self) -> i32 {
        1
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1078.004"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI1:2025", "CC6.2", "A.5.16", "7.2.5", "GV.RR-02"]
    }

    fn look(&self, subject: &Subject<'_>) -> Vec<Word> {
        let known = subject.known;
        let Some(since) = beginning(subject) else {
            return Vec::new();
        };
        let days = subject.days_since(since);
        if !subject.inventory || owner(subject).is_some() || days < self.0.days_min {
            return Vec::new();
        }
        let tier = subject.tier();
        let (level, severity) = match tier {
            PRIVILEGED => (2, Severity::Medium),
            tier if tier > PRIVILEGED => (3, Severity::High),
            _ => (1, Severity::Low),
        };
        let listed = if subject.facts.is_some() {
            "stands in the inventory without an owner"
        } else {
            "is not in the inventory"
        };
        let by = known.created_by.as_deref();
        let made = by.map_or_else(String::new, |by| format!("; {by} made it"));
        vec![Word {
            about: subject.uid.clone(),
            level,
            severity,
            confidence: Confidence::Strong,
            title: "nobody owns it".to_owned(),
            summary: format!(
                "{} {listed}. It is known for {days} days, since {since}{made}.",
                subject.called()
            ),
            why: vec![Why {
                dimension: Uid::from("owner"),
                observed: "none".to_owned(),
                expected: format!("an owner within {} days", self.0.days_min),
                window_days: self.0.days_min,
                n: 0,
                bits: None,
            }],
            since,
            event: known.created_event.clone(),
        }]
    }

    fn over(&self, word: &Word, subject: &Subject<'_>) -> bool {
        // A record that came late may tell of an earlier beginning, which is told anew.
        owner(subject).is_some() || beginning(subject) != Some(word.since)
    }
}

/// Since when it is known.
fn beginning(subject: &Subject<'_>) -> Option<Micros> {
    let known = subject.known;
    known.created_at.or(known.first_wielded_at)
}

fn owner<'a>(subject: &Subject<'a>) -> Option<&'a str> {
    subject.facts?.owner.as_deref()
}
