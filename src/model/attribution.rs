//! The answer to "who did this": one identity, how it is known, and through which hops.

use super::identity::named;
use super::{ActorType, CredentialKind, IdentityKind, Uid};

named! {
    /// How far an answer can be trusted: the weakest hop decides (attribution rule 0.3).
    Confidence {
        None = "none",
        /// Somebody said so: session names, user agents, tags.
        Declared = "declared",
        Probable = "probable",
        Strong = "strong",
        /// Equality of identifiers that the provider assigned.
        Exact = "exact",
    }
}

named! {
    /// Whether an answer can still change.
    Status {
        Final = "final",
        /// The event that issued the credential has not been seen; it may still come.
        Pending = "pending",
        Ambiguous = "ambiguous",
        Unattributed = "unattributed",
    }
}

named! {
    /// The step by which the answer was reached.
    Method {
        /// The record names the actor itself; nobody stands behind it.
        Direct = "direct",
        /// The key that was used is the key that another event issued.
        IssuedKey = "issued_key",
        /// The provider says to which workload the credential was delivered.
        Delivered = "delivered",
        /// The record states who issued the session.
        SessionIssuer = "session_issuer",
        /// A token id leads to its sign-in.
        Token = "token",
        /// A service acted for itself.
        Service = "service",
        None = "none",
    }
}

named! {
    /// How a temporary credential was obtained.
    SessionMethod {
        AssumeRole = "assume_role",
        AssumeRoot = "assume_root",
        FederationToken = "federation_token",
        GetSessionToken = "get_session_token",
        /// A service obtained it, for its own code or for the customer's.
        RoleForService = "role_for_service",
        Saml = "saml",
        WebIdentity = "web_identity",
    }
}

/// Which identity an event is booked on, with which credential, through which hops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribution {
    /// Who really acted.
    pub identity_uid: Uid,
    pub identity_kind: IdentityKind,
    /// The one non-human identity the event is booked on.
    pub nhi_uid: Option<Uid>,
    pub actor_type: ActorType,
    /// Whose permissions were used, and what that is.
    pub acting_uid: Uid,
    pub acting_kind: IdentityKind,
    pub credential_uid: Option<Uid>,
    pub credential_kind: Option<CredentialKind>,
    pub session_uid: Option<Uid>,
    pub workload_uid: Option<Uid>,
    /// Last node reached over strong hops.
    pub origin_uid: Uid,
    /// Every node from the origin to the acting identity, origin first.
    pub chain: Vec<Uid>,
    /// Services that forwarded the call; never a principal.
    pub via: Vec<Uid>,
    pub method: Method,
    pub confidence: Confidence,
    pub status: Status,
    /// Ids of the rules that fired.
    pub reasons: Vec<&'static str>,
    /// What the caller called itself: session name or source identity. Said, not proven.
    pub claimed_origin: Option<Uid>,
    pub on_behalf_of: Option<Uid>,
    pub invoked_by: Option<Uid>,
}

impl Attribution {
    /// How many hops lie between the origin and the acting identity.
    pub fn chain_depth(&self) -> i32 {
        i32::try_from(self.chain.len().saturating_sub(1)).unwrap_or(i32::MAX)
    }
}
