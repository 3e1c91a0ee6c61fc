//! `approvals`: tickets that allowed changes, as people brought them.

use super::column::{Optional, Required, Text, Time};
use super::table::table;

table! {
    /// One ticket that allowed a change of identities, their credentials or permissions. The last row of a `ticket` about the
    /// same identity, event and action counts.
    Approvals, ApprovalsRow, "approvals", partition_by: [],
    {
        /// Names the statement that said so.
        statement_uid: Required<Text>,
        /// When it was stated to the lake.
        stated_time: Required<Time>,
        /// The ticket.
        ticket: Required<Text>,
        /// The identity that may be changed; null if the ticket names none.
        identity_uid: Optional<Text>,
        /// The event that made the change, where the ticket knows it.
        event_uid: Optional<Text>,
        /// What may be done, like `lifecycle.action`; null for anything.
        action: Optional<Text>,
        /// What the ticket says.
        summary: Optional<Text>,
        /// Who approved it.
        approver: Required<Text>,
        /// When it was approved.
        approved_time: Required<Time>,
        /// From when on the change may happen; null: from the approval.
        valid_from: Optional<Time>,
        /// Until when it may happen; null: at any time after.
        valid_until: Optional<Time>,
        /// Who brought the ticket, as the command was told or the system names its user.
        author: Required<Text>,
    }
}
