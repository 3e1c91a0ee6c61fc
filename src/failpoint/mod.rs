//! Named places at which a test can have the program die, wait, be slow, panic or fail.
//!
//! They exist only in builds with debug assertions, which `cargo run` and `cargo test` share; a release build reads no
//! variable and both functions below are empty in it. `KEYTRAIL_FAILPOINTS` says what happens where:
//!
//! ```text
//! KEYTRAIL_FAILPOINTS="table.committed@3=exit;ledger.before-put=pause:/tmp/go"
//! ```
//!
//! `@3` is the third time that the place is reached, the first if it is left out. What can happen there:
//!
//! | action | what it does |
//! | --- | --- |
//! | `exit` | the process ends at once: nothing unwinds, nothing is flushed |
//! | `panic` | the thread panics |
//! | `error` | the step fails with an I/O error, where it can fail; elsewhere it panics |
//! | `pause:FILE` | creates `FILE.reached` and waits until `FILE` is there |
//! | `sleep:MILLISECONDS` | waits, this time and every time after |
//!
//! To add a place: a line in [`POINTS`], and `failpoint::pass("its.name")` where it is, or `failpoint::reach` in a step that
//! can fail. `tests/it/chaos` kills the program at every one of them.

#[cfg(debug_assertions)]
mod plan;

use std::io;

/// Every place, in the order in which an epoch comes by; then those of upkeep.
pub const POINTS: [&str; 25] = [
    "recovery.chain-read",
    "recovery.table-opened",
    "recovery.tables-moved",
    "recovery.state-read",
    "epoch.read",
    "rows.built",
    "parquet.written",
    "state.snapshot",
    "state.written",
    "ledger.before-put",
    "ledger.after-put",
    "log.full-tiles-written",
    "log.tiles-written",
    "log.checkpoint-written",
    "table.before-commit",
    "table.committed",
    "epochs.before-row",
    "log.before-seal",
    "epoch.before-published",
    "epoch.published",
    "upkeep.written",
    "upkeep.before-put",
    "upkeep.after-put",
    "upkeep.shown",
    "upkeep.checkpointed",
];

/// A place that cannot fail by itself.
#[cfg(debug_assertions)]
pub fn pass(point: &'static str) {
    if let Err(error) = plan::reached(point) {
        panic!("{error}");
    }
}

/// A place where the step before it can fail with an I/O error.
#[cfg(debug_assertions)]
pub fn reach(point: &'static str) -> io::Result<()> {
    plan::reached(point)
}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn pass(_: &'static str) {}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn reach(_: &'static str) -> io::Result<()> {
    Ok(())
}
