//! `shared-credential`: one long-lived credential works for three or more programs in different places.
//!
//! A key that stands in several deployments cannot be rotated by anybody without breaking the others, and what it did can be
//! led back to none of them. A workload is told from another by its client and its network together, and counts once it
//! was seen on several days: people who travel and builds on hosted machines leave many networks behind, each for a day.
//! Machines of one pool share their client, so more than one client is asked for as well.

use super::{Before, Detector, Verdict, no_surer_than};
use crate::correlate::{Client, Sighting};
use crate::model::{Confidence, Severity, Uid, Why};

/// How many are many.
#[derive(Clone, Debug)]
pub struct Params {
    /// Workloads, each in a network of its own …
    pub workloads_min: usize,
    /// … with so many different clients …
    pub clients_min: usize,
    /// … each seen on so many days …
    pub days_min: u32,
    /// … and the last time no more than so many days ago.
    pub idle_days_max: i32,
}

#[derive(Debug)]
pub(super) struct SharedCredential(pub(super) Params);

impl Detector for SharedCredential {
    fn name(&self) -> &'static str {
        "shared-credential"
    }

    fn version(&self) -> i32 {
        1
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1078.004"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI9:2025", "CC6.1", "A.5.17", "8.6.1", "PR.AA-01"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        let uid = sighting.credential_uid()?;
        let known = before.credential?;
        // It is told when one more has become a habit, and not again every day.
        let fresh = known.clients.iter().any(|one| one.days == self.0.days_min);
        if !fresh || known.clients.len() < self.0.workloads_min {
            return None;
        }
        let today = sighting.event_time.day().0;
        let workloads: Vec<&Client> = known
            .clients
            .iter()
            .filter(|client| {
                client.days >= self.0.days_min && today - client.last_day.0 <= self.0.idle_days_max
            })
            .collect();
        let count = |of: fn(&Client) -> &Uid| {
            let mut values: Vec<&Uid> = workloads.iter().map(|client| of(client)).collect();
            values.sort();
            values.dedup();
            values.len()
        };
        let (networks, clients) = (count(|one| &one.network), count(|one| &one.family));
        if networks < self.0.workloads_min || clients < self.0.clients_min {
            return None;
        }
        let each: Vec<String> = workloads
            .iter()
            .map(|client| format!("{} from {}", client.family, client.network))
            .collect();
        Some(Verdict {
            key: uid.clone(),
            severity: Severity::Medium,
            confidence: no_surer_than(sighting, Confidence::Probable),
            title: format!("one credential in {networks} workloads"),
            summary: format!(
                "{uid} of {} works for {networks} programs in different places: {}.",
                known.identity,
                each.join(", ")
            ),
            why: vec![Why {
                dimension: Uid::from("workloads"),
                observed: networks.to_string(),
                expected: format!("fewer than {}", self.0.workloads_min),
                window_days: i64::from(self.0.days_min),
                n: workloads.len() as u64,
                bits: None,
            }],
            related_uids: vec![uid.clone()],
            earlier: Vec::new(),
        })
    }

    fn continues(&self, key: &str, sighting: &Sighting, _: &Before<'_>) -> bool {
        sighting.credential_uid().map(AsRef::as_ref) == Some(key)
    }
}
