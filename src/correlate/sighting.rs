//! One attributed event as detectors see it: who, what, from where, reduced to what profiles keep.

use serde::{Deserialize, Serialize};

use crate::model::{ActorType, Confidence, CredentialKind, IdentityKind, Micros, Provider, Uid};

/// One attributed event, waiting for the watermark or just passed by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    pub event_uid: Uid,
    pub event_time: Micros,
    pub provider: Provider,
    /// Who really acted, and the one machine identity the event is booked on.
    pub identity_uid: Uid,
    pub identity_kind: IdentityKind,
    pub nhi_uid: Option<Uid>,
    pub actor_type: ActorType,
    /// Origin first, acting identity last.
    pub chain: Vec<Uid>,
    /// What the record calls the acting identity: its ARN or application id, and its display name.
    pub acting_kind: IdentityKind,
    pub acting_native: Option<Uid>,
    pub acting_name: Option<Uid>,
    pub confidence: Confidence,
    /// The credential itself where it lives long enough to be counted: not session keys or tokens.
    pub credential_uid: Option<Uid>,
    pub credential_kind: Option<CredentialKind>,
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
    pub user_agent_family: Option<Uid>,
}

impl Sighting {
    /// Whether the event only reads: stated by the log, else taken as a write.
    pub fn reads(&self) -> bool {
        self.read_only == Some(true)
    }

    /// Whose profile this event belongs to: the machine identity it is booked on, and nobody for people and
    /// providers, who are not what this program watches.
    pub fn profiled(&self) -> Option<&Uid> {
        match self.actor_type {
            ActorType::Human | ActorType::Provider | ActorType::Anonymous => None,
            _ => self.nhi_uid.as_ref(),
        }
    }
}
