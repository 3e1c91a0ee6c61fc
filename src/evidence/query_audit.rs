//! `query_audit`: what was asked of the lake through a server.

use super::column::{Long, Optional, Required, Text, Time};
use super::table::table;

table! {
    /// One statement that a client sent to `keytrail serve`, written down before it was answered.
    QueryAudits, QueryAuditRow, "query_audit", partition_by: [],
    {
        /// Names the statement to the lake that told of it; several that came at once share one.
        statement_uid: Required<Text>,
        /// When it was asked.
        asked_time: Required<Time>,
        /// Who had logged in.
        author: Required<Text>,
        /// With which role: `viewer`, `analyst` or `auditor`.
        role: Required<Text>,
        /// By which way: `postgres`.
        surface: Required<Text>,
        /// The client's address.
        client: Required<Text>,
        /// What the client calls itself.
        application: Optional<Text>,
        /// The epoch as of which it is answered; null if it was refused.
        as_of_epoch: Optional<Long>,
        /// The statement as it was understood, without the values of its parameters, at most 64 KiB of it.
        sql: Required<Text>,
        /// Why it was refused; null if it was not: what ended for want of time or memory was asked all the same.
        refused: Optional<Text>,
    }
}
