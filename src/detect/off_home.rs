//! `off-home`: a credential that was handed to a workload is used from where that workload is not.
//!
//! The keys of an instance, a function, a task or a pod and the token of a managed identity are made for one machine and
//! never leave it, unless somebody takes them out. A workload that changes its way out (another gateway, another address)
//! leaves the old one behind; a stolen credential is used from both places. So it fires when an identity with steady
//! networks goes on at home after one of its workloads was first seen elsewhere, on the next event of either place, and names
//! the first event elsewhere with it; or at once, without any history, if the client elsewhere is one that the identity never
//! used. Functions that change their address by the hour have no home. A workload that was never seen in any network has
//! none that could be told, but it is surely not where only people work.

use super::{Before, Detector, Verdict, learning, no_surer_than};
use crate::correlate::{Dimension, Home, Newcomer, Sighting};
use crate::model::{Confidence, Micros, Severity, Uid, Why};

/// What is home.
#[derive(Clone, Debug)]
pub struct Params {
    /// So many events from a network make it a workload's home.
    pub home_events_min: u64,
    /// A home that was not used for so many hours is not held against another network.
    pub home_age_hours_max: i64,
    /// With a client that it knows: an identity younger than this many days is learning and is not judged …
    pub history_days_min: i64,
    /// … nor is one with fewer distinct active hours …
    pub active_hours_min: u64,
    /// … and the network must be worth as many bits of surprise.
    pub bits_min: u32,
}

#[derive(Debug)]
pub(super) struct OffHome(pub(super) Params);

impl Detector for OffHome {
    fn name(&self) -> &'static str {
        "off-home"
    }

    fn version(&self) -> i32 {
        3
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1552.005", "T1550.001"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI2:2025", "CC6.1", "A.8.16", "10.4.1", "DE.CM-03"]
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        let workload = sighting.by.workload_uid.as_ref()?;
        let network = sighting.network.as_ref()?;
        let homes = before.profile.whereabouts.homes(workload);
        if homes.is_empty() {
            return among_people(sighting, before, workload, network);
        }
        let here = homes.iter().find(|home| home.network == *network);
        if let Some((away, here)) = self.away(sighting, before) {
            let told = format!(
                "The credential of {workload} was used {} times from {}, last at {}; that workload itself goes on from \
                 {network}, where it acted {} times before.",
                away.events, away.network, away.last_seen_at, here.events
            );
            return Some(verdict(
                sighting,
                workload,
                (&away.network, Some(away)),
                here,
                Confidence::Probable,
                told,
            ));
        }
        let home = self.home(homes, network, sighting.event_time)?;
        if here.is_some_and(|here| here.events >= home.events) {
            return None;
        }
        let both = here.is_some_and(|here| {
            home.last_seen_at > here.first_seen_at
                && came_with(before, here).is_some_and(|days| days <= 1)
                && self.steady(sighting, before)
        });
        let strange = sighting
            .user_agent_family
            .as_ref()
            .filter(|family| before.profile.stats(Dimension::UserAgent, family).is_none());
        if self.shared(network, here, before) || !(both || strange.is_some()) {
            return None;
        }
        let confidence = if both && strange.is_some() {
            Confidence::Strong
        } else {
            Confidence::Probable
        };
        let told = format!(
            "The credential of {workload} called {} from {network}{}; that workload acted {} times from {}, last at {}.",
            sighting.operation,
            strange.map_or_else(String::new, |family| format!(
                " with {family}, which it never used"
            )),
            home.events,
            home.network,
            home.last_seen_at,
        );
        Some(verdict(
            sighting,
            workload,
            (network, here),
            home,
            confidence,
            told,
        ))
    }

    fn continues(&self, key: &str, sighting: &Sighting, before: &Before<'_>) -> bool {
        let goes_on = || self.away(sighting, before);
        sighting.network.as_deref() == Some(key)
            || goes_on().is_some_and(|(away, _)| *away.network == *key)
    }
}

/// A finding that the workload's credential was used in network `away`, told by `summary`, and what is known of its use
/// there before.
fn verdict(
    sighting: &Sighting,
    workload: &Uid,
    (away, before): (&Uid, Option<&Home>),
    home: &Home,
    confidence: Confidence,
    summary: String,
) -> Verdict {
    Verdict {
        key: away.clone(),
        severity: Severity::High,
        confidence: no_surer_than(sighting, confidence),
        title: format!("used from {away}, away from its workload"),
        summary,
        why: vec![Why {
            dimension: Uid::from("workload_network"),
            observed: away.to_string(),
            expected: home.network.to_string(),
            window_days: sighting.event_time.since(home.first_seen_at) / Micros::DAY,
            n: home.events,
            bits: None,
        }],
        related_uids: std::iter::once(workload.clone())
            .chain(sighting.by.session_uid.clone())
            .collect(),
        earlier: before
            .and_then(|there| Some((there.first_event.clone()?, there.first_seen_at)))
            .into_iter()
            .collect(),
    }
}

/// On how many days the identity was in the network of `home`, if nothing of it was there before this workload came.
fn came_with(before: &Before<'_>, home: &Home) -> Option<u32> {
    let Some(stats) = before.profile.stats(Dimension::Network, &home.network) else {
        return Some(0);
    };
    (stats.first_seen_at >= home.first_seen_at).then_some(stats.days)
}

impl OffHome {
    /// Where the workload was besides, and where it is at home, if this is its first event at home since it was there: so
    /// it did not move.
    fn away<'a>(&self, sighting: &Sighting, before: &Before<'a>) -> Option<(&'a Home, &'a Home)> {
        let workload = sighting.by.workload_uid.as_ref()?;
        let network = sighting.network.as_ref()?;
        let homes = before.profile.whereabouts.homes(workload);
        let here = homes.iter().find(|home| home.network == *network)?;
        let age_max = self.0.home_age_hours_max * Micros::HOUR;
        let at = sighting.event_time;
        if here.events < self.0.home_events_min || at.since(here.last_seen_at) > age_max {
            return None;
        }
        let others = homes.iter().filter(|other| {
            other.network != here.network
                && here.last_seen_at < other.first_seen_at
                && other.first_seen_at < at
                && !self.shared(&other.network, Some(other), before)
                && came_with(before, other).is_some()
        });
        let away = others.max_by_key(|other| other.first_seen_at)?;
        // Asked last, because nearly every workload is in one place only.
        self.steady(sighting, before).then_some((away, here))
    }

    /// Whether the identity has habits.
    fn steady(&self, sighting: &Sighting, before: &Before<'_>) -> bool {
        let networks = before.profile.values(Dimension::Network);
        networks.bits() >= self.0.bits_min
            && !learning(
                before.profile,
                sighting,
                self.0.history_days_min,
                self.0.active_hours_min,
            )
    }

    /// Whether another workload of the same identity is at home in `network`.
    fn shared(&self, network: &Uid, here: Option<&Home>, before: &Before<'_>) -> bool {
        let all = before.profile.stats(Dimension::Network, network);
        let own = here.map_or(0, |here| here.events);
        all.is_some_and(|all| all.events >= own + self.0.home_events_min)
    }

    /// The network other than `network` in which the workload is at home.
    fn home<'a>(&self, homes: &'a [Home], network: &Uid, at: Micros) -> Option<&'a Home> {
        let age_max = self.0.home_age_hours_max * Micros::HOUR;
        homes
            .iter()
            .filter(|home| {
                home.network != *network
                    && home.events >= self.0.home_events_min
                    && at.since(home.last_seen_at) <= age_max
            })
            .max_by_key(|home| home.events)
    }
}

/// What there is to say of a workload's first use from a network, if nobody but people came there before.
fn among_people(
    sighting: &Sighting,
    before: &Before<'_>,
    workload: &Uid,
    network: &Uid,
) -> Option<Verdict> {
    let own = sighting.profiled()?;
    let known = before.profile.stats(Dimension::Network, network).is_some();
    let others: Vec<&Newcomer> = before
        .newcomers
        .iter()
        .filter(|newcomer| newcomer.identity != *own)
        .collect();
    if known || others.is_empty() || !others.iter().all(|newcomer| newcomer.person) {
        return None;
    }
    let people: Vec<&str> = others
        .iter()
        .map(|one| one.identity.as_ref())
        .take(3)
        .collect();
    Some(Verdict {
        key: network.clone(),
        severity: Severity::High,
        confidence: no_surer_than(sighting, Confidence::Probable),
        title: format!("used from {network}, where only people work"),
        summary: format!(
            "The credential of {workload} called {} from {network}, from where so far only people came: {}.",
            sighting.operation,
            people.join(", "),
        ),
        why: vec![Why {
            dimension: Uid::from("workload_network"),
            observed: network.to_string(),
            expected: "a network of machines".to_owned(),
            window_days: 0,
            n: others.len() as u64,
            bits: None,
        }],
        related_uids: std::iter::once(workload.clone())
            .chain(sighting.by.session_uid.clone())
            .collect(),
        earlier: Vec::new(),
    })
}
