//! `rejects`: records and elements that are not events, each with its reason, and what the source lost unread.

use super::column::{Date, Hash, Int, Long, Required, Text};
use super::table::table;

table! {
    /// One record or element that is not an event; or one range of offsets that the source lost before they were read.
    Rejects, RejectsRow, "rejects", partition_by: ["event_date"],
    {
        /// Topic, or path of the file, that the record was read from.
        src_topic: Required<Text>,
        /// Partition of the topic; 0 for files.
        src_partition: Required<Int>,
        /// Offset of the message; for files, its number in the file.
        src_offset: Required<Long>,
        /// Index of the element in the message.
        src_index: Required<Int>,
        /// `decode`: the stage that refused it. `source`: offsets that were never read, from `src_offset` on; `detail` says how many and why that was accepted.
        stage: Required<Text>,
        /// Reason, from a closed list; `source_gap` for what was never read.
        code: Required<Text>,
        /// What exactly was wrong.
        detail: Required<Text>,
        /// The same for records of one shape.
        fingerprint: Required<Text>,
        /// SHA-256 of the bytes before redaction.
        raw_sha256: Required<Hash>,
        /// The record, redacted, at most 64 KiB.
        raw: Required<Text>,
        /// UTC day on which the broker got it, else on which the epoch was cut.
        event_date: Required<Date>,
    }
}
