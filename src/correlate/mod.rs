//! What is normal for an identity: profiles, the measure of surprise, and the usage that is counted per day.
//!
//! Everything here is counts and times in ordered maps, so that the same events give the same profile on any machine.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod burst;
mod known;
mod links;
mod network;
mod newcomers;
mod novelty;
mod peers;
mod place;
mod profile;
mod resource;
mod rhythm;
mod sighting;
mod stored_keys;
mod usage;
mod week;
mod whereabouts;

pub use burst::{Burst, Crowd};
pub use known::{Client, Key, KnownCredential, KnownIdentity, Standing};
pub use links::{Link, Links, WrittenLinks};
pub use network::{Source, SourceKind, classify};
pub use newcomers::{Newcomer, Newcomers};
pub use novelty::bits;
pub use peers::{PeerGroup, Peers};
pub use place::{Place, Places};
pub use profile::{Dimension, Fresh, Profile, Sleep, ValueStats, Values};
pub use resource::resource_class;
pub use rhythm::Rhythm;
pub use sighting::Sighting;
pub use usage::{DayUse, Relation, Usage, UsageCounter, UsageKey};
pub use week::Week;
pub(crate) use whereabouts::Use;
pub use whereabouts::{Beside, Home, Whereabouts};
