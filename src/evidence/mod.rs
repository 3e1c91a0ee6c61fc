//! One file per table: its columns with their meaning, its row, and how rows become Arrow batches with digests.
//!
//! Column names are a contract with everybody who queries the lake. `schemas/tables/*.json` is generated from here.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod activity;
mod amendments;
mod approvals;
mod attestations;
mod canonical;
mod column;
mod coverage;
mod credentials;
mod epochs;
mod finding_events;
mod findings;
mod identities;
mod lifecycle;
mod links;
mod profiles;
mod query_audit;
mod raw_events;
mod rejects;
mod sessions;
mod table;
mod triage;
mod usage;

pub use activity::{Activity, ActivityRow};
pub use amendments::{Amendments, AmendmentsRow};
pub use approvals::{Approvals, ApprovalsRow};
pub use attestations::{Attestations, AttestationsRow};
pub use canonical::{StoredRows, read_canonical};
pub use coverage::{Coverage, CoverageRow};
pub use credentials::{Credentials, CredentialsRow};
pub use epochs::{Epochs, EpochsRow};
pub use finding_events::{FindingEvents, FindingEventsRow};
pub use findings::{Findings, FindingsRow};
pub use identities::{Identities, IdentitiesRow};
pub use lifecycle::{LifecycleRow, Lifecycles};
pub use links::{Links, LinksRow};
pub use profiles::{Profiles, ProfilesRow};
pub use query_audit::{QueryAuditRow, QueryAudits};
pub use raw_events::{RawEvents, RawEventsRow};
pub use rejects::{Rejects, RejectsRow};
pub use sessions::{Sessions, SessionsRow};
pub use table::{ColumnDoc, Ledger, Rows, Table, TableDoc};
pub use triage::{TriageRow, Triages};
pub use usage::{UsageRow, Usages};

/// Every table, alphabetically, but for `epochs`: its row is committed last, so it stands last.
pub const TABLES: [&Table; 19] = [
    &activity::TABLE,
    &amendments::TABLE,
    &approvals::TABLE,
    &attestations::TABLE,
    &coverage::TABLE,
    &credentials::TABLE,
    &finding_events::TABLE,
    &findings::TABLE,
    &identities::TABLE,
    &lifecycle::TABLE,
    &links::TABLE,
    &profiles::TABLE,
    &query_audit::TABLE,
    &raw_events::TABLE,
    &rejects::TABLE,
    &sessions::TABLE,
    &triage::TABLE,
    &usage::TABLE,
    &epochs::TABLE,
];

/// The table called `name`.
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.into_iter().find(|table| table.name == name)
}

/// Ids as a list column takes them.
pub fn uid_texts(uids: &[crate::model::Uid]) -> Vec<&str> {
    uids.iter().map(AsRef::as_ref).collect()
}
