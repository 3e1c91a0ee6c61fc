//! Where the credentials of one identity are at home, and from which networks one of them was used at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::profile::Values;
use crate::model::{Micros, Uid};

/// How many workloads of one identity have a home. Beyond it the one that was seen longest ago is forgotten: instances and
/// tasks come and go.
const WORKLOADS_MAX: usize = 64;

/// How many networks of one workload are remembered; the one that was used longest ago goes first.
const HOMES_MAX: usize = 4;

/// How many uses of the last minutes are remembered, each of another credential or network.
const LATELY_MAX: usize = 32;

/// Uses from two networks within this time are at once.
pub(super) const AT_ONCE: i64 = 15 * Micros::MINUTE;

/// A network from which a workload acted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    pub network: Uid,
    pub events: u64,
    pub first_seen_at: Micros,
    /// The event by which it was first seen there; not known of what state of form 4 remembered.
    pub first_event: Option<Uid>,
    pub last_seen_at: Micros,
}

/// A use of a credential or session from a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Use {
    pub(crate) credential: Uid,
    pub(crate) network: Uid,
    pub(crate) at: Micros,
    /// Not known of what state of form 4 remembered.
    pub(crate) event: Option<Uid>,
}

/// A use of the same credential from another network, at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beside<'a> {
    pub network: &'a Uid,
    pub at: Micros,
    pub event: Option<&'a Uid>,
}

/// What one identity's networks say about its credentials and workloads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whereabouts {
    pub(crate) homes: BTreeMap<Uid, Vec<Home>>,
    pub(crate) lately: Vec<Use>,
    /// Pairs of networks from which one credential was used at once.
    pub(crate) pairs: Values,
}

impl Whereabouts {
    /// The networks from which `workload` acted, in the order in which it first did.
    pub fn homes(&self, workload: &Uid) -> &[Home] {
        self.homes.get(workload).map_or(&[], Vec::as_slice)
    }

    /// The other network from which `credential` was last used within a quarter of an hour of `at`, and when; nothing
    /// if the two were used at once before.
    pub fn beside(&self, credential: &Uid, network: &Uid, at: Micros) -> Option<Beside<'_>> {
        self.at_once(credential, network, at)
            .filter(|other| !self.pairs.seen.contains_key(&pair(&other.network, network)))
            .max_by_key(|other| other.at)
            .map(|other| Beside {
                network: &other.network,
                at: other.at,
                event: other.event.as_ref(),
            })
    }

    /// Pairs of networks that were used at once in one hour only, and never again.
    pub fn single_pairs(&self) -> u64 {
        self.pairs.singletons()
    }

    /// How many pairs are known.
    pub fn pairs(&self) -> usize {
        self.pairs.seen.len()
    }

    /// Learns that `credential` was used from `network` by `workload` in `event`.
    pub(super) fn add(
        &mut self,
        workload: Option<&Uid>,
        credential: Option<&Uid>,
        network: &Uid,
        (at, event): (Micros, &Uid),
    ) {
        if let Some(workload) = workload {
            self.add_home(workload, network, (at, event));
        }
        let Some(credential) = credential else {
            return;
        };
        // A pair is noted when the network changes: while it stays, nothing is new.
        let here = self
            .lately
            .iter()
            .find(|other| other.credential == *credential && other.network == *network)
            .map_or(Micros::MIN, |other| other.at);
        let pairs: Vec<Uid> = self
            .at_once(credential, network, at)
            .filter(|other| other.at >= here)
            .map(|other| pair(&other.network, network))
            .collect();
        for pair in pairs {
            self.pairs.add(&pair, at, true);
        }
        self.lately.retain(|other| {
            let same = other.credential == *credential && other.network == *network;
            !same && at.since(other.at) <= AT_ONCE
        });
        if self.lately.len() >= LATELY_MAX {
            self.lately.remove(0);
        }
        self.lately.push(Use {
            credential: credential.clone(),
            network: network.clone(),
            at,
            event: Some(event.clone()),
        });
    }

    fn at_once(&self, credential: &Uid, network: &Uid, at: Micros) -> impl Iterator<Item = &Use> {
        self.lately.iter().filter(move |other| {
            other.credential == *credential
                && other.network != *network
                && at.since(other.at).abs() <= AT_ONCE
        })
    }

    fn add_home(&mut self, workload: &Uid, network: &Uid, (at, event): (Micros, &Uid)) {
        if self.homes.len() >= WORKLOADS_MAX && !self.homes.contains_key(workload) {
            let last_seen = |homes: &[Home]| homes.iter().map(|home| home.last_seen_at).max();
            let oldest = self
                .homes
                .iter()
                .min_by_key(|(_, homes)| last_seen(homes))
                .map(|(workload, _)| workload.clone());
            if let Some(oldest) = oldest {
                self.homes.remove(&oldest);
            }
        }
        let homes = self.homes.entry(workload.clone()).or_default();
        if let Some(home) = homes.iter_mut().find(|home| home.network == *network) {
            home.events += 1;
            home.last_seen_at = home.last_seen_at.max(at);
            return;
        }
        if homes.len() >= HOMES_MAX {
            let oldest = (0..homes.len()).min_by_key(|place| homes[*place].last_seen_at);
            if let Some(oldest) = oldest {
                homes.remove(oldest);
            }
        }
        homes.push(Home {
            network: network.clone(),
            events: 1,
            first_seen_at: at,
            first_event: Some(event.clone()),
            last_seen_at: at,
        });
    }
}

/// Two networks as one value, whichever came first.
fn pair(one: &Uid, other: &Uid) -> Uid {
    let (first, second) = if one < other {
        (one, other)
    } else {
        (other, one)
    };
    Uid::from(format!("{first} and {second}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(minute: i64) -> Micros {
        Micros(minute * Micros::MINUTE)
    }

    #[test]
    fn networks_are_at_once_for_one_credential_and_a_quarter_of_an_hour() {
        let [key, other, home, abroad] = ["key", "other", "home", "abroad"].map(Uid::from);
        let mut places = Whereabouts::default();
        let event = Uid::from("event-1");
        places.add(None, Some(&key), &home, (minute(0), &event));
        let beside = Beside {
            network: &home,
            at: minute(0),
            event: Some(&event),
        };
        assert_eq!(places.beside(&key, &abroad, minute(15)), Some(beside));
        assert_eq!(places.beside(&key, &home, minute(1)), None);
        assert_eq!(places.beside(&other, &abroad, minute(1)), None);
        assert_eq!(places.beside(&key, &abroad, minute(16)), None);
        places.add(None, Some(&key), &abroad, (minute(5), &event));
        assert_eq!(places.beside(&key, &home, minute(6)), None, "a known pair");
        assert_eq!((places.pairs(), places.single_pairs()), (1, 1));
    }

    #[test]
    fn a_workload_keeps_its_latest_networks() {
        let mut places = Whereabouts::default();
        let (workload, event) = (Uid::from("wl"), Uid::from("event-1"));
        for network in 0..6 {
            let network = Uid::from(format!("net-{network}"));
            places.add(Some(&workload), None, &network, (minute(1), &event));
            places.add(
                Some(&workload),
                None,
                &Uid::from("home"),
                (minute(2), &event),
            );
        }
        let homes = places.homes(&workload);
        assert_eq!(homes.len(), HOMES_MAX);
        assert!(
            homes
                .iter()
                .any(|home| &*home.network == "home" && home.events == 6)
        );
        assert!(homes.iter().all(|home| &*home.network != "net-0"));
    }
}
