//! `sessions`: temporary credentials and who obtained them.

use super::column::{Int, Optional, Required, Text, Time};
use super::table::table;

table! {
    /// One issued temporary credential or sign-in. The row of the highest revision counts.
    Sessions, SessionsRow, "sessions", partition_by: [],
    {
        /// Issued key id, token id, or `aws:sess:<principal>@<start>` for a session of the console.
        session_uid: Required<Text>,
        /// Whom it acts as.
        identity_uid: Required<Text>,
        /// Who obtained it; the service for deliveries.
        issued_by_uid: Optional<Text>,
        /// The temporary key with which it was obtained.
        issued_by_session_uid: Optional<Text>,
        /// First node of the chain known when it was issued.
        origin_uid: Required<Text>,
        /// To what it was delivered.
        workload_uid: Optional<Text>,
        /// Hops between the origin and the session's identity.
        chain_depth: Required<Int>,
        /// `assume_role`, `web_identity`, `saml`, `get_session_token`, `federation_token`, `role_for_service` …
        method: Required<Text>,
        /// When it was issued.
        issued_time: Required<Time>,
        /// When it ends.
        expires_time: Required<Time>,
        /// Source identity that it carries.
        source_identity: Optional<Text>,
        /// Name the caller chose.
        session_name: Optional<Text>,
        /// Who vouched for the caller.
        federation_issuer: Optional<Text>,
        /// Whom they vouched for.
        federation_subject: Optional<Text>,
        /// For whom the token was meant.
        federation_audience: Optional<Text>,
        /// The event that issued it.
        issue_event_uid: Required<Text>,
        /// Confidence in who obtained it.
        confidence: Required<Text>,
        /// 1 for the first row of a session; a later row knows better who obtained it.
        revision: Required<Int>,
    }
}
