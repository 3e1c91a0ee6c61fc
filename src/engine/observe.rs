//! What happens to an event when its turn has come: it is judged against the profile before it, then joins the profile.

use serde::{Deserialize, Serialize};

use super::Engine;
use crate::attribute::Attributor;
use crate::correlate::{Profile, Sighting, Source};
use crate::model::{Attribution, AuditEvent, CredentialKind, Micros, Outcome, Principal, Uid};

/// What is already written about an identity or credential: a second version needs a reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) version: i32,
    pub(super) native: Option<Uid>,
    pub(super) name: Option<Uid>,
}

/// The event reduced to what profiles and detectors need.
pub(super) fn sighting(
    event: &AuditEvent<'_>,
    by: &Attribution,
    source: &Source,
    names: &mut Attributor,
) -> Sighting {
    let (native, name) = match &event.principal {
        Principal::Aws(principal) => match &principal.issuer {
            Some(issuer) => (issuer.arn.as_deref(), issuer.user_name.as_deref()),
            None => (principal.arn.as_deref(), principal.user_name.as_deref()),
        },
        Principal::Azure(principal) => (principal.app_id.as_deref(), principal.name.as_deref()),
    };
    // A forwarded call shows the service's address, if any: it says nothing about the caller (FAS-2).
    let network = source.network.as_deref().filter(|_| by.via.is_empty());
    Sighting {
        event_uid: names.intern(&event.event_uid),
        event_time: event.event_time,
        provider: event.source.provider(),
        identity_uid: by.identity_uid.clone(),
        identity_kind: by.identity_kind,
        nhi_uid: by.nhi_uid.clone(),
        actor_type: by.actor_type,
        chain: by.chain.clone(),
        acting_kind: by.acting_kind,
        acting_native: native.map(|text| names.intern(text)),
        acting_name: name.map(|text| names.intern(text)),
        confidence: by.confidence,
        credential_uid: by
            .credential_uid
            .clone()
            .filter(|_| by.credential_kind.is_some_and(long_lived)),
        credential_kind: by.credential_kind,
        tenant_uid: event.tenant_uid.as_deref().map(|text| names.intern(text)),
        region: event.region.as_deref().map(|text| names.intern(text)),
        service: names.intern(&event.service),
        operation: names.intern(&event.operation),
        success: event.outcome == Outcome::Success,
        failure: event.outcome == Outcome::Failure,
        foreign_copy: event.foreign_copy(),
        read_only: event.read_only,
        network: network.map(|text| names.intern(text)),
        user_agent_family: event
            .network
            .user_agent
            .as_deref()
            .and_then(user_agent_family)
            .map(|family| names.intern(family)),
    }
}

/// Whether a credential of this kind outlives a session, so that its own use can be counted.
const fn long_lived(kind: CredentialKind) -> bool {
    matches!(
        kind,
        CredentialKind::AccessKey
            | CredentialKind::SpSecret
            | CredentialKind::SpCertificate
            | CredentialKind::FederatedCredential
    )
}

/// The first product of a user agent, without its version: `aws-cli/2.15.0 …` → `aws-cli`.
fn user_agent_family(text: &str) -> Option<&str> {
    let product = text.trim_start_matches('[').split(['/', ' ', ',']).next()?;
    (!product.is_empty() && product.len() <= 64).then_some(product)
}

impl Engine {
    /// Judges `sighting` if it came in order, then makes it part of what is known.
    pub(super) fn observe(&mut self, sighting: &Sighting, in_order: bool) {
        self.know(sighting);
        self.usage.add(sighting);
        let Some(identity) = sighting.profiled() else {
            return;
        };
        if in_order {
            self.judge(identity, sighting);
        }
        self.profiles
            .entry(identity, || Profile::new(sighting.event_time))
            .add(sighting);
        if self.profiles.len() > self.params.profiles_max {
            self.forget_profiles();
        }
    }

    fn judge(&mut self, identity: &Uid, sighting: &Sighting) {
        let followed = self.situations.follow(identity, sighting, &self.detectors);
        for finding in &followed.revisions {
            self.report(finding);
        }
        let Some(profile) = self.profiles.get(identity) else {
            return;
        };
        let mut opened = Vec::new();
        for detector in &self.detectors {
            if let Some(verdict) = detector.judge(sighting, profile)
                && !followed
                    .by
                    .contains(&(detector.name(), verdict.key.clone()))
            {
                opened.extend(
                    self.situations
                        .open(detector.as_ref(), identity, sighting, verdict),
                );
            }
        }
        for finding in &opened {
            self.report(finding);
        }
    }

    /// Writes the first version of identities and credentials, and a further one when their name becomes known.
    fn know(&mut self, sighting: &Sighting) {
        let last = sighting.chain.len().saturating_sub(1);
        for (place, identity) in sighting.chain.iter().enumerate() {
            let acting = place == last;
            let native = sighting.acting_native.as_ref().filter(|_| acting);
            let name = sighting.acting_name.as_ref().filter(|_| acting);
            let known = self.identities.get(identity);
            let told_more = known.is_some_and(|known| {
                (known.native.is_none() && native.is_some())
                    || (known.name.is_none() && name.is_some())
            });
            if known.is_some() && !told_more {
                continue;
            }
            let mut known = known.cloned().unwrap_or_default();
            known.version += 1;
            known.native = known.native.or_else(|| native.cloned());
            known.name = known.name.or_else(|| name.cloned());
            self.rows.identity(identity, &known, sighting, place);
            self.identities.insert(identity.clone(), known);
        }
        let (Some(credential), Some(acting)) = (&sighting.credential_uid, sighting.chain.last())
        else {
            return;
        };
        if !self.credentials.contains(credential) {
            let known = Known {
                version: 1,
                ..Known::default()
            };
            self.rows.credential(credential, acting, sighting);
            self.credentials.insert(credential.clone(), known);
        }
    }

    /// Drops the profiles of the identities that were seen longest ago: a sixteenth of all at once, because finding the
    /// oldest means looking at every one.
    fn forget_profiles(&mut self) {
        let mut oldest: Vec<(Micros, Uid)> = self
            .profiles
            .iter()
            .map(|(identity, profile)| (profile.last_seen_at, identity.clone()))
            .collect();
        oldest.sort();
        oldest.truncate(self.params.profiles_max / 16 + 1);
        for (_, identity) in oldest {
            self.profiles.remove(&identity);
            self.profiles_evicted += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_agents_keep_their_first_product() {
        for (text, family) in [
            ("aws-cli/2.15.0 Python/3.11", Some("aws-cli")),
            ("[aws-sdk-go/1.2]", Some("aws-sdk-go")),
            ("S3Console/0.4, aws-internal/3", Some("S3Console")),
            ("ec2.amazonaws.com", Some("ec2.amazonaws.com")),
            ("", None),
        ] {
            assert_eq!(user_agent_family(text), family);
        }
    }
}
