//! A standby: waits beside the writer that is active, remembers what that one remembers, and takes over when it is gone.

use std::time::{Duration, Instant};

use super::{PipelineError, Settings};
use crate::engine::{self, Engine};
use crate::ingest::Stop;
use crate::lake::{self, Place, Watch};
use crate::telemetry::Event;

/// How often the lease and the ledger are looked at, at least.
const LOOK: Duration = Duration::from_millis(250);

/// The shortest lease is looked at so many times.
const LOOKS_PER_LEASE: u32 = 10;

/// Standbys that wait for the same lease must not all take it in one moment: each waits up to this share of it longer.
const SPREAD: u32 = 4;

/// An engine that knows what the ledger says up to some epoch.
#[derive(Debug)]
pub struct Warm {
    engine: Engine,
    epoch: i64,
}

impl Warm {
    /// An engine that knows nothing yet.
    pub(super) fn new(params: engine::Params) -> Self {
        Self {
            engine: Engine::new(params),
            epoch: 0,
        }
    }

    /// Brings it to `upto`, which the ledger has. Where it goes is decided by the ledger alone: an engine that knows
    /// more, as after somebody put an older lake in place, begins anew.
    pub(super) fn follow(&mut self, settings: &Settings, upto: i64) -> Result<(), PipelineError> {
        if self.epoch > upto {
            *self = Self::new(settings.engine.clone());
        }
        let root = Place::of(&settings.lake)?;
        for state in lake::states_between(&root, self.epoch, upto)? {
            if state.snapshot {
                self.engine = Engine::new(settings.engine.clone());
            }
            self.engine.recall(&state.bytes)?;
            self.epoch = state.epoch;
        }
        Ok(())
    }

    pub(super) fn into_engine(self) -> Engine {
        self.engine
    }
}

/// Waits until nobody holds the lease of the lake, following the ledger meanwhile. None if `stop` is requested first.
pub fn stand_by(settings: &Settings, stop: &Stop) -> Result<Option<Warm>, PipelineError> {
    let mut watch = Watch::new(&settings.lake, settings.lease)?;
    let look = LOOK.min(settings.lease / LOOKS_PER_LEASE);
    let mut warm = Warm::new(settings.engine.clone());
    let mut free_since = None;
    let root = Place::of(&settings.lake)?;
    let begun = Instant::now();
    Event::Standby.tell();
    while !stop.requested() {
        let now = Instant::now();
        if watch.free(now)? {
            // The lease was never held: nobody else waits for its end, or they wait just as long.
            let since = *free_since.get_or_insert(now);
            if now.duration_since(since) >= spread(settings.lease) {
                Event::TakingOver {
                    epoch: warm.epoch,
                    waited: begun.elapsed(),
                }
                .tell();
                return Ok(Some(warm));
            }
        } else {
            free_since = None;
        }
        let upto = lake::last_epoch(&root)?;
        // A state that cannot be read now is looked at again, and in the end by the writer that needs it.
        if warm.follow(settings, upto).is_err() {
            warm = Warm::new(settings.engine.clone());
        }
        std::thread::sleep(look);
    }
    Ok(None)
}

/// Up to a share of the lease, another for each process.
fn spread(lease: Duration) -> Duration {
    let share = u64::from(std::process::id()).wrapping_mul(0x9e37_79b9) % 1_000;
    (lease / SPREAD).mul_f64(share as f64 / 1_000.0)
}
