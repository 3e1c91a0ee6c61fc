//! `lifecycle`: how identities and credentials came, changed and went, as the logs tell it.

use super::column::{Optional, Required, Text, TextList, Time};
use super::table::table;

table! {
    /// One provisioning, change of permission, rotation, disabling or deletion that succeeded.
    Lifecycles, LifecycleRow, "lifecycle", partition_by: [],
    {
        /// When the change was made, by the log's own word.
        event_time: Required<Time>,
        /// The event that tells of it; one event may change several things.
        event_uid: Required<Text>,
        /// `create`, `enable`, `disable`, `delete`, `rotate`, `grant`, `revoke` or `trust_change`.
        action: Required<Text>,
        /// Identity that was changed; null where the log names it only in a way that nothing resolves.
        target_identity_uid: Optional<Text>,
        /// Credential that was changed.
        target_credential_uid: Optional<Text>,
        /// Who really made the change, as `identity_uid` of the event.
        actor_identity_uid: Required<Text>,
        /// What was changed, as JSON: policy, principals, resource, names. Never a secret.
        detail_json: Required<Text>,
        /// Ticket that approved it; null until an approval is imported.
        approval_ref: Optional<Text>,
        /// Controls it bears on.
        controls: Required<TextList>,
    }
}
