//! State of form 4: what a sighting was before users brought rules and files about addresses, and what was known of homes and
//! uses before they named their events.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::form_3::{self, each};
use super::form_5::{self, WrittenSweeps};
use super::situations::{Key, Situation};
use super::watermark::Watermark;
use crate::attribute;
use crate::correlate::{
    self, Burst, DayUse, KnownCredential, KnownIdentity, Newcomer, Rhythm, Sleep, UsageKey, Values,
    WrittenLinks,
};
use crate::model::{Changes, Micros, Uid};

#[derive(Deserialize)]
pub(super) struct Written {
    attributor: attribute::Written,
    duplicates: Changes<[u8; 16], (i64, u64)>,
    duplicates_evicted: u64,
    watermark: Watermark,
    waiting: Changes<(Micros, Uid), Sighting>,
    profiles: Changes<Uid, Profile>,
    profiles_evicted: u64,
    waiting_evicted: u64,
    usage: Changes<UsageKey, DayUse>,
    identities: Changes<Uid, KnownIdentity>,
    credentials: Changes<Uid, KnownCredential>,
    links: WrittenLinks,
    situations: Changes<Key, Situation>,
    situations_evicted: u64,
    tree_size: i64,
    sweeps: WrittenSweeps,
    newcomers: Changes<Uid, Vec<Newcomer>>,
    newcomers_evicted: u64,
}

impl From<Written> for form_5::Written {
    fn from(old: Written) -> Self {
        Self {
            attributor: old.attributor,
            duplicates: old.duplicates,
            duplicates_evicted: old.duplicates_evicted,
            watermark: old.watermark,
            waiting: each(old.waiting, Into::into),
            profiles: each(old.profiles, Into::into),
            profiles_evicted: old.profiles_evicted,
            waiting_evicted: old.waiting_evicted,
            usage: old.usage,
            identities: old.identities,
            credentials: old.credentials,
            links: old.links,
            situations: old.situations,
            situations_evicted: old.situations_evicted,
            tree_size: old.tree_size,
            sweeps: old.sweeps,
            newcomers: old.newcomers,
            newcomers_evicted: old.newcomers_evicted,
        }
    }
}

/// The form has no names: what stands first in a sighting is what form 3 held.
#[derive(Deserialize)]
struct Sighting {
    form_3: form_3::Sighting,
    denied: bool,
    person: Option<Uid>,
}

impl From<Sighting> for form_5::Sighting {
    fn from(old: Sighting) -> Self {
        Self {
            denied: old.denied,
            person: old.person,
            ..old.form_3.into()
        }
    }
}

#[derive(Deserialize)]
struct Profile {
    first_seen_at: Micros,
    last_seen_at: Micros,
    hours: u64,
    sleep: Sleep,
    values: Vec<Values>,
    denials: Burst,
    secrets: Burst,
    rhythm: Rhythm,
    whereabouts: Whereabouts,
}

impl From<Profile> for form_5::Profile {
    fn from(old: Profile) -> Self {
        Self {
            first_seen_at: old.first_seen_at,
            last_seen_at: old.last_seen_at,
            hours: old.hours,
            sleep: old.sleep,
            values: old.values,
            denials: old.denials,
            secrets: old.secrets,
            rhythm: old.rhythm,
            whereabouts: old.whereabouts.into(),
        }
    }
}

#[derive(Deserialize)]
struct Whereabouts {
    homes: BTreeMap<Uid, Vec<Home>>,
    lately: Vec<Use>,
    pairs: Values,
}

impl From<Whereabouts> for correlate::Whereabouts {
    fn from(old: Whereabouts) -> Self {
        let homes = old.homes.into_iter().map(|(workload, homes)| {
            let homes = homes.into_iter().map(Into::into).collect();
            (workload, homes)
        });
        Self {
            homes: homes.collect(),
            lately: old.lately.into_iter().map(Into::into).collect(),
            pairs: old.pairs,
        }
    }
}

#[derive(Deserialize)]
struct Home {
    network: Uid,
    events: u64,
    first_seen_at: Micros,
    last_seen_at: Micros,
}

impl From<Home> for correlate::Home {
    fn from(old: Home) -> Self {
        Self {
            network: old.network,
            events: old.events,
            first_seen_at: old.first_seen_at,
            first_event: None,
            last_seen_at: old.last_seen_at,
        }
    }
}

#[derive(Deserialize)]
struct Use {
    credential: Uid,
    network: Uid,
    at: Micros,
}

impl From<Use> for correlate::Use {
    fn from(old: Use) -> Self {
        Self {
            credential: old.credential,
            network: old.network,
            at: old.at,
            event: None,
        }
    }
}
