//! What the engine is told about an epoch, and what an epoch comes to.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use super::Counts;
use crate::evidence::Table;
use crate::model::{FindingStatus, Micros, Statement, Uid};

/// What the engine must be told about an epoch besides its records: all of it stands in the manifest.
#[derive(Clone, Debug)]
pub struct EpochContext {
    /// Number of the epoch, from 1.
    pub epoch: i64,
    /// When the epoch was cut.
    pub now: Micros,
    /// Every lane that may bring records: the watermark waits for those that have not brought any.
    pub lanes: Vec<Arc<str>>,
    /// Lanes that are read to their end and silent: the watermark does not wait for them.
    pub idle: Vec<Arc<str>>,
    /// Whether no further input will come: everything that waits is settled now.
    pub seal: bool,
    /// What people stated since the epoch before, in order.
    pub statements: Vec<Statement>,
}

/// What an epoch came to.
#[derive(Debug)]
pub struct EvidenceEpoch {
    /// Rows by table, in ledger order; tables without rows are left out.
    pub batches: Vec<(&'static Table, RecordBatch)>,
    pub counts: Counts,
    pub watermark: Option<Micros>,
    /// Leaves of the Merkle tree after this epoch. The last one is the epoch's own row, which the ledger writes.
    pub tree_size: i64,
    /// Names the parameters that gave these rows.
    pub params_sha256: String,
    /// What readers of the live view want to know at once.
    pub news: Vec<News>,
}

/// A revision of a finding, reduced to what a person is told while the program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    pub finding_uid: Uid,
    pub status: FindingStatus,
    pub detector: &'static str,
    pub severity: &'static str,
    pub identity_uid: Uid,
    pub title: String,
    pub summary: String,
    pub first_event_time: Micros,
    pub event_count: i64,
    /// Whether somebody decided that nobody is to be told of it.
    pub suppressed: bool,
}
