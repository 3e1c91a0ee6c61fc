//! The resolved answer of an event that explains others: what they inherit from it.

use serde::{Deserialize, Serialize};

use crate::model::{ActorType, Attribution, Confidence, CredentialKind, IdentityKind, Status, Uid};

/// The rule by which a chain ends because an event is missing that would have led further.
pub(super) const INCOMPLETE: &str = "LIN-13";

/// Whoever stands behind a session or a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    pub identity_uid: Uid,
    pub identity_kind: IdentityKind,
    pub actor_type: ActorType,
    pub acting_uid: Uid,
    pub session_uid: Option<Uid>,
    pub credential_uid: Option<Uid>,
    pub credential_kind: Option<CredentialKind>,
    pub origin_uid: Uid,
    pub workload_uid: Option<Uid>,
    pub on_behalf_of: Option<Uid>,
    pub chain: Vec<Uid>,
    pub confidence: Confidence,
    /// The event behind it may still come.
    pub pending: bool,
    /// Its answer may still change.
    pub open: bool,
    /// A hop of its chain is missing, or it has several.
    pub incomplete: bool,
}

impl Parent {
    /// What is inherited from the event answered with `by`, which may still change if it is `open`.
    pub(super) fn of(by: &Attribution, open: bool) -> Self {
        Self {
            open,
            identity_uid: by.identity_uid.clone(),
            identity_kind: by.identity_kind,
            actor_type: by.actor_type,
            acting_uid: by.acting_uid.clone(),
            session_uid: by.session_uid.clone(),
            credential_uid: by.credential_uid.clone(),
            credential_kind: by.credential_kind,
            origin_uid: by.origin_uid.clone(),
            workload_uid: by.workload_uid.clone(),
            on_behalf_of: by.on_behalf_of.clone(),
            chain: by.chain.clone(),
            confidence: by.confidence,
            pending: by.status == Status::Pending,
            incomplete: matches!(by.status, Status::Unattributed | Status::Ambiguous),
        }
    }
}
