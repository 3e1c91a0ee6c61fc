//! What is written about identities and credentials: a row for each version, and a row for each change that a person
//! or machine made to one. It follows the judged order of events, so versions do not depend on who was read first.

use super::Engine;
use crate::correlate::{Key, KnownCredential, KnownIdentity, Sighting};
use crate::model::{Action, ActorType, Change, Micros, Uid};

/// How many identities, and how many credentials, are remembered. Beyond it a new one is told anew each time it acts, as
/// version 1, and counted: what is known of the others stays.
const KNOWN_MAX: usize = 2_000_000;

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
            known.kind = super::identity_rows::kind_at(sighting, place).to_owned();
            known.provider = super::identity_rows::provider_of_uid(identity, sighting).to_owned();
            known.told = false;
        }
        if known.tenant.is_none() {
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
        let facts = self.inventory.facts(identity, &known);
        self.rows
            .identity(identity, &known, facts.as_deref(), sighting.into());
        self.keep_identity(identity, known);
    }

    /// Remembers an identity, if there is room.
    pub(super) fn keep_identity(&mut self, identity: &Uid, known: KnownIdentity) {
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

    /// Writes what `sighting` changes about identities and credentials. Returns whom each change is about.
    pub(super) fn change(&mut self, sighting: &Sighting) -> Vec<Option<Uid>> {
        let mut targets = Vec::new();
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
            targets.push(target);
        }
        targets
    }

    /// Remembers who acted through whom, and that identities and a credential are in use: what is known *after* the
    /// event was judged.
    pub(super) fn used(&mut self, sighting: &Sighting) {
        let (by, at) = (&sighting.by, sighting.event_time);
        let wielder = sighting.wielder().unwrap_or(&by.acting_uid);
        let person = by.actor_type == ActorType::Human;
        let news =
            |known: &KnownIdentity| known.learns(wielder) || (person && !known.used_by_people);
        if self.identities.get(&by.acting_uid).is_some_and(news)
            && let Some(known) = self.identities.get_mut(&by.acting_uid)
        {
            known.wielded_by(wielder, at);
            known.used_by_people |= person;
        }
        if sighting.success && !sighting.foreign_copy {
            for identity in &by.chain {
                let known = self.identities.get(identity);
                if known.is_some_and(|known| known.wakes(at))
                    && let Some(known) = self.identities.get_mut(identity)
                {
                    known.last_use = Some((at, sighting.event_uid.clone()));
                }
            }
        }
        let Some(credential) = sighting.credential_uid() else {
            return;
        };
        let Some(known) = self.credentials.get(credential) else {
            return;
        };
        let client = sighting
            .user_agent_family
            .as_ref()
            .zip(sighting.network.as_ref());
        let client = client.filter(|(family, network)| known.meets(family, network, at.day()));
        let fresh = known.first_used_at.is_none();
        let identity = self.identities.get(&known.identity);
        let lacks = identity.is_some_and(|identity| identity.lacks_key(credential));
        if (fresh || client.is_some())
            && let Some(known) = self.credentials.get_mut(credential)
        {
            known.first_used_at = known.first_used_at.or(Some(at));
            if let Some((family, network)) = client {
                known.used_by(family, network, at.day());
            }
        }
        if lacks {
            self.has_key(credential);
        }
    }

    /// Notes at its identity what is known of a long-lived credential.
    fn has_key(&mut self, credential: &Uid) {
        let Some((known, kind)) = self
            .credentials
            .get(credential)
            .and_then(|known| Some((known, known.kind?)))
        else {
            return;
        };
        if let Some(identity) = self.identities.get_mut(&known.identity) {
            let key = Key {
                kind,
                made_at: known.created_at,
                made_event: known.created_event.clone(),
                ended_at: known.ended_at(),
            };
            identity.has_key(credential, key);
        }
    }

    fn change_identity(&mut self, sighting: &Sighting, change: &Change, target: &Uid) {
        let mut known = self.identities.get(target).cloned().unwrap_or_default();
        let before = known.clone();
        if known.version == 0 {
            known.kind = super::identity_rows::kind_of_uid(target).to_owned();
            known.provider = super::identity_rows::provider_of_uid(target, sighting).to_owned();
            known.told = true;
        }
        if known.tenant.is_none() {
            known.tenant.clone_from(&sighting.tenant_uid);
        }
        // A change of a credential is none of the identity's own standing.
        if change.credential.is_none() {
            known.stands(change.action, sighting.event_time);
            if change.action == Action::Create && known.created_at.is_none() {
                known.created_at = Some(sighting.event_time);
                known.created_by = Some(sighting.by.identity_uid.clone());
                known.created_event = Some(sighting.event_uid.clone());
            }
        }
        if let Some((tier, reason)) = &change.privilege {
            let by = self.attributor.intern(&change.detail);
            if change.action == Action::Revoke {
                known.revoke(reason, &by);
            } else {
                known.grant(by, *tier, self.attributor.intern(reason));
            }
        }
        let told_more = known != before;
        if told_more {
            known.version += 1;
            let facts = self.inventory.facts(target, &known);
            self.rows
                .identity(target, &known, facts.as_deref(), sighting.into());
        }
        // Whom it trusts is no part of a version: `lifecycle` tells it.
        let trust = change.action == Action::TrustChange;
        if trust {
            known.trust_changed = Some((sighting.event_time, sighting.by.identity_uid.clone()));
        }
        if told_more || trust {
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
            Action::Create | Action::Rotate => {
                known.created_at = Some(at);
                known.created_by = Some(sighting.by.identity_uid.clone());
                known.created_from.clone_from(&sighting.network);
                known.created_event = Some(sighting.event_uid.clone());
            }
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
        self.has_key(&uid);
    }
}
