//! `unusual-origin`: an identity with steady habits acts from a network it never used.
//!
//! What counts is the surprise, not the novelty: a build runner that shows a new network every hour surprises nobody,
//! a key that lived on one network for ninety days does. Less surprise is enough when the act is new too, or when the
//! operation is a sensitive one. Sources that say nothing about the caller (services, proxies' private addresses)
//! have no network and never fire. Where files say in which autonomous system, country or provider's range an address lies,
//! the most surprising of them counts: an identity that changes its network every hour within one provider surprises
//! somebody when it leaves that provider. An identity that is too young for habits is held against its peers, those of its
//! kind in its tenant: less sure and less grave.

use super::surprise::{self, Against};
use super::{Before, Detector, Verdict, no_surer_than};
use crate::correlate::{Dimension, Profile, Sighting};
use crate::model::{Confidence, Severity, Uid, Why};

/// How much surprise is too much.
#[derive(Clone, Debug)]
pub struct Params {
    /// An identity younger than this many days is learning and is held against its peers.
    pub history_days_min: i64,
    /// So is one with fewer distinct active hours.
    pub active_hours_min: u64,
    /// Bits at which a new network alone is a finding.
    pub bits_min: u32,
    /// Bits that are enough together with a sensitive operation or a second surprise.
    pub bits_min_joint: u32,
    /// Bits that act, client and time need together to be a second surprise.
    pub bits_second_group: u32,
}

#[derive(Debug)]
pub(super) struct UnusualOrigin(pub(super) Params);

impl Detector for UnusualOrigin {
    fn name(&self) -> &'static str {
        "unusual-origin"
    }

    fn version(&self) -> i32 {
        4
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1078.004", "T1550.001"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI10:2025", "CC7.2", "A.8.16", "10.4.1", "DE.CM-03"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        let network = sighting.network.as_ref()?;
        let young = (self.0.history_days_min, self.0.active_hours_min);
        let against = Against::of(sighting, before, young)?;
        if against.knows(Dimension::Network, sighting) {
            return None;
        }
        let own = before.profile;
        let mut why = against.origin(sighting);
        let first = why.first_mut()?;
        if !against.peers() {
            first.expected = known(own);
        }
        let bits = why.iter().filter_map(|why| why.bits).max().unwrap_or(0);
        let act = against.act(sighting).or_else(|| tenant(sighting, &against));
        let support = against.support(sighting);
        let second = surprise::sum(act.iter().chain(&support)) >= self.0.bits_second_group;
        let grave = sighting.sensitive().is_some();
        let joint = bits >= self.0.bits_min_joint && (second || grave);
        if bits < self.0.bits_min && !joint {
            return None;
        }
        let peers = against.peers().then(|| why[0].n);
        why.extend(act);
        why.extend(support);
        let severity = match (grave || second, peers) {
            (true, None) => Severity::High,
            (false, None) | (true, Some(_)) => Severity::Medium,
            (false, Some(_)) => Severity::Low,
        };
        let sure = if peers.is_some() {
            Confidence::Probable
        } else {
            Confidence::Strong
        };
        Some(Verdict {
            key: network.clone(),
            severity,
            confidence: no_surer_than(sighting, sure),
            title: format!("acted from {network} for the first time"),
            summary: summary(sighting, own, network, peers),
            why,
            related_uids: sighting.credential_uid().into_iter().cloned().collect(),
            earlier: Vec::new(),
        })
    }

    fn continues(&self, key: &str, sighting: &Sighting, _: &Before<'_>) -> bool {
        sighting.network.as_deref() == Some(key)
    }
}

/// What happened, in a sentence or two; `peers` is their number where it was held against them.
fn summary(sighting: &Sighting, own: &Profile, network: &Uid, peers: Option<u64>) -> String {
    let identity = &sighting.by.identity_uid;
    let operation = &sighting.operation;
    let place = place(sighting);
    let days = own.age_days(sighting.event_time);
    match peers {
        Some(peers) => format!(
            "{identity} called {operation} from {network}{place}. It is known for {days} days and {} active hours, too short \
             for habits of its own; of {peers} identities of its kind and tenant none is known to have come from there.",
            own.hours,
        ),
        None => format!(
            "{identity} called {operation} from {network}{place}; in {days} days and {} active hours it was only seen from {}.",
            own.values(Dimension::Network).hours,
            known(own),
        ),
    }
}

/// That it acts in a tenant for the first time, which is `cross-system`'s to tell and says something here too.
fn tenant(sighting: &Sighting, against: &Against<'_>) -> Option<Why> {
    against.surprise(Dimension::Tenant, sighting)
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
