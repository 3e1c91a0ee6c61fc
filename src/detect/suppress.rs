//! Findings of which nobody is to be told for a while: by whose decision, why, and until when.
//!
//! A suppressed finding is written like any other, and says that it is suppressed and until when; so a decision never
//! changes what was found, and what asks for findings shows it again from that day on.

use serde::{Deserialize, Serialize};

use crate::model::{Day, Finding};

/// A decision about findings. At least the detector or the identity is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// Name of the detector; any if none.
    pub detector: Option<String>,
    /// The identity, or its beginning and a `*`; any if none.
    pub identity: Option<String>,
    /// What was observed by the first reason (a network, a tenant, a credential …) or a related id, or its beginning and a
    /// `*`; any if none.
    pub about: Option<String>,
    pub author: String,
    pub reason: String,
    /// The first day on which it no longer holds.
    pub until: Day,
}

impl Suppression {
    /// Whether nobody is to be told of `finding`. The day is that of its last event, so that a replay decides alike.
    pub fn covers(&self, finding: &Finding) -> bool {
        let detector = self.detector.as_deref();
        let observed = finding.why.first().map(|why| why.observed.as_str());
        let mut about = observed
            .into_iter()
            .chain(finding.related_uids.iter().map(|uid| &**uid));
        finding.revision_time.day() < self.until
            && detector.is_none_or(|name| name == finding.detector)
            && fits(self.identity.as_deref(), &finding.identity_uid)
            && (self.about.is_none() || about.any(|text| fits(self.about.as_deref(), text)))
    }

    /// Who decided it, until when, and why: what the finding's row says.
    pub fn told(&self) -> String {
        format!("{} until {}: {}", self.author, self.until, self.reason)
    }
}

/// The same by a decision about one finding: others of its detector about the same identity and the same thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snooze {
    pub finding_uid: String,
    pub detector: String,
    pub identity_uid: String,
    /// What it is about, as the finding's row says.
    pub about: String,
    pub author: String,
    pub reason: String,
    /// The first day on which it no longer holds.
    pub until: Day,
}

impl Snooze {
    /// Whether nobody is to be told of `finding`.
    pub fn covers(&self, finding: &Finding) -> bool {
        finding.revision_time.day() < self.until
            && self.detector == finding.detector
            && *self.identity_uid == *finding.identity_uid
            && *self.about == *finding.about
    }

    /// Who decided it, until when, and why: what the finding's row says.
    pub fn told(&self) -> String {
        format!("{} until {}: {}", self.author, self.until, self.reason)
    }
}

/// Whether `text` is what `pattern` says, or begins so if that ends in `*`.
fn fits(pattern: Option<&str>, text: &str) -> bool {
    pattern.is_none_or(|pattern| match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == pattern,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Confidence, FindingStatus, Micros, Severity, Uid, Why};

    const AT: Micros = Micros(1_780_000_000_000_000);

    fn finding() -> Finding {
        Finding {
            finding_uid: Uid::from("kf-1"),
            revision: 1,
            revision_time: AT,
            detector: "unusual-origin",
            detector_version: 1,
            status: FindingStatus::New,
            severity: Severity::High,
            confidence: Confidence::Strong,
            identity_uid: Uid::from("aws:user:AIDAEXAMPLE"),
            about: Uid::from("203.0.113.0/24"),
            related_uids: vec![Uid::from("aws:key:AKIAEXAMPLE")],
            tenant_uid: None,
            title: String::new(),
            summary: String::new(),
            why: vec![Why {
                dimension: Uid::from("network"),
                observed: "203.0.113.0/24".to_owned(),
                expected: String::new(),
                window_days: 0,
                n: 0,
                bits: None,
            }],
            first_event_time: AT,
            last_event_time: AT,
            event_count: 1,
            controls: &[],
            attacks: Vec::new(),
            events_before: 0,
            events: Vec::new(),
        }
    }

    fn suppression() -> Suppression {
        Suppression {
            detector: Some("unusual-origin".to_owned()),
            identity: None,
            about: None,
            author: "ines.kram".to_owned(),
            reason: "the new office".to_owned(),
            until: Day(AT.day().0 + 1),
        }
    }

    #[test]
    fn every_condition_must_hold() {
        let check = |suppression: Suppression, expected: bool| {
            assert_eq!(suppression.covers(&finding()), expected, "{suppression:?}");
        };
        let some = |text: &str| Some(text.to_owned());
        let base = suppression;
        check(base(), true);
        check(
            Suppression {
                detector: some("dormant"),
                ..base()
            },
            false,
        );
        check(
            Suppression {
                identity: some("aws:user:AIDA*"),
                ..base()
            },
            true,
        );
        check(
            Suppression {
                identity: some("aws:user:AIDA"),
                ..base()
            },
            false,
        );
        check(
            Suppression {
                about: some("203.0.113.0/24"),
                ..base()
            },
            true,
        );
        check(
            Suppression {
                about: some("aws:key:*"),
                ..base()
            },
            true,
        );
        check(
            Suppression {
                about: some("198.51.100.0/24"),
                ..base()
            },
            false,
        );
    }

    #[test]
    fn it_ends_on_its_day() {
        let ended = Suppression {
            until: AT.day(),
            ..suppression()
        };
        assert!(!ended.covers(&finding()));
        assert_eq!(
            ended.told(),
            format!("ines.kram until {}: the new office", AT.day())
        );
    }
}
