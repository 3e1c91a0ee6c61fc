//! What an event changes about identities: their beginning and end, their credentials, their privilege, their trust.

use serde::{Deserialize, Serialize};

use super::{CredentialKind, Micros};

/// What a lifecycle event changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub action: Action,
    /// The identity that is affected. `None` where the event is about no single identity, or names none.
    pub target: Option<Target>,
    pub credential: Option<ChangedCredential>,
    /// Further facts as the text of one JSON object with sorted members. Never a secret.
    pub detail: String,
    /// Privilege that the change gives or takes, 1 to 3, and why.
    pub privilege: Option<(u8, String)>,
}

/// What happens to the target or the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Action {
    Create,
    Enable,
    Disable,
    Delete,
    /// A credential takes the place of another.
    Rotate,
    Grant,
    Revoke,
    /// Who may become the identity, or be believed about it, changes.
    TrustChange,
}

impl Action {
    /// The name as rows spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Delete => "delete",
            Self::Rotate => "rotate",
            Self::Grant => "grant",
            Self::Revoke => "revoke",
            Self::TrustChange => "trust_change",
        }
    }

    /// Every action, in the order of their names.
    pub const ALL: [Self; 8] = [
        Self::Create,
        Self::Delete,
        Self::Disable,
        Self::Enable,
        Self::Grant,
        Self::Revoke,
        Self::Rotate,
        Self::TrustChange,
    ];

    /// The controls it bears on, by the ids of `schemas/controls.toml`.
    pub const fn controls(self) -> &'static [&'static str] {
        match self {
            Self::Create | Self::Enable => &["CC6.2", "A.5.16", "7.2.5", "PR.AA-01"],
            Self::Delete | Self::Disable => &["NHI1:2025", "CC6.2", "A.5.18", "8.2.6", "PR.AA-01"],
            Self::Grant => &["NHI5:2025", "CC6.3", "A.5.15", "7.2.5", "PR.AA-05"],
            Self::Revoke => &["CC6.3", "A.5.18", "7.2.5.1", "PR.AA-05"],
            Self::Rotate => &["NHI7:2025", "CC6.1", "A.5.17", "8.6.3", "PR.AA-01"],
            Self::TrustChange => &["NHI4:2025", "CC6.1", "A.5.15", "7.2.5", "PR.AA-05"],
        }
    }
}

/// The identity that a change affects, as exactly as the event names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// A canonical id.
    Uid(String),
    /// ID-4: a role known by its name alone.
    AwsRole { account: String, name: String },
    /// ID-4: a user known by its name alone.
    AwsUser { account: String, name: String },
    /// An ARN, or the lower-case resource id of a managed identity.
    Arn(String),
}

/// A credential that begins, ends, is switched on or off, or takes another's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedCredential {
    pub uid: String,
    pub kind: CredentialKind,
    /// When it ends by itself, where the event says so.
    pub expires_at: Option<Micros>,
}
