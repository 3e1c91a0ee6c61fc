//! The nouns of Keytrail: what a record, an event, an identity, an attribution, a finding and a reject are.
//!
//! Nothing here does anything but say what it is and how it is written down. Every other folder speaks in these
//! words, so this one imports no other.

mod attribution;
mod changes;
mod digest;
mod event;
mod finding;
mod identity;
mod kept;
mod lifecycle;
mod record;
mod reject;
mod rule;
mod statement;
mod tie;
mod time;
mod tracked;

pub use attribution::{Attribution, Confidence, Method, Reason, SessionMethod, Status};
pub use changes::Changes;
pub use digest::{Canon, Digest, Sha256Digest, hex, sha256, unhex};
pub use event::{
    Addendum, AuditEvent, AwsPrincipal, AzurePrincipal, AzureSubject, Details, Flags, Issued,
    LogSource, Network, Outcome, Principal, PrincipalType, Provider, SessionIssuer,
};
pub use finding::{Finding, FindingEvent, FindingStatus, Role, Severity, Why};
pub use identity::{ActorType, CredentialKind, IdentityKind, Uid};
pub use kept::Kept;
pub use lifecycle::{Action, Change, ChangedCredential, Target};
pub use record::{
    Decoded, DecodedRecord, LastRecord, Piece, Position, RawRecord, ReadTo, SourceGap,
};
pub use reject::{Ignored, Reject, RejectCode};
pub use rule::RuleHit;
pub use statement::{
    Approval, AskedQuery, Asset, Attestation, Decision, Facts, Observed, ReviewDecision, Stated,
    Statement, Triage,
};
pub use tie::{LinkKind, Tie};
pub use time::{Day, Micros};
pub use tracked::Tracked;
