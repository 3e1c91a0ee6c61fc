//! What a detector says, with everything a person needs to decide without opening anything else.

use super::identity::named;
use super::{Confidence, Day, Micros, Uid};

named! {
    /// How urgently somebody should look.
    Severity {
        Info = "info",
        Low = "low",
        Medium = "medium",
        High = "high",
        Critical = "critical",
    }
}

named! {
    /// Where a revision stands in the life of its finding.
    FindingStatus {
        New = "new",
        Updated = "updated",
        Closed = "closed",
        Retracted = "retracted",
    }
}

named! {
    /// The part an event plays in a finding.
    Role {
        Trigger = "trigger",
        Context = "context",
        Baseline = "baseline",
        Lineage = "lineage",
    }
}

/// One reason: what was seen, what was expected, and on how much history that rests.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Why {
    /// Which property of the event decided: `network`, `tenant`, `gap_days` …
    pub dimension: Uid,
    pub observed: String,
    pub expected: String,
    /// How many days of history the expectation rests on.
    pub window_days: i64,
    /// Sample size: distinct active hours, or earlier gaps for sleep.
    pub n: u64,
    /// Surprise, rounded down. Absent where a threshold and not a probability decided.
    pub bits: Option<u32>,
}

/// One event behind a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingEvent {
    pub role: Role,
    pub event_uid: Uid,
    pub event_date: Day,
}

/// One revision of one finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Derived from detector, identity and first event: the same situation has the same id on every replay.
    pub finding_uid: Uid,
    pub revision: i32,
    pub revision_time: Micros,
    pub detector: &'static str,
    pub detector_version: i32,
    pub status: FindingStatus,
    pub severity: Severity,
    pub confidence: Confidence,
    pub identity_uid: Uid,
    /// What its situation is about: a network, a tenant, a credential, a rule. Two of one detector about one identity have another.
    pub about: Uid,
    pub related_uids: Vec<Uid>,
    pub tenant_uid: Option<Uid>,
    pub title: String,
    pub summary: String,
    pub why: Vec<Why>,
    pub first_event_time: Micros,
    pub last_event_time: Micros,
    pub event_count: i64,
    /// Controls that the behaviour bears on: OWASP NHI, SOC 2, ISO 27001, PCI DSS, NIST CSF ids.
    pub controls: &'static [&'static str],
    /// MITRE ATT&CK technique ids.
    pub attacks: Vec<Uid>,
    /// How many events earlier revisions have named.
    pub events_before: i32,
    pub events: Vec<FindingEvent>,
}
