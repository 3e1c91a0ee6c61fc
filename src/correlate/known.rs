//! What is known of an identity and of a credential: what its last version says, and what detectors hold its use against.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Action, CredentialKind, Day, Micros, Uid};

/// How many grants of one identity are remembered to know what is left after one is revoked.
const GRANTS_MAX: usize = 256;

/// How many of those who acted through one identity are remembered; beyond it the one who came first is forgotten.
const WIELDERS_MAX: usize = 32;

/// How many keys of one identity are remembered. Beyond it the one goes that ended first; one more live key than this is
/// not remembered.
const KEYS_MAX: usize = 16;

/// How many clients of one credential are remembered.
const CLIENTS_MAX: usize = 16;

/// Whether an identity or credential can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    #[default]
    Active,
    Disabled,
    Deleted,
}

impl Standing {
    /// The name as rows spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }

    /// What an identity or credential is after `action`.
    pub const fn after(self, action: Action) -> Self {
        match action {
            Action::Create | Action::Enable | Action::Rotate => Self::Active,
            Action::Disable => Self::Disabled,
            Action::Delete => Self::Deleted,
            Action::Grant | Action::Revoke | Action::TrustChange => self,
        }
    }
}

/// What the last version of an identity says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownIdentity {
    pub version: i32,
    pub kind: String,
    pub provider: String,
    pub tenant: Option<Uid>,
    pub native: Option<Uid>,
    pub name: Option<Uid>,
    pub standing: Standing,
    pub created_at: Option<Micros>,
    pub created_by: Option<Uid>,
    /// The unique id that an identity known by its ARN turned out to be.
    pub merged_into: Option<Uid>,
    /// Whether somebody's change told of it before it acted.
    pub told: bool,
    /// Privileges granted and not revoked, by what granted them.
    pub(crate) grants: BTreeMap<Uid, (u8, Uid)>,
    /// The highest privilege that it has used.
    pub used: Option<(u8, Uid)>,
    /// Since when it is disabled or deleted.
    pub ended_at: Option<Micros>,
    /// Who acted through it, in the order in which they came: the identity before it in a chain, or itself where it
    /// stands alone.
    pub wielders: Vec<Uid>,
    /// Whether a person ever acted through it, or is it.
    pub used_by_people: bool,
    /// When it was first seen to act.
    pub first_wielded_at: Option<Micros>,
    /// Its long-lived credentials.
    pub keys: BTreeMap<Uid, Key>,
    /// When somebody last changed whom it trusts, and who.
    pub trust_changed: Option<(Micros, Uid)>,
    /// The event that made it.
    pub created_event: Option<Uid>,
    /// The latest hour in which it was used with success, anywhere in a chain: the first such use of that hour.
    pub last_use: Option<(Micros, Uid)>,
}

/// A long-lived credential of an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub kind: CredentialKind,
    pub made_at: Option<Micros>,
    /// The event that made it.
    pub made_event: Option<Uid>,
    /// Since when it is disabled or deleted.
    pub ended_at: Option<Micros>,
}

impl KnownIdentity {
    /// The highest privilege that is known of, 0 to 3, and what shows it.
    pub fn privilege(&self) -> Option<(u8, &Uid)> {
        self.grants
            .values()
            .chain(&self.used)
            .max_by_key(|(tier, _)| *tier)
            .map(|(tier, reason)| (*tier, reason))
    }

    /// Notes what `action` at `at` does to the identity itself.
    pub fn stands(&mut self, action: Action, at: Micros) {
        self.standing = self.standing.after(action);
        match action {
            Action::Create | Action::Enable => self.ended_at = None,
            Action::Disable | Action::Delete => self.ended_at = self.ended_at.or(Some(at)),
            Action::Rotate | Action::Grant | Action::Revoke | Action::TrustChange => (),
        }
    }

    /// Remembers a privilege that was granted by `by`, if there is room.
    pub fn grant(&mut self, by: Uid, tier: u8, reason: Uid) {
        if self.grants.len() < GRANTS_MAX {
            self.grants.insert(by, (tier, reason));
        }
    }

    /// Takes back what was granted by the same thing, else what was granted for the same reason.
    pub fn revoke(&mut self, reason: &str, by: &Uid) {
        if self.grants.remove(by).is_some() {
            return;
        }
        self.grants.retain(|_, (_, granted)| **granted != *reason);
    }

    /// Whether nobody remembers that `wielder` acted through it.
    pub fn learns(&self, wielder: &Uid) -> bool {
        !self.wielders.contains(wielder)
    }

    /// Remembers that `wielder` acted through it at `at`.
    pub fn wielded_by(&mut self, wielder: &Uid, at: Micros) {
        if !self.learns(wielder) {
            return;
        }
        if self.wielders.len() >= WIELDERS_MAX {
            self.wielders.remove(0);
        }
        self.wielders.push(wielder.clone());
        self.first_wielded_at = self.first_wielded_at.or(Some(at));
    }

    /// Whether a long-lived credential is not remembered, and could be.
    pub fn lacks_key(&self, uid: &Uid) -> bool {
        let room = || self.keys.len() < KEYS_MAX || self.first_ended().is_some();
        !self.keys.contains_key(uid) && room()
    }

    /// Remembers one of its long-lived credentials, if there is room.
    pub fn has_key(&mut self, uid: &Uid, key: Key) {
        if self.keys.len() >= KEYS_MAX && !self.keys.contains_key(uid) {
            let Some(ended) = self.first_ended() else {
                return;
            };
            self.keys.remove(&ended);
        }
        self.keys.insert(uid.clone(), key);
    }

    /// The key that cannot be used for the longest time.
    fn first_ended(&self) -> Option<Uid> {
        let ended = self
            .keys
            .iter()
            .filter_map(|(uid, key)| Some((key.ended_at?, uid)));
        ended.min().map(|(_, uid)| uid.clone())
    }

    /// Since when none of its access keys can be used. Nothing if none is known, or one can.
    pub fn without_access_keys_since(&self) -> Option<Micros> {
        let keys = self.keys.values();
        keys.filter(|key| key.kind == CredentialKind::AccessKey)
            .map(|key| key.ended_at)
            .max_by_key(|ended| ended.map_or(Micros::MAX, |at| at))?
    }

    /// Whether a use at `at` begins a later hour than the last one that is known.
    pub fn wakes(&self, at: Micros) -> bool {
        let last = self.last_use.as_ref().map(|(last, _)| last.hour());
        last.is_none_or(|last| at.hour() > last)
    }
}

/// What the last version of a credential says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownCredential {
    pub version: i32,
    pub identity: Uid,
    pub kind: Option<CredentialKind>,
    pub standing: Standing,
    pub created_at: Option<Micros>,
    pub expires_at: Option<Micros>,
    pub disabled_at: Option<Micros>,
    pub deleted_at: Option<Micros>,
    pub rotated_from: Option<Uid>,
    /// Who made it, and from which network.
    pub created_by: Option<Uid>,
    pub created_from: Option<Uid>,
    /// The event that made it.
    pub created_event: Option<Uid>,
    /// When it was first used, with success or not.
    pub first_used_at: Option<Micros>,
    /// With which clients and from where it is used.
    pub clients: Vec<Client>,
}

/// A client in a network, which may be a workload of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    pub family: Uid,
    pub network: Uid,
    pub last_day: Day,
    /// On how many days it was seen.
    pub days: u32,
}

impl KnownCredential {
    /// A credential of `identity` of which nothing is told yet.
    pub const fn of(identity: Uid) -> Self {
        Self {
            version: 0,
            identity,
            kind: None,
            standing: Standing::Active,
            created_at: None,
            expires_at: None,
            disabled_at: None,
            deleted_at: None,
            rotated_from: None,
            created_by: None,
            created_from: None,
            created_event: None,
            first_used_at: None,
            clients: Vec::new(),
        }
    }

    /// Whether a use by this client in this network on `day` says anything new.
    pub fn meets(&self, family: &Uid, network: &Uid, day: Day) -> bool {
        let known = self.client(family, network);
        known.is_none_or(|place| self.clients[place].last_day < day)
    }

    /// Notes a use by a client in a network. Beyond a number of them the one that was seen on the fewest days is
    /// forgotten: a workload stays, and those who pass by go.
    pub fn used_by(&mut self, family: &Uid, network: &Uid, day: Day) {
        if let Some(place) = self.client(family, network) {
            let client = &mut self.clients[place];
            client.days = client.days.saturating_add(1);
            client.last_day = client.last_day.max(day);
            return;
        }
        if self.clients.len() >= CLIENTS_MAX {
            let oldest = (0..self.clients.len()).min_by_key(|place| {
                let client = &self.clients[*place];
                (client.days, client.last_day)
            });
            if let Some(oldest) = oldest {
                self.clients.remove(oldest);
            }
        }
        self.clients.push(Client {
            family: family.clone(),
            network: network.clone(),
            last_day: day,
            days: 1,
        });
    }

    fn client(&self, family: &Uid, network: &Uid) -> Option<usize> {
        self.clients
            .iter()
            .position(|client| client.network == *network && client.family == *family)
    }

    /// Since when it cannot be used any more.
    pub fn ended_at(&self) -> Option<Micros> {
        match self.standing {
            Standing::Active => None,
            Standing::Disabled => self.disabled_at,
            Standing::Deleted => self.deleted_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: CredentialKind, ended_at: Option<Micros>) -> Key {
        Key {
            kind,
            made_at: None,
            made_event: None,
            ended_at,
        }
    }

    #[test]
    fn an_identity_is_without_keys_once_its_last_one_ended() {
        let access = |ended_at| key(CredentialKind::AccessKey, ended_at);
        let mut known = KnownIdentity::default();
        let [one, other, certificate] = ["one", "other", "certificate"].map(Uid::from);
        known.has_key(&certificate, key(CredentialKind::SigningCertificate, None));
        assert_eq!(known.without_access_keys_since(), None, "no key is known");
        known.has_key(&one, access(Some(Micros(5))));
        known.has_key(&other, access(None));
        assert_eq!(known.without_access_keys_since(), None);
        known.has_key(&other, access(Some(Micros(9))));
        assert_eq!(known.without_access_keys_since(), Some(Micros(9)));
        known.has_key(&one, access(None));
        assert_eq!(known.without_access_keys_since(), None, "switched on again");
    }

    #[test]
    fn an_identity_is_woken_once_an_hour() {
        let mut known = KnownIdentity::default();
        assert!(known.wakes(Micros(0)));
        known.last_use = Some((Micros(Micros::HOUR), Uid::from("event")));
        assert!(!known.wakes(Micros(2 * Micros::HOUR - 1)));
        assert!(known.wakes(Micros(2 * Micros::HOUR)));
    }
}
