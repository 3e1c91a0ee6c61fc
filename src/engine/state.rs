//! What the engine remembers, as bytes: a snapshot of everything, or a delta of what changed since the last one.
//!
//! The first byte names the form. Every form ever written must load for ever, so a change of what is remembered is a
//! new form beside the old ones, never a change of one.

use std::sync::Arc;
use std::{fmt, io};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::situations::WrittenSituations;
use super::statements::Entry;
use super::sweep::WrittenSweeps;
use super::watermark::Watermark;
use super::{Engine, Params, form_3, form_4, form_5};
use crate::attribute;
use crate::correlate::{
    DayUse, KnownCredential, KnownIdentity, Newcomer, PeerGroup, Profile, Sighting, UsageKey,
    WrittenLinks,
};
use crate::detect::Snooze;
use crate::model::{Changes, Day, Micros, Uid};

/// The form written by this build. Forms 1 and 2 were never in a release. `tests/state` holds files of every later one,
/// which must load for ever.
const FORM: u8 = 6;

/// Why state could not be read. The lake is then read by another build than it was written by, or it is damaged.
#[derive(Debug, Error)]
pub enum StateError {
    #[error(
        "state of form {0} is not one that this build reads; run the build that wrote it, or replay the logs into a new lake"
    )]
    UnknownForm(u8),
    #[error("state is empty")]
    Empty,
    #[error(
        "state does not parse: {0}. Compare the file with its manifest: `keytrail verify` names what was changed"
    )]
    Damaged(#[from] postcard::Error),
    #[error(
        "state has {0} bytes too many. Compare the file with its manifest: `keytrail verify` names what was changed"
    )]
    Longer(usize),
}

/// Everything remembered, as changes.
#[derive(Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) attributor: attribute::Written,
    pub(super) duplicates: Changes<[u8; 16], (i64, u64)>,
    pub(super) duplicates_evicted: u64,
    pub(super) watermark: Watermark,
    pub(super) waiting: Changes<(Micros, Uid), Arc<Sighting>>,
    pub(super) profiles: Changes<Uid, Profile>,
    pub(super) profiles_evicted: u64,
    pub(super) waiting_evicted: u64,
    pub(super) usage: Changes<UsageKey, DayUse>,
    pub(super) identities: Changes<Uid, KnownIdentity>,
    pub(super) credentials: Changes<Uid, KnownCredential>,
    pub(super) links: WrittenLinks,
    pub(super) situations: WrittenSituations,
    pub(super) situations_evicted: u64,
    pub(super) tree_size: i64,
    pub(super) sweeps: WrittenSweeps,
    pub(super) newcomers: Changes<Uid, Vec<Newcomer>>,
    pub(super) newcomers_evicted: u64,
    pub(super) peers: Changes<Uid, PeerGroup>,
    pub(super) peers_evicted: u64,
    pub(super) snoozes: Changes<(Day, Uid), Snooze>,
    pub(super) inventory: Changes<Uid, Entry>,
}

/// What the engine remembers, or what changed of it, taken out of the engine: it can be written while the engine goes on.
pub struct State(Written);

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("tree_size", &self.0.tree_size)
            .finish_non_exhaustive()
    }
}

impl State {
    /// Writes it in the form of this build.
    pub fn write_to(&self, mut writer: impl io::Write) -> io::Result<()> {
        writer.write_all(&[FORM])?;
        postcard::to_io(&self.0, writer)
            .map(drop)
            .map_err(io::Error::other)
    }

    /// The bytes that [`State::write_to`] writes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes)
            .expect("writing to memory does not fail, and every part has a serialized form");
        bytes
    }
}

/// What `body` holds, to its last byte.
fn whole<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, StateError> {
    let (value, rest) = postcard::take_from_bytes(body)?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(StateError::Longer(rest.len()))
    }
}

/// State bytes that were read back, in the order in which they must be applied.
#[derive(Debug, Default)]
pub struct Loaded(pub Vec<Vec<u8>>);

impl Engine {
    /// What changed since the last call, or everything if `all`.
    pub fn state(&mut self, all: bool) -> State {
        State(Written {
            attributor: self.attributor.written(all),
            duplicates: self.duplicates.written(all),
            duplicates_evicted: self.duplicates.evicted,
            watermark: self.watermark.clone(),
            waiting: self.waiting.written(all),
            profiles: self.profiles.written(all),
            profiles_evicted: self.profiles_evicted,
            // What has no counter of its own in this form is counted with what waits: rows tell the sum alone.
            waiting_evicted: self.waiting_evicted + self.usage.evicted,
            usage: self.usage.written(all),
            identities: self.identities.written(all),
            credentials: self.credentials.written(all),
            links: self.links.written(all),
            situations: self.situations.written(all),
            situations_evicted: self.situations.evicted,
            tree_size: self.tree_size,
            sweeps: self.sweeps.written(all),
            newcomers: self.newcomers.written(all),
            newcomers_evicted: self.newcomers.evicted,
            peers: self.peers.written(all),
            peers_evicted: self.peers.evicted,
            snoozes: self.snoozes.written(all),
            inventory: self.inventory.written(all),
        })
    }

    /// An engine that continues where the last of `loaded` was written: a snapshot and the deltas after it.
    pub fn restore(params: Params, loaded: &Loaded) -> Result<Self, StateError> {
        let mut engine = Self::new(params);
        for bytes in &loaded.0 {
            engine.recall(bytes)?;
        }
        Ok(engine)
    }

    /// Takes in the next state that another engine wrote: an engine that follows another knows what that one knows.
    pub fn recall(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        match bytes.split_first() {
            None => return Err(StateError::Empty),
            Some((&FORM, body)) => {
                self.apply_written(whole(body)?);
                self.peers.forgotten = false;
            }
            Some((5, body)) => {
                let written: form_5::Written = whole(body)?;
                self.apply_written(written.into());
                self.peers.forgotten = true;
            }
            Some((4, body)) => {
                let written: form_4::Written = whole(body)?;
                self.apply_written(written.into());
                self.peers.forgotten = true;
            }
            Some((3, body)) => {
                let written: form_3::Written = whole(body)?;
                let written: form_5::Written = written.into();
                self.apply_written(written.into());
                self.peers.forgotten = true;
            }
            Some((&form, _)) => return Err(StateError::UnknownForm(form)),
        }
        Ok(())
    }

    fn apply_written(&mut self, written: Written) {
        self.attributor.restore(written.attributor);
        self.duplicates.restore(written.duplicates);
        self.duplicates.evicted = written.duplicates_evicted;
        self.watermark = written.watermark;
        self.waiting.apply(written.waiting);
        self.profiles.apply(written.profiles);
        self.profiles_evicted = written.profiles_evicted;
        self.waiting_evicted = written.waiting_evicted;
        self.usage.restore(written.usage);
        self.identities.apply(written.identities);
        self.credentials.apply(written.credentials);
        self.links.restore(written.links);
        self.situations.restore(written.situations);
        self.situations.evicted = written.situations_evicted;
        self.tree_size = written.tree_size;
        self.sweeps.restore(written.sweeps);
        self.newcomers.restore(written.newcomers);
        self.newcomers.evicted = written.newcomers_evicted;
        self.peers.restore(written.peers);
        self.peers.evicted = written.peers_evicted;
        self.snoozes.apply(written.snoozes);
        self.inventory.restore(written.inventory);
    }
}
