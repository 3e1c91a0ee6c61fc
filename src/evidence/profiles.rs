//! `profiles`: what was normal for an identity, and since when.

use super::column::{Date, Long, Required, Text, Time};
use super::table::table;

table! {
    /// One value of an identity's baseline as it was when it had changed. A value has a row when it was new, when somebody
    /// confirmed it, and each time the number of days on which it was seen had doubled; between two rows it gained fewer
    /// days than it had. The last row of a value before a moment says what was known then.
    Profiles, ProfilesRow, "profiles", partition_by: [],
    {
        /// Whose baseline it is.
        identity_uid: Required<Text>,
        /// What the value is one of, as `why_json` of findings calls it: `network`, `operation`, `client` …
        dimension: Required<Text>,
        /// The value.
        value: Required<Text>,
        /// UTC day of the event by which it changed.
        as_of_date: Required<Date>,
        /// First event that showed the value, by event time; it is forgotten when none showed it for 400 days, or when 512
        /// others were seen since.
        first_seen_time: Required<Time>,
        /// Last event that showed it until then.
        last_seen_time: Required<Time>,
        /// Distinct UTC days on which it was seen until then.
        days_seen: Required<Long>,
        /// Events that showed it until then; 0 if somebody confirmed it before any did.
        events: Required<Long>,
    }
}
