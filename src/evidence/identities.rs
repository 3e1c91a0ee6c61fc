//! `identities`: identities and what is known of them, by version.

use super::column::{Int, Long, Optional, Required, Text, Time};
use super::table::table;

table! {
    /// One version of one identity.
    Identities, IdentitiesRow, "identities", partition_by: [],
    {
        /// Canonical id.
        identity_uid: Required<Text>,
        /// 1 for the first version.
        version: Required<Int>,
        /// Time of the event from which this version holds.
        valid_from: Required<Time>,
        /// What it is.
        kind: Required<Text>,
        /// `aws`, `azure` or `entra`.
        provider: Required<Text>,
        /// Account or tenant it belongs to, as first seen.
        tenant_uid: Optional<Text>,
        /// The provider's own id: the part of `identity_uid` after its scheme.
        native_uid: Required<Text>,
        /// ARN or application id, where an event named it.
        arn_or_app_id: Optional<Text>,
        /// Name that people use, where an event named it.
        display_name: Optional<Text>,
        /// `active`, `disabled` or `deleted`.
        status: Required<Text>,
        /// The identity of the same role or user under its unique id, where this one is known by its ARN.
        merged_into_uid: Optional<Text>,
        /// When it was created; null until an event or import says so.
        created_time: Optional<Time>,
        /// Who created it.
        created_by_uid: Optional<Text>,
        /// From the inventory.
        owner: Optional<Text>,
        /// From the inventory.
        backup_owner: Optional<Text>,
        /// From the inventory.
        purpose: Optional<Text>,
        /// From the inventory.
        criticality: Optional<Text>,
        /// From the inventory.
        environment: Optional<Text>,
        /// From the inventory.
        vendor: Optional<Text>,
        /// From the inventory.
        contract_scope: Optional<Text>,
        /// From the inventory.
        expires_time: Optional<Time>,
        /// From the inventory.
        review_days: Optional<Long>,
        /// `low`, `medium` or `high`; null until privileges are known.
        risk_tier: Optional<Text>,
        /// 0 none to 3 admin; null until privileges are known.
        privilege_tier: Optional<Long>,
        /// What gave it that tier.
        privilege_reason: Optional<Text>,
        /// `observed`, `lifecycle` or `inventory`.
        source: Required<Text>,
        /// The event that brought this version.
        change_event_uid: Optional<Text>,
    }
}
