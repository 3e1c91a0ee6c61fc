//! `cross-system`: an identity acts in an account, subscription or cloud in which it never acted.
//!
//! The tie between the two systems is the identity itself: attribution has led the event back to it by identifiers
//! that the providers assigned (an issued key, a federated token's subject). Two systems that share an address are
//! not tied and cannot fire this. A step into another provider's cloud weighs more than one into a sister account.

use super::{Before, Detector, Verdict, learning, no_surer_than};
use crate::correlate::{Dimension, Sighting};
use crate::model::{Confidence, Provider, Severity, Uid, Why};

/// How established an identity must be.
#[derive(Clone, Debug)]
pub struct Params {
    /// An identity younger than this many days is learning and is not judged.
    pub history_days_min: i64,
    /// Nor is one with fewer distinct active hours.
    pub active_hours_min: u64,
    /// Bits at which a new tenant is a finding: an auditor's role that walks through accounts daily stays below.
    pub bits_min: u32,
}

#[derive(Debug)]
pub(super) struct CrossSystem(pub(super) Params);

impl Detector for CrossSystem {
    fn name(&self) -> &'static str {
        "cross-system"
    }

    fn version(&self) -> i32 {
        2
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1199", "T1550.001"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI9:2025", "CC6.1", "A.5.15", "7.2.5", "PR.AA-05"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        let before = before.profile;
        let tenant = sighting.tenant_uid.as_ref()?;
        if learning(
            before,
            sighting,
            self.0.history_days_min,
            self.0.active_hours_min,
        ) || before.stats(Dimension::Tenant, tenant).is_some()
        {
            return None;
        }
        let tenants = before.values(Dimension::Tenant);
        let bits = tenants.bits();
        if tenants.seen.is_empty() || bits < self.0.bits_min {
            return None;
        }
        let home = home_cloud(sighting);
        let crossed = home
            .is_some_and(|home| (home == Provider::Aws) != (sighting.provider == Provider::Aws));
        let known: Vec<&str> = tenants.seen.keys().map(AsRef::as_ref).take(4).collect();
        let into = if crossed {
            format!("another cloud ({}), ", sighting.provider.name())
        } else {
            String::new()
        };
        Some(Verdict {
            key: tenant.clone(),
            severity: if crossed || sighting.sensitive().is_some() {
                Severity::High
            } else {
                Severity::Medium
            },
            confidence: no_surer_than(sighting, Confidence::Strong),
            title: format!("acted in {into}{tenant} for the first time"),
            summary: format!(
                "{} reached {into}{tenant} through {} and called {}; in {} days it had only acted in {}.",
                sighting.by.identity_uid,
                sighting.by.chain.last().map_or("itself", AsRef::as_ref),
                sighting.operation,
                before.age_days(sighting.event_time),
                known.join(", "),
            ),
            why: vec![Why {
                dimension: Uid::from(Dimension::Tenant.name()),
                observed: tenant.to_string(),
                expected: known.join(", "),
                window_days: before.age_days(sighting.event_time),
                n: tenants.hours,
                bits: Some(bits),
            }],
            related_uids: sighting.by.chain.clone(),
            earlier: Vec::new(),
        })
    }

    fn continues(&self, key: &str, sighting: &Sighting, _: &Before<'_>) -> bool {
        sighting.tenant_uid.as_deref() == Some(key)
    }
}

/// The cloud in which the identity lives, from the form of its id.
fn home_cloud(sighting: &Sighting) -> Option<Provider> {
    let uid = sighting.by.nhi_uid.as_ref()?;
    if uid.starts_with("aws:") {
        Some(Provider::Aws)
    } else if uid.starts_with("entra:") {
        Some(Provider::Entra)
    } else {
        None
    }
}
