//! `links`: ties between two identities or systems, and on which events they rest.

use super::column::{Long, Required, Text, Time};
use super::table::table;

table! {
    /// One version of a tie between two identities or systems; the last row of a `link_uid` counts.
    Links, LinksRow, "links", partition_by: [],
    {
        /// Derived from `kind`, `from_uid` and `to_uid`: the same tie has the same id on every replay.
        link_uid: Required<Text>,
        /// Who vouches, creates, issues or is known by another name.
        from_uid: Required<Text>,
        /// To whom that leads.
        to_uid: Required<Text>,
        /// `federates_to`, `same_workload`, `issued_by_provider`, `created`, `influences`, `shares_credential` or
        /// `inventory_alias`.
        kind: Required<Text>,
        /// Why the two are tied, as JSON: the rules and the values that were equal.
        reason_json: Required<Text>,
        /// `exact`, `strong`, `probable` or `declared`; a chain crosses none but the first two.
        strength: Required<Text>,
        /// First event that shows the tie.
        first_event_uid: Required<Text>,
        /// When the tie was first seen, by event time.
        first_seen_time: Required<Time>,
        /// When it was last seen, by event time.
        last_seen_time: Required<Time>,
        /// How many events showed it so far.
        events: Required<Long>,
    }
}
