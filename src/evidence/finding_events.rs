//! `finding_events`: which events stand behind a finding.

use super::column::{Date, Int, Required, Text};
use super::table::table;

table! {
    /// One event behind one revision of a finding.
    FindingEvents, FindingEventsRow, "finding_events", partition_by: [],
    {
        /// The finding.
        finding_uid: Required<Text>,
        /// The revision that first named the event.
        revision: Required<Int>,
        /// Order within the finding.
        seq: Required<Int>,
        /// `trigger`, `context`, `baseline` or `lineage`.
        role: Required<Text>,
        /// The event.
        event_uid: Required<Text>,
        /// Its UTC day.
        event_date: Required<Date>,
    }
}
