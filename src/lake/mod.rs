//! Where evidence goes. One conditional put of one ledger record makes an epoch true; everything else can be rolled
//! forward from it.
//!
//! ```text
//! DIR/ledger/epoch-000000000001.json      the commit point, chained by hash
//! DIR/ledger/…                            beside it the tree over all rows, signed: see the module `log`
//! DIR/ledger/upkeep/000000000001.json     which files took the place of which, chained by hash
//! DIR/state/epoch-000000000001-….zst      what the engine remembers
//! DIR/lease.json                          who is writing, as a courtesy
//! DIR/inbox/….json                        what people stated and no epoch has taken yet
//! DIR/mirror/TOPIC.leaf                   the last reject that was copied to that topic
//! DIR/signing.key                         the lake's own key, where none was given
//! DIR/tables/activity/…                   Delta tables: staged parquet first, visible after the ledger says so
//! ```

mod commit;
mod inbox;
mod lease;
mod ledger;
mod local;
mod log;
mod place;
mod remote;
mod rows;
mod schema;
mod stage;
mod state;
mod store;
mod tables;
mod upkeep;
mod verify;

use std::path::PathBuf;

use thiserror::Error;

pub use commit::{Lake, Pending, Recovered};
pub use inbox::{Found, Inbox, Taken};
pub use lease::{Lease, Watch};
pub use ledger::{
    InputRange, Manifest, PartitionCounts, StagedFile, StatementInput, TableFiles, UpkeepHead,
};
pub use log::{Integrity, LedgerKey, Proof, ProvenRow, Secret, anchor, prove, read_anchors};
pub use place::Place;
pub use rows::canonical_row;
pub use stage::{StagedTable, Staging, TableStaging};
pub use state::{EpochState, last_epoch, states_between};
pub(crate) use store::{holds_files, put, read};
pub(crate) use tables::{has_log, unloaded};
pub use upkeep::{Act, AddedFile, Garbage, Kind, Record, RemovedFile, Task, UpkeepParams};
pub use verify::{Demands, Problem, Verdict, VerifiedGap, verify, verify_at};

/// Folder of the tables within a lake.
pub const TABLES_DIR: &str = "tables";

/// Why the lake cannot go on. The message says who must act.
#[derive(Debug, Error)]
pub enum LakeError {
    #[error("{action} {path}: {source}")]
    Io {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{action} {place}: {source}")]
    Store {
        action: &'static str,
        place: String,
        source: Box<object_store::Error>,
    },
    #[error("{address} cannot be a lake: {reason}")]
    Address { address: String, reason: String },
    #[error(
        "{place} cannot be written safely: {reason}. Two writers could both commit the same epoch; use a store that keeps \
         If-None-Match on puts (and leave conditional puts on), or a local folder"
    )]
    Unfit { place: String, reason: &'static str },
    #[error(
        "another writer committed epoch {epoch} of this lake; this one stops. Run one writer per job and the second with --standby, or give the second its own lake"
    )]
    Fenced { epoch: i64 },
    #[error(
        "the lake belongs to job {found:?}, not {wanted:?}: pass the job's own name, or another folder"
    )]
    ForeignJob { found: String, wanted: String },
    #[error(
        "{what}: {reason}. The lake must not be written to before `keytrail verify` has been looked at"
    )]
    Damaged { what: String, reason: String },
    #[error("the lake cannot be signed: {0}")]
    Key(String),
    #[error("table {table}: {source}")]
    Delta {
        table: &'static str,
        source: Box<deltalake::DeltaTableError>,
    },
    #[error("table {table} does not fit this build: {reason}")]
    Schema { table: &'static str, reason: String },
    #[error("parquet of {table}: {source}")]
    Parquet {
        table: &'static str,
        source: parquet::errors::ParquetError,
    },
    #[error(
        "table {table} stands at epoch {found} and cannot be moved to {wanted}: an epoch between is missing"
    )]
    Hole {
        table: &'static str,
        found: i64,
        wanted: i64,
    },
}

impl LakeError {
    /// Whether the lake itself is wrong, as opposed to not reachable.
    pub const fn integrity(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. } | Self::Hole { .. } | Self::Key(_)
        )
    }
}

/// The job that began the lake in `root`, if there is a lake.
pub fn first_job(root: &std::path::Path) -> Option<String> {
    let path = Place::of(root).ok()?.join("ledger/epoch-000000000001.json");
    let manifest: Manifest = serde_json::from_slice(&store::read(&path).ok()??).ok()?;
    Some(manifest.job)
}

/// Wraps an I/O error with what was being done.
fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> LakeError {
    let path = path.into();
    move |source| LakeError::Io {
        action,
        path,
        source,
    }
}
