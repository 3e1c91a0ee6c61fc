//! Who appeared in a network for the first time, machines and people: what one identity alone cannot tell.

use serde::{Deserialize, Serialize};

use super::{Dimension, Profile, Sighting};
use crate::model::{ActorType, Changes, Kept, Micros, Uid};

/// How many identities of one network are remembered: more are a shared way out, and one more says nothing.
const OF_NETWORK_MAX: usize = 32;

/// How many networks are remembered. Beyond it the sixteenth to which nobody came for longest is forgotten and counted.
const NETWORKS_MAX: usize = 1_000_000;

/// An identity has habits once it was active in so many hours …
const HABIT_HOURS_MIN: u64 = 50;

/// … and if a new network is worth so many bits to it.
const HABIT_BITS_MIN: u32 = 5;

/// An identity that came to a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newcomer {
    pub identity: Uid,
    pub tenant: Option<Uid>,
    pub at: Micros,
    /// Whether it had steady networks before.
    pub habits: bool,
    /// Whether it is a person.
    pub person: bool,
}

/// Newcomers by network.
#[derive(Debug, Default)]
pub struct Newcomers {
    of: Kept<Uid, Vec<Newcomer>>,
    pub evicted: u64,
}

impl Newcomers {
    /// Who came to `network`, in the order in which it was noticed.
    pub fn of(&self, network: &Uid) -> &[Newcomer] {
        self.of.get(network).map_or(&[], Vec::as_slice)
    }

    /// Notes `sighting` if its identity was never seen in its network, as `before` knows it.
    pub fn add(&mut self, sighting: &Sighting, before: Option<&Profile>) {
        let person = sighting.by.actor_type == ActorType::Human;
        let identity = if person {
            Some(&sighting.by.identity_uid)
        } else {
            sighting.profiled()
        };
        let (Some(identity), Some(network)) = (identity, &sighting.network) else {
            return;
        };
        if before.is_some_and(|known| known.stats(Dimension::Network, network).is_some()) {
            return;
        }
        let known = self.of(network);
        // Machines count for more: where they work is not where only people do.
        let full = known.len() >= OF_NETWORK_MAX;
        let place = known.iter().position(|one| full && !person && one.person);
        if (full && place.is_none()) || known.iter().any(|one| one.identity == *identity) {
            return;
        }
        if known.is_empty() && self.of.len() >= NETWORKS_MAX {
            self.forget();
        }
        let habits = before.is_some_and(|known| {
            let networks = known.values(Dimension::Network);
            known.hours >= HABIT_HOURS_MIN && networks.bits() >= HABIT_BITS_MIN
        });
        let of = self.of.entry(network, Vec::new);
        if let Some(place) = place {
            of.remove(place);
        }
        of.push(Newcomer {
            identity: identity.clone(),
            tenant: sighting.tenant_uid.clone(),
            at: sighting.event_time,
            habits,
            person,
        });
    }

    fn forget(&mut self) {
        self.evicted += self.of.forget_least(NETWORKS_MAX / 16 + 1, |newcomers| {
            newcomers.iter().map(|newcomer| newcomer.at).max()
        });
    }

    /// What must survive a restart: changes since the last call, or everything if `all`.
    pub fn written(&mut self, all: bool) -> Changes<Uid, Vec<Newcomer>> {
        self.of.written(all)
    }

    /// Continues from what [`Newcomers::written`] gave.
    pub fn restore(&mut self, changes: Changes<Uid, Vec<Newcomer>>) {
        self.of.apply(changes);
    }
}
