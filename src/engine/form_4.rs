//! State of form 4: what a sighting was before users brought rules and files about addresses, and what was known of homes and
//! uses before they named their events.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{form_3, form_5};
use crate::correlate::{self, Burst, Rhythm, Sleep, Values};
use crate::model::{Micros, Uid};

pub(super) type Written = form_5::Written<Sighting, Profile>;

/// The form has no names: what stands first in a sighting is what form 3 held.
#[derive(Deserialize)]
pub(super) struct Sighting {
    form_3: form_3::Sighting,
    denied: bool,
    person: Option<Uid>,
}

impl From<Sighting> for correlate::Sighting {
    fn from(old: Sighting) -> Self {
        Self {
            denied: old.denied,
            person: old.person,
            ..form_5::Sighting::from(old.form_3).into()
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Profile {
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

impl From<Profile> for correlate::Profile {
    fn from(old: Profile) -> Self {
        Self {
            last_seen_at: old.last_seen_at,
            hours: old.hours,
            sleep: old.sleep,
            values: old.values,
            denials: old.denials,
            secrets: old.secrets,
            rhythm: old.rhythm,
            whereabouts: old.whereabouts.into(),
            ..Self::new(old.first_seen_at)
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
