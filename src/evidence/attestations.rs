//! `attestations`: what reviewers decided about an identity's access.

use super::column::{Date, Optional, Required, Text, Time};
use super::table::table;

table! {
    /// One decision about the access of one identity; the last one of an identity counts.
    Attestations, AttestationsRow, "attestations", partition_by: [],
    {
        /// Names the statement that said so: a sheet is one statement.
        statement_uid: Required<Text>,
        /// When it was decided.
        attested_time: Required<Time>,
        /// The identity that was reviewed; as the sheet names it, where nobody is known by that name.
        identity_uid: Required<Text>,
        /// `keep`, `revoke`, `reduce` or `exception`.
        decision: Required<Text>,
        /// Why.
        reason: Required<Text>,
        /// By whom, as the command was told or the system names its user: said, not proven.
        author: Required<Text>,
        /// The first day on which it does not hold any more; null if it holds for the identity's `review_days`, or until
        /// the next one.
        until: Optional<Date>,
    }
}
