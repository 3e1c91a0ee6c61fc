//! `usage`: who used which credential on which day; sum the rows of a key.

use super::column::{Date, Long, Optional, Required, Text, Time};
use super::table::table;

table! {
    /// What one epoch adds to one credential's use by one identity on one UTC day.
    Usages, UsageRow, "usage", partition_by: ["usage_date"],
    {
        /// UTC day of use.
        usage_date: Required<Date>,
        /// Identity in the chain of the events.
        identity_uid: Required<Text>,
        /// `acting`, `intermediate` or `origin`.
        relation: Required<Text>,
        /// Long-lived credential that was presented; null for temporary ones and for other relations than acting.
        credential_uid: Optional<Text>,
        /// Events that succeeded: only these count as use.
        successes: Required<Long>,
        /// Events that did not.
        failures: Required<Long>,
        /// Events that the log calls reads.
        reads: Required<Long>,
        /// All others.
        writes: Required<Long>,
        /// First event.
        first_time: Required<Time>,
        /// Last event.
        last_time: Required<Time>,
        /// Last success.
        last_success_time: Optional<Time>,
        /// Distinct operations not counted by an earlier row of the day; exact up to 1,024.
        operations: Required<Long>,
        /// Distinct networks, counted likewise.
        source_networks: Required<Long>,
        /// Distinct tenants, counted likewise.
        tenants: Required<Long>,
    }
}
