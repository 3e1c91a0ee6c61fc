//! `fan-out`: from one network come three or more identities of several tenants, none of which was ever seen there.
//!
//! Whoever finds many credentials tries them from one place. An identity counts that has habits and breaks them there; a
//! network from which others have come for longer is a shared way out, where somebody new appears now and then. Identities
//! of one account alone do not count: an account whose way out is replaced moves as a whole.

use super::{Before, Detector, Verdict, new_to, no_surer_than};
use crate::correlate::{Dimension, Newcomer, Sighting};
use crate::model::{Confidence, Micros, Severity, Uid, Why};

/// How many are many.
#[derive(Clone, Debug)]
pub struct Params {
    /// Identities that are new there …
    pub identities_min: usize,
    /// … within so many hours …
    pub hours: i64,
    /// … of so many tenants.
    pub tenants_min: usize,
    /// So many that came earlier make it a shared way out.
    pub residents_max: usize,
}

#[derive(Debug)]
pub(super) struct FanOut(pub(super) Params);

impl Detector for FanOut {
    fn name(&self) -> &'static str {
        "fan-out"
    }

    fn version(&self) -> i32 {
        1
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1078.004", "T1552"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI2:2025", "CC7.2", "A.8.16", "10.4.1", "DE.AE-03"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        let network = sighting.network.as_ref()?;
        // Nearly every event comes from where its identity is known.
        new_to(Dimension::Network, sighting, before.profile)?;
        let own = sighting.profiled()?;
        let from = sighting.event_time.plus(-self.0.hours * Micros::HOUR);
        let (came, residents): (Vec<&Newcomer>, Vec<&Newcomer>) = before
            .newcomers
            .iter()
            .partition(|newcomer| newcomer.at >= from);
        let fresh: Vec<&Newcomer> = came.into_iter().filter(|one| one.habits).collect();
        let mut tenants: Vec<Option<&Uid>> = fresh.iter().map(|one| one.tenant.as_ref()).collect();
        tenants.sort();
        tenants.dedup();
        let joins = fresh.iter().any(|newcomer| newcomer.identity == *own);
        if !joins
            || fresh.len() < self.0.identities_min
            || tenants.len() < self.0.tenants_min
            || residents.len() > self.0.residents_max
        {
            return None;
        }
        let others = fresh.iter().map(|newcomer| newcomer.identity.clone());
        Some(Verdict {
            key: network.clone(),
            severity: Severity::High,
            confidence: no_surer_than(sighting, Confidence::Strong),
            title: format!(
                "one of {} identities that are new in {network}",
                fresh.len()
            ),
            summary: format!(
                "Within {} hours {} identities of {} tenants that were never seen there came from {network}; {own} is one \
                 of them and called {}.",
                self.0.hours,
                fresh.len(),
                tenants.len(),
                sighting.operation
            ),
            why: vec![Why {
                dimension: Uid::from("newcomers"),
                observed: fresh.len().to_string(),
                expected: format!("fewer than {}", self.0.identities_min),
                window_days: 0,
                n: residents.len() as u64,
                bits: None,
            }],
            related_uids: others.filter(|other| other != own).collect(),
            earlier: Vec::new(),
        })
    }

    fn continues(&self, key: &str, sighting: &Sighting, _: &Before<'_>) -> bool {
        sighting.network.as_deref() == Some(key)
    }
}
