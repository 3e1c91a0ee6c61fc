//! `raw_events`: every record as received, secrets aside.

use super::column::{Date, Hash, Int, Long, Required, Text};
use super::table::table;

table! {
    /// The record of one event as received, secrets taken out.
    RawEvents, RawEventsRow, "raw_events", partition_by: ["event_date"],
    {
        /// Id of the event in `activity`.
        event_uid: Required<Text>,
        /// UTC day of the event.
        event_date: Required<Date>,
        /// Topic, or path of the file, that the record was read from.
        src_topic: Required<Text>,
        /// Partition of the topic; 0 for files.
        src_partition: Required<Int>,
        /// Offset of the message; for files, its number in the file.
        src_offset: Required<Long>,
        /// Index of the element in the message.
        src_index: Required<Int>,
        /// SHA-256 of the record before redaction.
        raw_sha256: Required<Hash>,
        /// The record, redacted.
        raw_json: Required<Text>,
    }
}
