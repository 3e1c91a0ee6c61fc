//! The answer to "who did this": one identity, how it is known, and through which hops.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

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
        /// Somebody stands behind the acting identity, and the log does not say who.
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
        /// The session that was used is the one that another event began, though with another key.
        Session = "session",
        /// A sign-in to the console began the session.
        ConsoleSignIn = "console_sign_in",
        /// A service forwarded the call of somebody whose own call is in the log.
        Forwarded = "forwarded",
        /// The caller's own account tells the same action (`sharedEventID`).
        SharedEvent = "shared_event",
        /// A name led to the identity that bore it at that time.
        Directory = "directory",
        /// The provider says to which workload the credential was delivered.
        Delivered = "delivered",
        /// The record states who issued the session.
        SessionIssuer = "session_issuer",
        /// An application's federated credential says whom outside it trusts.
        FederatedCredential = "federated_credential",
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
        ConsoleSignIn = "console_sign_in",
        EntraSignIn = "entra_sign_in",
        FederationToken = "federation_token",
        GetSessionToken = "get_session_token",
        /// Another operation whose answer holds a key (L-19).
        IssuedKey = "issued_key",
        /// A client's OAuth code, which somebody at a browser gave it (L-14).
        OauthCode = "oauth_code",
        /// A client's OAuth token, asked for with IAM's permissions (L-14).
        OauthWithIam = "oauth_with_iam",
        PodIdentity = "pod_identity",
        /// A service obtained it, for its own code or for the customer's.
        RoleForService = "role_for_service",
        RolesAnywhere = "roles_anywhere",
        Saml = "saml",
        WebIdentity = "web_identity",
    }
}

/// The id of a rule of attribution, or a word for what went wrong.
pub type Reason = Cow<'static, str>;

/// Which identity an event is booked on, with which credential, through which hops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribution {
    /// 0 for the answer in the event's own row, then one more for each amendment.
    pub revision: i32,
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
    /// Every node from the origin to the acting identity, origin first, none twice.
    pub chain: Vec<Uid>,
    /// Services that forwarded the call; never a principal.
    pub via: Vec<Uid>,
    pub method: Method,
    pub confidence: Confidence,
    pub status: Status,
    /// Ids of the rules that fired, and words for what is missing or wrong.
    pub reasons: Vec<Reason>,
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

    /// Adds a reason, once.
    pub fn because(&mut self, reason: &'static str) {
        if !self.reasons.iter().any(|known| known == reason) {
            self.reasons.push(Cow::Borrowed(reason));
        }
    }

    /// Adds a reason that names something of this event alone, once.
    pub fn because_of(&mut self, reason: String) {
        if !self.rests_on(&reason) {
            self.reasons.push(Cow::Owned(reason));
        }
    }

    /// Adds a reason before all others, once: what befell the record itself.
    pub fn because_first(&mut self, reason: &'static str) {
        if !self.rests_on(reason) {
            self.reasons.insert(0, Cow::Borrowed(reason));
        }
    }

    /// Whether `reason` is among the reasons.
    pub fn rests_on(&self, reason: &str) -> bool {
        self.reasons.iter().any(|known| known == reason)
    }

    /// Books the event anew, after identity, acting identity or actor have changed: rule 0.4.
    ///
    /// The identity itself if it is a machine, else the role or service principal that a person or outsider wielded,
    /// else nobody: a person with their own key, the provider's own code, nobody at all.
    pub fn book(&mut self) {
        let own_key =
            self.identity_kind == IdentityKind::IamUser && self.actor_type == ActorType::Human;
        let wielded = self.acting_kind.non_human() && self.acting_kind != IdentityKind::IamUser;
        self.nhi_uid = match self.actor_type {
            ActorType::Provider | ActorType::Anonymous => None,
            _ if self.identity_kind.non_human() && !own_key => Some(self.identity_uid.clone()),
            _ => wielded.then(|| self.acting_uid.clone()),
        };
    }
}
