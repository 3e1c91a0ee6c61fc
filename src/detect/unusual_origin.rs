//! `unusual-origin`: an identity with steady habits acts from a network it never used.
//!
//! What counts is the surprise, not the novelty: a build runner that shows a new network every hour surprises nobody,
//! a key that lived on one network for ninety days does. Less surprise is enough when the act is new too, or when the
//! operation is a sensitive one. Sources that say nothing about the caller (services, proxies' private addresses)
//! have no network and never fire. Where files say in which autonomous system, country or provider's range an address lies,
//! the most surprising of them counts: an identity that changes its network every hour within one provider surprises
//! somebody when it leaves that provider.

use super::{Before, Detector, Verdict, learning, no_surer_than, surprise};
use crate::correlate::{Dimension, Profile, Sighting};
use crate::model::{Confidence, Severity, Why};

/// How much surprise is too much.
#[derive(Clone, Debug)]
pub struct Params {
    /// An identity younger than this many days is learning and is not judged.
    pub history_days_min: i64,
    /// Nor is one with fewer distinct active hours.
    pub active_hours_min: u64,
    /// Bits at which a new network alone is a finding.
    pub bits_min: u32,
    /// Bits that are enough together with a sensitive operation or a second surprise.
    pub bits_min_joint: u32,
    /// Bits that make the act a second surprise.
    pub bits_second_group: u32,
}

#[derive(Debug)]
pub(super) struct UnusualOrigin(pub(super) Params);

impl Detector for UnusualOrigin {
    fn name(&self) -> &'static str {
        "unusual-origin"
    }

    fn version(&self) -> i32 {
        3
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1078.004", "T1550.001"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI10:2025", "CC7.2", "A.8.16", "10.4.1", "DE.CM-03"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        let before = before.profile;
        let network = sighting.network.as_ref()?;
        if learning(
            before,
            sighting,
            self.0.history_days_min,
            self.0.active_hours_min,
        ) || before.stats(Dimension::Network, network).is_some()
        {
            return None;
        }
        let networks = before.values(Dimension::Network);
        let mut why = origin_surprises(sighting, before);
        let bits = why.iter().filter_map(|why| why.bits).max().unwrap_or(0);
        let act = act_surprise(sighting, before);
        let second = act
            .as_ref()
            .is_some_and(|why| why.bits >= Some(self.0.bits_second_group));
        let grave = sighting.sensitive().is_some();
        let joint = bits >= self.0.bits_min_joint && (second || grave);
        if bits < self.0.bits_min && !joint {
            return None;
        }
        let window_days = before.age_days(sighting.event_time);
        why.extend(act);
        let place = place(sighting);
        Some(Verdict {
            key: network.clone(),
            severity: if grave || second {
                Severity::High
            } else {
                Severity::Medium
            },
            confidence: no_surer_than(sighting, Confidence::Strong),
            title: format!("acted from {network} for the first time"),
            summary: format!(
                "{} called {} from {network}{place}; in {window_days} days and {} active hours it was only seen from {}.",
                sighting.by.identity_uid,
                sighting.operation,
                networks.hours,
                known(before),
            ),
            why,
            related_uids: sighting.credential_uid().into_iter().cloned().collect(),
            earlier: Vec::new(),
        })
    }

    fn continues(&self, key: &str, sighting: &Sighting, _: &Before<'_>) -> bool {
        sighting.network.as_deref() == Some(key)
    }
}

/// What is new about where the call came from, the network first. They explain each other and count once, by the largest.
fn origin_surprises(sighting: &Sighting, before: &Profile) -> Vec<Why> {
    let all = [
        Dimension::Network,
        Dimension::Asn,
        Dimension::Country,
        Dimension::Range,
    ];
    let surprises = all.into_iter().filter_map(|dimension| {
        let mut why = surprise(dimension, sighting, before)?;
        if dimension == Dimension::Network {
            why.expected = known(before);
        }
        Some(why)
    });
    surprises.collect()
}

/// Where the address is, if a file says so: ` (AS64500, DE, aws/EC2/eu-central-1)`.
fn place(sighting: &Sighting) -> String {
    let parts = [&sighting.asn, &sighting.country, &sighting.range];
    let parts: Vec<&str> = parts.into_iter().flatten().map(AsRef::as_ref).collect();
    match parts.len() {
        0 => String::new(),
        _ => format!(" ({})", parts.join(", ")),
    }
}

/// The most surprising of operation, service and tenant, if it is new. They explain each other and count once.
fn act_surprise(sighting: &Sighting, before: &Profile) -> Option<Why> {
    [Dimension::Operation, Dimension::Service, Dimension::Tenant]
        .into_iter()
        .filter_map(|dimension| surprise(dimension, sighting, before))
        .max_by_key(|why| why.bits)
}

/// The networks it was seen from, the most used first, shortened for reading.
fn known(before: &Profile) -> String {
    let mut networks: Vec<_> = before.values(Dimension::Network).seen.iter().collect();
    networks.sort_by_key(|(network, stats)| (std::cmp::Reverse(stats.events), (*network).clone()));
    let shown: Vec<&str> = networks
        .iter()
        .take(3)
        .map(|(network, _)| network.as_ref())
        .collect();
    match networks.len() {
        0 => "no network that its log names".to_owned(),
        1..=3 => shown.join(", "),
        more => format!("{} and {} more", shown.join(", "), more - 3),
    }
}
