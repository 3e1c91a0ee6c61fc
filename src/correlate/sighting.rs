//! One attributed event as detectors see it: who, what, from where, reduced to what profiles keep.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{
    ActorType, Attribution, Change, CredentialKind, IdentityKind, Micros, Provider, RuleHit, Tie,
    Uid,
};

/// One attributed event, waiting for the watermark or just passed by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    pub event_uid: Uid,
    pub event_time: Micros,
    pub provider: Provider,
    /// Who did it.
    pub by: Arc<Attribution>,
    /// What the record calls the acting identity: its ARN or application id, and its display name.
    pub acting_native: Option<Uid>,
    pub acting_name: Option<Uid>,
    /// What it changes about identities and credentials. Empty for nearly all events.
    pub changes: Vec<Change>,
    /// To what it ties its caller besides its chain. Empty for nearly all events.
    pub ties: Vec<Tie>,
    /// The privilege that a successful use of the operation shows, and the group of operations that says so.
    pub privilege: Option<(u8, Uid)>,
    pub tenant_uid: Option<Uid>,
    pub region: Option<Uid>,
    pub service: Uid,
    pub operation: Uid,
    /// Neither for an outcome that the log does not tell, as in the first of the rows that Azure writes for one action.
    pub success: bool,
    pub failure: bool,
    /// Another account's copy of an action that its own account tells too: it is no use of its own.
    pub foreign_copy: bool,
    pub read_only: Option<bool>,
    /// Absent when the source says nothing about where the caller is.
    pub network: Option<Uid>,
    /// What files that users bring say of the address: its autonomous system (`AS64500`), country, and provider's range.
    pub asn: Option<Uid>,
    pub country: Option<Uid>,
    pub range: Option<Uid>,
    pub user_agent_family: Option<Uid>,
    /// Refused for want of permission, not for any other reason.
    pub denied: bool,
    /// A sign that a person is at work: `browser`, `console` or `mfa`.
    pub person: Option<Uid>,
    /// Rules of the user's that its record satisfies or may satisfy. Empty for nearly all events.
    pub rules: Vec<RuleHit>,
    /// The client with its major version: `aws-cli/2`.
    pub client: Option<Uid>,
    /// What sort of thing was touched, of the first resource that the record names: `s3:object`.
    pub resource_class: Option<Uid>,
}

/// Operations that hand out secrets all day to whoever works with encrypted data, or say who one is: reading them says
/// nothing about secrets.
const EVERYDAY: [&str; 5] = [
    "Decrypt",
    "GetAuthorizationToken",
    "GetCallerIdentity",
    "GetSessionToken",
    "GetSigninToken",
];

impl Sighting {
    /// Whether the event only reads: stated by the log, else taken as a write.
    pub fn reads(&self) -> bool {
        self.read_only == Some(true)
    }

    /// The group of sensitive operations to which this one belongs: `schemas/operations.tsv` says what each is.
    pub fn sensitive(&self) -> Option<&str> {
        let everyday = || EVERYDAY.contains(&self.operation.as_ref());
        self.privilege
            .as_ref()
            .filter(|_| !everyday())
            .map(|(_, group)| group.as_ref())
    }

    /// The service and region from which a secret was read, if one was.
    pub fn secret_read(&self) -> Option<Uid> {
        if !self.success || self.sensitive() != Some("SEC-read") {
            return None;
        }
        let region = self.region.as_deref().unwrap_or("no region");
        Some(Uid::from(format!("{} in {region}", self.service)))
    }

    /// The session, or the credential where there is none: what a thief would hold.
    pub fn presented(&self) -> Option<&Uid> {
        let session = self.by.session_uid.as_ref();
        session.or(self.by.credential_uid.as_ref())
    }

    /// Who acted through the acting identity: the one before it in the chain, if anybody is known.
    pub fn wielder(&self) -> Option<&Uid> {
        self.by.chain.iter().rev().nth(1)
    }

    /// Whose profile this event belongs to: the machine identity it is booked on, and nobody for people and
    /// providers, who are not what this program watches.
    pub fn profiled(&self) -> Option<&Uid> {
        match self.by.actor_type {
            ActorType::Human | ActorType::Provider | ActorType::Anonymous => None,
            _ => self.by.nhi_uid.as_ref(),
        }
    }

    /// The machine identity that was used, by whomever: its own doing, or a person's with it. A user of IAM may be a
    /// machine at other times.
    pub fn wielded(&self) -> Option<&Uid> {
        let by = &self.by;
        match by.actor_type {
            ActorType::Provider | ActorType::Anonymous => None,
            ActorType::Human if by.identity_kind == IdentityKind::IamUser => {
                by.nhi_uid.as_ref().or(Some(&by.identity_uid))
            }
            _ => by.nhi_uid.as_ref(),
        }
    }

    /// The credential itself where it lives long enough to be counted: not session keys or tokens.
    pub fn credential_uid(&self) -> Option<&Uid> {
        let long_lived = matches!(
            self.by.credential_kind,
            Some(
                CredentialKind::AccessKey
                    | CredentialKind::SpSecret
                    | CredentialKind::SpCertificate
                    | CredentialKind::FederatedCredential
                    | CredentialKind::X509Certificate
            )
        );
        self.by.credential_uid.as_ref().filter(|_| long_lived)
    }
}
