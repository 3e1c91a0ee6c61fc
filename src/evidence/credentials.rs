//! `credentials`: long-lived credentials and what is known of them, by version.

use super::column::{Int, Optional, Required, Text, Time};
use super::table::table;

table! {
    /// One version of one credential that outlives a session.
    Credentials, CredentialsRow, "credentials", partition_by: [],
    {
        /// Canonical id.
        credential_uid: Required<Text>,
        /// Identity it proves.
        identity_uid: Required<Text>,
        /// `access_key`, `sp_secret`, `sp_certificate`, `federated_credential` …
        kind: Required<Text>,
        /// Last four characters.
        key_hint: Optional<Text>,
        /// When it was created; null until an event says so.
        created_time: Optional<Time>,
        /// When it expires.
        expires_time: Optional<Time>,
        /// When it was disabled.
        disabled_time: Optional<Time>,
        /// When it was deleted.
        deleted_time: Optional<Time>,
        /// The credential it replaced.
        rotated_from: Optional<Text>,
        /// `active`, `disabled` or `deleted`.
        status: Required<Text>,
        /// 1 for the first version.
        version: Required<Int>,
        /// Time of the event from which this version holds.
        valid_from: Required<Time>,
        /// The event that brought this version.
        change_event_uid: Optional<Text>,
    }
}
