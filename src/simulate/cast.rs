//! Who plays which part: the identities to whom something happens, and those that only look as if.

use super::estate::Kind;

/// With fewer identities than this there is no room for stories and traps beside ordinary life …
const FIRST_CAST_IDENTITIES_MIN: u32 = 10;
/// … and from this on there is room for all of them.
const WHOLE_CAST_IDENTITIES_MIN: u32 = 100;
/// How many of [`CAST`] a small estate has.
const FIRST_CAST: usize = 7;

/// The account of those whom an administrator of their own looks after.
const ADMINISTERED: usize = 1;
/// The account of somebody who makes keys for others.
const BETRAYED: usize = 0;

/// What somebody is there for. What happens in a story stands in `stories`, what makes a trap in `stories::traps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Ordinary,
    /// Stories.
    Sleeper,
    Strange,
    Crossing,
    Pivot,
    Idle,
    Stolen,
    Encryptor,
    Served,
    Insider,
    Leaked,
    Build,
    Trusting,
    Ended,
    Heir,
    Leaver,
    Agent,
    Shared,
    /// Trap: sleeps for a month again and again, because it is a monthly job.
    Monthly,
    /// Trap: comes from another public network each time, because it runs on hosted build machines.
    Roaming,
    /// Makes, rotates and removes identities, as is its task.
    Administrator,
    /// Trap: its key is replaced by another, which is used from the same network.
    Rotating,
    /// Trap: its client becomes another one.
    Upgraded,
    /// Trap: a person who looks into everything once, because something is broken.
    Responder,
    /// Trap: a function that is made in the middle of the time, with a role of its own.
    Deployed,
    /// Trap: it is no longer needed, and removed.
    Retired,
    /// Trap: a policy forbids it what it always did.
    Refused,
}

/// The first identities of an estate, in their order.
const CAST: [(Part, Kind); 33] = [
    (Part::Sleeper, Kind::UserKey),
    (Part::Strange, Kind::UserKey),
    (Part::Crossing, Kind::UserRole),
    (Part::Monthly, Kind::UserKey),
    (Part::Roaming, Kind::UserKey),
    // The only workload of a small estate.
    (Part::Ordinary, Kind::Workload),
    (Part::Pivot, Kind::Secret),
    (Part::Idle, Kind::Secret),
    (Part::Stolen, Kind::Instance),
    (Part::Encryptor, Kind::UserKey),
    (Part::Served, Kind::UserKey),
    (Part::Insider, Kind::ConsoleUser),
    (Part::Leaked, Kind::UserKey),
    (Part::Leaked, Kind::UserKey),
    (Part::Leaked, Kind::Secret),
    (Part::Leaked, Kind::UserKey),
    (Part::Leaked, Kind::Secret),
    (Part::Leaked, Kind::UserKey),
    (Part::Leaked, Kind::UserKey),
    (Part::Build, Kind::Workload),
    (Part::Trusting, Kind::Secret),
    (Part::Ended, Kind::UserRole),
    (Part::Heir, Kind::UserKey),
    (Part::Leaver, Kind::ConsoleUser),
    (Part::Agent, Kind::Function),
    (Part::Shared, Kind::UserKey),
    (Part::Administrator, Kind::ConsoleUser),
    (Part::Rotating, Kind::UserKey),
    (Part::Upgraded, Kind::UserKey),
    (Part::Responder, Kind::ConsoleUser),
    (Part::Deployed, Kind::Function),
    (Part::Retired, Kind::UserKey),
    (Part::Refused, Kind::UserKey),
];

impl Part {
    /// What identity `index` of an estate of `identities` is cast as; none for whoever leads an ordinary life.
    pub(super) fn cast(index: usize, identities: u32) -> Option<(Self, Kind)> {
        let room = match identities {
            0..FIRST_CAST_IDENTITIES_MIN => 0,
            FIRST_CAST_IDENTITIES_MIN..WHOLE_CAST_IDENTITIES_MIN => FIRST_CAST,
            WHOLE_CAST_IDENTITIES_MIN.. => CAST.len(),
        };
        CAST[..room].get(index).copied()
    }

    /// Index of the account in which it must be; none for whoever may be in any.
    pub(super) fn account(self) -> Option<usize> {
        match self {
            Self::Served | Self::Insider => Some(BETRAYED),
            Self::Administrator
            | Self::Ended
            | Self::Heir
            | Self::Leaver
            | Self::Rotating
            | Self::Deployed
            | Self::Retired => Some(ADMINISTERED),
            _ => None,
        }
    }
}
