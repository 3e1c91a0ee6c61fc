//! State of form 3: what a sighting, a profile, an identity and a credential were before detectors asked for bursts, rhythms,
//! whereabouts and who acted through whom. What it does not tell is taken as not seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::form_5::{self, WrittenSweeps};
use super::situations::{Key, Situation};
use super::watermark::Watermark;
use crate::attribute;
use crate::correlate::{
    self, Burst, DayUse, Rhythm, Sleep, Standing, UsageKey, Values, Whereabouts, WrittenLinks,
};
use crate::model::{Attribution, Change, Changes, CredentialKind, Micros, Provider, Tie, Uid};

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
            identities: each(old.identities, Into::into),
            credentials: each(old.credentials, Into::into),
            links: old.links,
            situations: old.situations,
            situations_evicted: old.situations_evicted,
            tree_size: old.tree_size,
            sweeps: WrittenSweeps::default(),
            newcomers: Changes::new(),
            newcomers_evicted: 0,
        }
    }
}

pub(super) fn each<K, V, W>(changes: Changes<K, V>, into: impl Fn(V) -> W) -> Changes<K, W> {
    changes
        .into_iter()
        .map(|(key, value)| (key, value.map(&into)))
        .collect()
}

#[derive(Deserialize)]
pub(super) struct Sighting {
    event_uid: Uid,
    event_time: Micros,
    provider: Provider,
    by: Arc<Attribution>,
    acting_native: Option<Uid>,
    acting_name: Option<Uid>,
    changes: Vec<Change>,
    ties: Vec<Tie>,
    privilege: Option<(u8, Uid)>,
    tenant_uid: Option<Uid>,
    region: Option<Uid>,
    service: Uid,
    operation: Uid,
    success: bool,
    failure: bool,
    foreign_copy: bool,
    read_only: Option<bool>,
    network: Option<Uid>,
    user_agent_family: Option<Uid>,
}

impl From<Sighting> for form_5::Sighting {
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
            user_agent_family: old.user_agent_family,
            denied: false,
            person: None,
            asn: None,
            country: None,
            range: None,
            rules: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
struct Profile {
    first_seen_at: Micros,
    last_seen_at: Micros,
    hours: u64,
    sleep: Sleep,
    values: [Values; 6],
}

impl From<Profile> for form_5::Profile {
    fn from(old: Profile) -> Self {
        Self {
            first_seen_at: old.first_seen_at,
            last_seen_at: old.last_seen_at,
            hours: old.hours,
            sleep: old.sleep,
            values: old.values.into(),
            denials: Burst::default(),
            secrets: Burst::default(),
            rhythm: Rhythm::default(),
            whereabouts: Whereabouts::default(),
        }
    }
}

#[derive(Deserialize)]
struct KnownIdentity {
    version: i32,
    kind: String,
    provider: String,
    tenant: Option<Uid>,
    native: Option<Uid>,
    name: Option<Uid>,
    standing: Standing,
    created_at: Option<Micros>,
    created_by: Option<Uid>,
    merged_into: Option<Uid>,
    told: bool,
    grants: BTreeMap<Uid, (u8, Uid)>,
    used: Option<(u8, Uid)>,
}

impl From<KnownIdentity> for correlate::KnownIdentity {
    fn from(old: KnownIdentity) -> Self {
        Self {
            version: old.version,
            kind: old.kind,
            provider: old.provider,
            tenant: old.tenant,
            native: old.native,
            name: old.name,
            standing: old.standing,
            created_at: old.created_at,
            created_by: old.created_by,
            merged_into: old.merged_into,
            told: old.told,
            grants: old.grants,
            used: old.used,
            ..Self::default()
        }
    }
}

#[derive(Deserialize)]
struct KnownCredential {
    version: i32,
    identity: Uid,
    kind: Option<CredentialKind>,
    standing: Standing,
    created_at: Option<Micros>,
    expires_at: Option<Micros>,
    disabled_at: Option<Micros>,
    deleted_at: Option<Micros>,
    rotated_from: Option<Uid>,
}

impl From<KnownCredential> for correlate::KnownCredential {
    fn from(old: KnownCredential) -> Self {
        Self {
            version: old.version,
            kind: old.kind,
            standing: old.standing,
            created_at: old.created_at,
            expires_at: old.expires_at,
            disabled_at: old.disabled_at,
            deleted_at: old.deleted_at,
            rotated_from: old.rotated_from,
            // Whether it was used is not known, so that its next use is not taken for its first.
            first_used_at: Some(old.created_at.unwrap_or(Micros::MIN)),
            ..Self::of(old.identity)
        }
    }
}
