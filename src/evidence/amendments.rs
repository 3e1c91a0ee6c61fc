//! `amendments`: later answers to events whose row was already out.

use super::column::{Date, Int, Optional, Required, Text, TextList};
use super::table::table;

table! {
    /// A later, better attribution of one activity row.
    Amendments, AmendmentsRow, "amendments", partition_by: ["event_date"],
    {
        /// The event that is amended.
        event_uid: Required<Text>,
        /// UTC day of that event.
        event_date: Required<Date>,
        /// 1 for the first amendment of an event.
        revision: Required<Int>,
        /// Who really acted.
        identity_uid: Required<Text>,
        /// The machine identity the event is booked on.
        nhi_uid: Optional<Text>,
        /// What `identity_uid` is.
        identity_kind: Required<Text>,
        /// As in `activity`.
        actor_type: Required<Text>,
        /// Whose permissions were used.
        acting_uid: Required<Text>,
        /// As in `activity`.
        credential_uid: Optional<Text>,
        /// As in `activity`.
        credential_kind: Optional<Text>,
        /// Last node reached over strong hops.
        origin_uid: Required<Text>,
        /// As in `activity`.
        session_uid: Optional<Text>,
        /// As in `activity`.
        workload_uid: Optional<Text>,
        /// Every identity of the chain, origin first.
        chain: Required<TextList>,
        /// Hops between origin and acting identity.
        chain_depth: Required<Int>,
        /// As in `activity`.
        on_behalf_of: Optional<Text>,
        /// As in `activity`.
        attribution_method: Required<Text>,
        /// As in `activity`.
        attribution_confidence: Required<Text>,
        /// As in `activity`.
        attribution_status: Required<Text>,
        /// Rules of the hop that was found, or why none was.
        attribution_reasons: Required<TextList>,
        /// The event that made it known; null when the watermark settled it.
        cause_event_uid: Optional<Text>,
    }
}
