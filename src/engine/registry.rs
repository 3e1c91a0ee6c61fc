//! What is written about identities and credentials: a row for each version, and a row for each change that a person
//! or machine made to one. It follows the judged order of events, so versions do not depend on who was read first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Engine;
use crate::correlate::Sighting;
use crate::model::{Action, Change, CredentialKind, Micros, Uid};

/// How many grants of one identity are remembered to know what is left after one is revoked.
const GRANTS_MAX: usize = 256;

/// How many identities, and how many credentials, are remembered. Beyond it a new one is told anew each time it acts, as
/// version 1, and counted: what is known of the others stays.
const KNOWN_MAX: usize = 2_000_000;

/// Whether an identity or credential can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Standing {
    #[default]
    Active,
    Disabled,
    Deleted,
}

impl Standing {
    /// The name as rows spell it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }

    const fn after(self, action: Action) -> Self {
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
pub(super) struct KnownIdentity {
    pub(super) version: i32,
    pub(super) kind: String,
    pub(super) provider: String,
    pub(super) tenant: Option<Uid>,
    pub(super) native: Option<Uid>,
    pub(super) name: Option<Uid>,
    pub(super) standing: Standing,
    pub(super) created_at: Option<Micros>,
    pub(super) created_by: Option<Uid>,
    /// The unique id that an identity known by its ARN turned out to be.
    pub(super) merged_into: Option<Uid>,
    /// Whether somebody's change told of it before it acted.
    pub(super) told: bool,
    /// Privileges granted and not revoked, by what granted them.
    grants: BTreeMap<Uid, (u8, Uid)>,
    /// The highest privilege that it has used.
    used: Option<(u8, Uid)>,
}

impl KnownIdentity {
    /// The highest privilege that is known of, 0 to 3, and what shows it.
    pub(super) fn privilege(&self) -> Option<(u8, &Uid)> {
        self.grants
            .values()
            .chain(&self.used)
            .max_by_key(|(tier, _)| *tier)
            .map(|(tier, reason)| (*tier, reason))
    }
}

impl KnownCredential {
    /// A credential of `identity` of which nothing is told yet.
    const fn of(identity: Uid) -> Self {
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
        }
    }
}

/// What the last version of a credential says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownCredential {
    pub(super) version: i32,
    pub(super) identity: Uid,
    pub(super) kind: Option<CredentialKind>,
    pub(super) standing: Standing,
    pub(super) created_at: Option<Micros>,
    pub(super) expires_at: Option<Micros>,
    pub(super) disabled_at: Option<Micros>,
    pub(super) deleted_at: Option<Micros>,
    pub(super) rotated_from: Option<Uid>,
}

impl Engine {
    /// Writes the first version of what acted, and a further one when more is known of it.
    pub(super) fn know(&mut self, sighting: &Sighting) {
        let last = sighting.by.chain.len().saturating_sub(1);
        for (place, identity) in sighting.by.chain.iter().enumerate() {
            self.know_identity(sighting, identity, place, place == last);
        }
        let (Some(credential), Some(acting)) =
            (sighting.credential_uid(), sighting.by.chain.last())
        else {
            return;
        };
        if !self.credentials.contains(credential) {
            let known = KnownCredential {
                version: 1,
                kind: sighting.by.credential_kind,
                ..KnownCredential::of(acting.clone())
            };
            self.rows.credential(credential, &known, sighting);
            self.keep_credential(credential, known);
        }
    }

    fn know_identity(&mut self, sighting: &Sighting, identity: &Uid, place: usize, acting: bool) {
        let native = sighting.acting_native.as_ref().filter(|_| acting);
        let name = sighting.acting_name.as_ref().filter(|_| acting);
        let shown = sighting
            .privilege
            .as_ref()
            .filter(|_| acting && sighting.success);
        let merged = self.merged(identity, sighting.event_time);
        let known = self.identities.get(identity);
        let told_more = known.is_none_or(|known| {
            (known.native.is_none() && native.is_some())
                || (known.name.is_none() && name.is_some())
                || (known.merged_into.is_none() && merged.is_some())
                || shown.is_some_and(|(tier, _)| {
                    known.used.as_ref().is_none_or(|(used, _)| used < tier)
                })
        });
        if !told_more {
            return;
        }
        let mut known = known.cloned().unwrap_or_default();
        if known.version == 0 || known.told {
            known.kind = super::rows::kind_at(sighting, place).to_owned();
            known.told = false;
        }
        if known.version == 0 {
            known.provider = super::rows::provider_of_uid(identity, sighting).to_owned();
            known.tenant.clone_from(&sighting.tenant_uid);
        }
        known.version += 1;
        known.native = known.native.or_else(|| native.cloned());
        known.name = known.name.or_else(|| name.cloned());
        known.merged_into = known.merged_into.or(merged);
        if let Some((tier, group)) = shown
            && known.used.as_ref().is_none_or(|(used, _)| used < tier)
        {
            let reason = format!("used {} ({group})", sighting.operation);
            known.used = Some((*tier, self.attributor.intern(&reason)));
        }
        self.rows.identity(identity, &known, sighting);
        self.keep_identity(identity, known);
    }

    /// Remembers an identity, if there is room.
    fn keep_identity(&mut self, identity: &Uid, known: KnownIdentity) {
        if self.identities.len() < KNOWN_MAX || self.identities.contains(identity) {
            self.identities.insert(identity.clone(), known);
        } else {
            self.waiting_evicted += 1;
        }
    }

    /// Remembers a credential, if there is room.
    fn keep_credential(&mut self, credential: &Uid, known: KnownCredential) {
        if self.credentials.len() < KNOWN_MAX || self.credentials.contains(credential) {
            self.credentials.insert(credential.clone(), known);
        } else {
            self.waiting_evicted += 1;
        }
    }

    /// ID-4: the unique id that a role known by its ARN turned out to have.
    fn merged(&self, identity: &Uid, at: Micros) -> Option<Uid> {
        let arn = identity.strip_prefix("aws:role-arn:")?;
        self.attributor.role_at(arn, at).cloned()
    }

    /// Writes what `sighting` changes about identities and credentials.
    pub(super) fn change(&mut self, sighting: &Sighting) {
        let replaced = sighting
            .changes
            .iter()
            .find(|change| change.action == Action::Delete)
            .and_then(|change| change.credential.as_ref())
            .map(|credential| credential.uid.clone());
        for change in &sighting.changes {
            let target = change
                .target
                .as_ref()
                .map(|target| self.attributor.target(target, sighting.event_time));
            if let Some(target) = &target {
                self.change_identity(sighting, change, target);
            }
            if change.credential.is_some() {
                let from = replaced
                    .as_deref()
                    .filter(|_| change.action == Action::Rotate);
                self.change_credential(sighting, change, target.as_ref(), from);
            }
            self.rows.lifecycle(sighting, change, target.as_ref());
        }
    }

    fn change_identity(&mut self, sighting: &Sighting, change: &Change, target: &Uid) {
        let mut known = self.identities.get(target).cloned().unwrap_or_default();
        let before = known.clone();
        if known.version == 0 {
            known.kind = super::rows::kind_of_uid(target).to_owned();
            known.provider = super::rows::provider_of_uid(target, sighting).to_owned();
            known.tenant.clone_from(&sighting.tenant_uid);
            known.told = true;
        }
        // A change of a credential is none of the identity's own standing.
        if change.credential.is_none() {
            known.standing = known.standing.after(change.action);
            if change.action == Action::Create && known.created_at.is_none() {
                known.created_at = Some(sighting.event_time);
                known.created_by = Some(sighting.by.identity_uid.clone());
            }
        }
        if let Some((tier, reason)) = &change.privilege {
            let by = self.attributor.intern(&change.detail);
            if change.action == Action::Revoke {
                known.revoke(reason, &by);
            } else if known.grants.len() < GRANTS_MAX {
                let reason = self.attributor.intern(reason);
                known.grants.insert(by, (*tier, reason));
            }
        }
        if known != before {
            known.version += 1;
            self.rows.identity(target, &known, sighting);
            self.keep_identity(target, known);
        }
    }

    fn change_credential(
        &mut self,
        sighting: &Sighting,
        change: &Change,
        target: Option<&Uid>,
        replaced: Option<&str>,
    ) {
        let Some(changed) = &change.credential else {
            return;
        };
        let at = sighting.event_time;
        let uid = self.attributor.intern(&changed.uid);
        let mut known = match self.credentials.get(&uid) {
            Some(known) => known.clone(),
            None => KnownCredential::of(target.unwrap_or(&uid).clone()),
        };
        known.version += 1;
        known.kind = known.kind.or(Some(changed.kind));
        known.standing = known.standing.after(change.action);
        known.expires_at = changed.expires_at.or(known.expires_at);
        match change.action {
            Action::Create | Action::Rotate => known.created_at = Some(at),
            Action::Disable => known.disabled_at = Some(at),
            Action::Delete => known.deleted_at = Some(at),
            Action::Enable => known.disabled_at = None,
            Action::Grant | Action::Revoke | Action::TrustChange => (),
        }
        if let Some(replaced) = replaced {
            known.rotated_from = Some(self.attributor.intern(replaced));
        }
        self.rows.credential(&uid, &known, sighting);
        self.keep_credential(&uid, known);
    }
}

impl KnownIdentity {
    /// Takes back what was granted by the same thing, else what was granted for the same reason.
    fn revoke(&mut self, reason: &str, by: &Uid) {
        if self.grants.remove(by).is_some() {
            return;
        }
        self.grants.retain(|_, (_, granted)| **granted != *reason);
    }
}
