//! `coverage`: what could have been seen: which logs brought events in which hours. Sum the rows of a key.

use super::column::{Long, Optional, Required, Text, Time};
use super::table::table;

table! {
    /// What one epoch adds to one log source of one tenant and region in one hour.
    Coverage, CoverageRow, "coverage", partition_by: [],
    {
        /// Start of the hour, by event time.
        hour: Required<Time>,
        /// The log.
        log_source: Required<Text>,
        /// Account, subscription or tenant.
        tenant_uid: Optional<Text>,
        /// Region.
        region: Optional<Text>,
        /// Events that arrived.
        events: Required<Long>,
        /// First event.
        first_time: Required<Time>,
        /// Last event.
        last_time: Required<Time>,
        /// Longest time between an event and its arrival at the broker; null for files.
        max_delay_ms: Optional<Long>,
    }
}
