//! Rows of `identities`, and what an id says of itself.

use super::rows::RowSet;
use crate::correlate::{KnownIdentity, Sighting};
use crate::evidence::IdentitiesRow;
use crate::model::{Facts, Micros, Uid};

/// What brought a new version of an identity: an event, or what people stated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause<'a> {
    pub(super) at: Micros,
    pub(super) event: Option<&'a Uid>,
}

impl<'a> From<&'a Sighting> for Cause<'a> {
    fn from(sighting: &'a Sighting) -> Self {
        Self {
            at: sighting.event_time,
            event: Some(&sighting.event_uid),
        }
    }
}

impl RowSet {
    /// A version of an identity, with what an inventory says of it.
    pub(super) fn identity(
        &mut self,
        identity: &Uid,
        known: &KnownIdentity,
        facts: Option<&Facts>,
        cause: Cause<'_>,
    ) {
        let privilege = known.privilege();
        let told = facts.cloned().unwrap_or_default();
        self.identities.push(&IdentitiesRow {
            identity_uid: identity,
            version: known.version,
            valid_from: cause.at,
            kind: &known.kind,
            provider: &known.provider,
            tenant_uid: known.tenant.as_deref(),
            native_uid: native_part(identity),
            arn_or_app_id: known.native.as_deref(),
            display_name: known.name.as_deref(),
            status: known.standing.name(),
            merged_into_uid: known.merged_into.as_deref(),
            created_time: known.created_at,
            created_by_uid: known.created_by.as_deref(),
            owner: told.owner.as_deref(),
            backup_owner: told.backup_owner.as_deref(),
            purpose: told.purpose.as_deref(),
            criticality: told.criticality.as_deref(),
            environment: told.environment.as_deref(),
            vendor: told.vendor.as_deref(),
            contract_scope: told.contract_scope.as_deref(),
            expires_time: told.expires_at,
            review_days: told.review_days,
            risk_tier: risk(privilege.map(|(tier, _)| tier), facts),
            privilege_tier: privilege.map(|(tier, _)| i64::from(tier)),
            privilege_reason: privilege.map(|(_, reason)| reason.as_ref()),
            source: match cause.event {
                None => "inventory",
                Some(_) if known.told => "lifecycle",
                Some(_) => "observed",
            },
            change_event_uid: cause.event.map(AsRef::as_ref),
        });
    }
}

/// The provider's own id: what stands after `aws:role:`, `entra:sp:` or `oidc:`.
fn native_part(uid: &str) -> &str {
    let schemes = if uid.starts_with("aws:") || uid.starts_with("entra:") {
        3
    } else {
        2
    };
    uid.splitn(schemes, ':').last().unwrap_or(uid)
}

pub(super) fn provider_of_uid(uid: &str, sighting: &Sighting) -> &'static str {
    if uid.starts_with("aws:") {
        "aws"
    } else if uid.starts_with("entra:") {
        "entra"
    } else {
        sighting.provider.name()
    }
}

/// What stands at `place` of the chain: stated for both ends, told by the id's form between them.
pub(super) fn kind_at(sighting: &Sighting, place: usize) -> &'static str {
    let by = &sighting.by;
    let identity = &by.chain[place];
    if place + 1 == by.chain.len() {
        by.acting_kind.name()
    } else if *identity == by.identity_uid {
        by.identity_kind.name()
    } else {
        kind_of_uid(identity)
    }
}

/// How much harm an identity can do: by its privilege, and by what an inventory says depends on it. Nothing is said while
/// neither is known.
fn risk(tier: Option<u8>, facts: Option<&Facts>) -> Option<&'static str> {
    let grave = facts.is_some_and(Facts::grave);
    match (tier, grave) {
        (None, _) if facts.is_none() => None,
        (Some(3..), _) | (Some(2), true) => Some("high"),
        (Some(2), false) | (_, true) => Some("medium"),
        (_, false) => Some("low"),
    }
}

/// The kind that an id's own form states, for identities in the middle of a chain.
pub(super) fn kind_of_uid(uid: &str) -> &'static str {
    use crate::model::IdentityKind as Kind;
    let kinds = [
        ("aws:ec2-identity", Kind::Ec2InstanceIdentity),
        ("aws:idc", Kind::IdentityCenterUser),
        ("aws:role", Kind::IamRole),
        ("aws:user", Kind::IamUser),
        ("aws:root", Kind::AccountRoot),
        ("aws:fed", Kind::FederatedSession),
        ("aws:svc", Kind::AwsService),
        ("entra:sp", Kind::ServicePrincipal),
        ("entra:user", Kind::EntraUser),
        ("oidc:", Kind::OidcWorkload),
        ("saml:", Kind::SamlSubject),
        ("x509:", Kind::X509Workload),
    ];
    kinds
        .into_iter()
        .find(|(prefix, _)| uid.starts_with(prefix))
        .map_or(Kind::Unknown, |(_, kind)| kind)
        .name()
}
