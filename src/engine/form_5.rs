//! State of form 5: what a sighting, a profile and what sweeps said were before clients, classes of resources, hours of the
//! week and peers were kept, and what opened a situation.

use std::sync::Arc;

use serde::Deserialize;

use super::form_3::each;
use super::situations::{Key, Situation, WrittenSituations};
use super::state;
use super::sweep;
use super::watermark::Watermark;
use crate::attribute;
use crate::correlate::{
    self, Burst, DayUse, KnownCredential, KnownIdentity, Newcomer, Rhythm, Sleep, UsageKey, Values,
    Whereabouts, WrittenLinks,
};
use crate::detect::Word;
use crate::model::{Attribution, Change, Changes, Day, Micros, Provider, RuleHit, Tie, Uid};

/// Form 4 is the same with other sightings and profiles.
#[derive(Deserialize)]
pub(super) struct Written<S = Sighting, P = Profile> {
    pub(super) attributor: attribute::Written,
    pub(super) duplicates: Changes<[u8; 16], (i64, u64)>,
    pub(super) duplicates_evicted: u64,
    pub(super) watermark: Watermark,
    pub(super) waiting: Changes<(Micros, Uid), S>,
    pub(super) profiles: Changes<Uid, P>,
    pub(super) profiles_evicted: u64,
    pub(super) waiting_evicted: u64,
    pub(super) usage: Changes<UsageKey, DayUse>,
    pub(super) identities: Changes<Uid, KnownIdentity>,
    pub(super) credentials: Changes<Uid, KnownCredential>,
    pub(super) links: WrittenLinks,
    pub(super) situations: Changes<Key, Situation>,
    pub(super) situations_evicted: u64,
    pub(super) tree_size: i64,
    pub(super) sweeps: WrittenSweeps,
    pub(super) newcomers: Changes<Uid, Vec<Newcomer>>,
    pub(super) newcomers_evicted: u64,
}

impl<S, P> From<Written<S, P>> for state::Written
where
    S: Into<correlate::Sighting>,
    P: Into<correlate::Profile>,
{
    fn from(old: Written<S, P>) -> Self {
        Self {
            attributor: old.attributor,
            duplicates: old.duplicates,
            duplicates_evicted: old.duplicates_evicted,
            watermark: old.watermark,
            waiting: each(old.waiting, |old| Arc::new(old.into())),
            profiles: each(old.profiles, Into::into),
            profiles_evicted: old.profiles_evicted,
            waiting_evicted: old.waiting_evicted,
            usage: old.usage,
            identities: old.identities,
            credentials: old.credentials,
            links: old.links,
            // What opened them is not known: they are not taken back.
            situations: WrittenSituations {
                open: old.situations,
                triggers: Changes::new(),
            },
            situations_evicted: old.situations_evicted,
            tree_size: old.tree_size,
            sweeps: old.sweeps.into(),
            newcomers: old.newcomers,
            newcomers_evicted: old.newcomers_evicted,
            peers: Changes::new(),
            peers_evicted: 0,
            snoozes: Changes::new(),
            inventory: Changes::new(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Sighting {
    pub(super) event_uid: Uid,
    pub(super) event_time: Micros,
    pub(super) provider: Provider,
    pub(super) by: Arc<Attribution>,
    pub(super) acting_native: Option<Uid>,
    pub(super) acting_name: Option<Uid>,
    pub(super) changes: Vec<Change>,
    pub(super) ties: Vec<Tie>,
    pub(super) privilege: Option<(u8, Uid)>,
    pub(super) tenant_uid: Option<Uid>,
    pub(super) region: Option<Uid>,
    pub(super) service: Uid,
    pub(super) operation: Uid,
    pub(super) success: bool,
    pub(super) failure: bool,
    pub(super) foreign_copy: bool,
    pub(super) read_only: Option<bool>,
    pub(super) network: Option<Uid>,
    pub(super) asn: Option<Uid>,
    pub(super) country: Option<Uid>,
    pub(super) range: Option<Uid>,
    pub(super) user_agent_family: Option<Uid>,
    pub(super) denied: bool,
    pub(super) person: Option<Uid>,
    pub(super) rules: Vec<RuleHit>,
}

impl From<Sighting> for correlate::Sighting {
    fn from(old: Sighting) -> Self {
        Self {
            event_uid: old.event_uid,
            event_time: old.event_time,
            provider: old.provider,
            by: old.by,
            acting_native: old.acting_native,
            acting_name: old.acting_name,
            changes: old.changes,
            ties: old.ties,
            privilege: old.privilege,
            tenant_uid: old.tenant_uid,
            region: old.region,
            service: old.service,
            operation: old.operation,
            success: old.success,
            failure: old.failure,
            foreign_copy: old.foreign_copy,
            read_only: old.read_only,
            network: old.network,
            asn: old.asn,
            country: old.country,
            range: old.range,
            user_agent_family: old.user_agent_family,
            denied: old.denied,
            person: old.person,
            rules: old.rules,
            client: None,
            resource_class: None,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Profile {
    pub(super) first_seen_at: Micros,
    pub(super) last_seen_at: Micros,
    pub(super) hours: u64,
    pub(super) sleep: Sleep,
    pub(super) values: Vec<Values>,
    pub(super) denials: Burst,
    pub(super) secrets: Burst,
    pub(super) rhythm: Rhythm,
    pub(super) whereabouts: Whereabouts,
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
            whereabouts: old.whereabouts,
            ..Self::new(old.first_seen_at)
        }
    }
}

#[derive(Default, Deserialize)]
pub(super) struct WrittenSweeps {
    told: Changes<Uid, Vec<Told>>,
    logged: Changes<Uid, Vec<Day>>,
    swept: Option<Day>,
}

impl From<WrittenSweeps> for sweep::WrittenSweeps {
    fn from(old: WrittenSweeps) -> Self {
        let told = |old: Vec<Told>| old.into_iter().map(Into::into).collect();
        Self {
            told: each(old.told, told),
            logged: old.logged,
            swept: old.swept,
        }
    }
}

#[derive(Deserialize)]
struct Told {
    sweep: Uid,
    revision: i32,
    word: Word,
    open: bool,
}

impl From<Told> for sweep::Told {
    fn from(old: Told) -> Self {
        Self {
            sweep: old.sweep,
            revision: old.revision,
            word: old.word,
            open: old.open,
            // When it was said is not known: it is never taken back.
            day: Day(i32::MIN),
        }
    }
}
