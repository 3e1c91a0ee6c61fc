//! `evidence-tampering`: an identity stops or blinds a log, or the service that watches it.
//!
//! Whoever does it knows that what follows will not be seen, so it is worth a look even if nothing else is. An identity
//! that did the same on several days before tears environments down for a living: it is not asked again. An attempt that
//! was refused is a lower finding. That a log was *not* delivered is another matter: `coverage` tells it.

use std::sync::LazyLock;

use super::{Before, Detector, Verdict, no_surer_than};
use crate::correlate::{Dimension, Sighting};
use crate::model::{Confidence, Severity, Uid, Why};

/// When an identity is used to it.
#[derive(Clone, Debug)]
pub struct Params {
    /// On so many days the same operation is a habit.
    pub habit_days: u32,
}

/// Operations that stop, blind or remove a log or what watches it, by service; empty where the operation names it. They
/// are data, with the document behind each.
static BLINDING: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let lines = include_str!("evidence_tampering.tsv").lines();
    let rows = lines.filter(|line| !line.starts_with('#'));
    rows.filter_map(|line| {
        let mut cells = line.split('\t');
        Some((cells.next()?, cells.next()?))
    })
    .collect()
});

#[derive(Debug)]
pub(super) struct EvidenceTampering(pub(super) Params);

impl Detector for EvidenceTampering {
    fn name(&self) -> &'static str {
        "evidence-tampering"
    }

    fn version(&self) -> i32 {
        1
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1562.008", "T1070"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI10:2025", "CC7.2", "A.8.15", "10.3.2", "PR.PS-04"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        if !blinds(sighting) {
            return None;
        }
        let known = before
            .profile
            .stats(Dimension::Operation, &sighting.operation);
        // What was refused, or done in another account, is no habit here.
        let tenant = sighting.tenant_uid.as_ref();
        let here = tenant.and_then(|tenant| before.profile.stats(Dimension::Tenant, tenant));
        let days = known
            .filter(|_| here.is_some())
            .map_or(0, |stats| stats.sleep.days);
        if days >= self.0.habit_days {
            return None;
        }
        let done = if sighting.success {
            "called"
        } else {
            "tried to call"
        };
        let place = place(sighting);
        Some(Verdict {
            key: Uid::from(place),
            severity: if sighting.success {
                Severity::High
            } else {
                Severity::Medium
            },
            confidence: no_surer_than(sighting, Confidence::Strong),
            title: format!("{done} {} in {place}", sighting.operation),
            summary: format!(
                "{} {done} {} of {} in {place}: what happens there from then on may not be logged.",
                sighting.by.identity_uid, sighting.operation, sighting.service,
            ),
            why: vec![Why {
                dimension: Uid::from(Dimension::Operation.name()),
                observed: sighting.operation.to_string(),
                expected: format!("no operation that blinds a log; this one on {days} days before"),
                window_days: before.profile.age_days(sighting.event_time),
                n: before.profile.hours,
                bits: None,
            }],
            related_uids: sighting.by.chain.clone(),
            earlier: Vec::new(),
        })
    }

    fn continues(&self, key: &str, sighting: &Sighting, _: &Before<'_>) -> bool {
        blinds(sighting) && place(sighting) == key
    }
}

fn blinds(sighting: &Sighting) -> bool {
    let service = sighting.service.strip_suffix(".amazonaws.com");
    let service = service.unwrap_or(&sighting.service);
    BLINDING.iter().any(|(operation, of)| {
        *operation == sighting.operation.as_ref() && (of.is_empty() || *of == service)
    })
}

fn place(sighting: &Sighting) -> &str {
    sighting
        .tenant_uid
        .as_deref()
        .unwrap_or("an unnamed account")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_source() {
        let rows = include_str!("evidence_tampering.tsv").lines();
        for row in rows.filter(|row| !row.starts_with('#')) {
            let cells: Vec<&str> = row.split('\t').collect();
            assert_eq!(cells.len(), 3, "{row}");
            assert!(cells[2].len() > 10, "{row}");
        }
        assert!(BLINDING.contains(&("StopLogging", "cloudtrail")));
    }
}
