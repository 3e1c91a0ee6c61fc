//! `findings`: what detectors said, by revision.

use super::column::{Date, Int, Long, Optional, Required, Text, TextList, Time};
use super::table::table;

table! {
    /// One revision of one finding.
    Findings, FindingsRow, "findings", partition_by: [],
    {
        /// Derived from detector, identity and first event.
        finding_uid: Required<Text>,
        /// 1 for the first.
        revision: Required<Int>,
        /// Event time of the last event that this revision counts.
        revision_time: Required<Time>,
        /// Detector's name.
        detector: Required<Text>,
        /// Detector's version.
        detector_version: Required<Int>,
        /// `new`, `updated`, `closed` or `retracted`.
        status: Required<Text>,
        /// `info`, `low`, `medium`, `high` or `critical`.
        severity: Required<Text>,
        /// Never surer than the attribution of its events.
        confidence: Required<Text>,
        /// Machine identity it is about.
        identity_uid: Required<Text>,
        /// Credentials and identities of the chain.
        related_uids: Required<TextList>,
        /// Tenant of the first event.
        tenant_uid: Optional<Text>,
        /// One line.
        title: Required<Text>,
        /// What happened, in a sentence.
        summary: Required<Text>,
        /// Each reason: dimension, observed, expected, baseline window in days, n, bits.
        why_json: Required<Text>,
        /// First event of the situation.
        first_event_time: Required<Time>,
        /// Last event of the situation so far.
        last_event_time: Required<Time>,
        /// Events of the situation so far.
        event_count: Required<Long>,
        /// Controls it bears on.
        controls: Required<TextList>,
        /// MITRE ATT&CK technique ids.
        attacks: Required<TextList>,
        /// A query that returns the events behind it.
        sql: Required<Text>,
        /// OCSF class: 2004 Detection Finding.
        class_uid: Required<Int>,
        /// Who decided that nobody is told of it, until when, and why; null for most.
        suppression: Optional<Text>,
        /// The first day on which it is told again.
        suppressed_until: Optional<Date>,
        /// What the situation is about: a network, a tenant, a credential, a rule. Null in rows of builds that did not write it.
        about: Optional<Text>,
    }
}
