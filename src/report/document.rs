//! What a report holds, whatever form it is written in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub provenance: Provenance,
    /// How many rows have which standing, the most frequent first.
    pub tally: Vec<(String, u64)>,
    pub changes: Option<Changes>,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// Where a report comes from: enough to make it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Version of this form.
    pub v: u32,
    pub report: String,
    pub title: String,
    pub question: String,
    pub params: BTreeMap<String, String>,
    pub sql: String,
    pub controls: Vec<String>,
    pub caveats: Vec<String>,
    /// The epoch, the hash of the manifest before it, the tree and the times, as the row of `epochs` has them.
    pub ledger: BTreeMap<String, String>,
    pub logs: Logs,
    pub rows: usize,
    /// Hash of columns and rows, hexadecimal.
    pub rows_sha256: String,
    pub made_by: String,
    pub made_at: String,
    pub build: String,
    /// Hash of the views on which the answer rests, hexadecimal: another build may have others.
    pub views_sha256: String,
}

impl Provenance {
    /// The epoch as of which the lake was read.
    pub fn epoch(&self) -> Option<i64> {
        self.ledger.get("epoch")?.parse().ok()
    }
}

/// What could have been seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    pub since: String,
    pub until: String,
    pub tenants: u64,
    pub events: u64,
    /// Records that are no events.
    pub rejects: u64,
    /// Ranges of offsets that the source lost before they were read.
    pub gaps: u64,
}

/// The difference to an earlier epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    pub since_epoch: i64,
    pub came: Vec<String>,
    pub went: Vec<String>,
    /// What it is about, its standing then, and now.
    pub moved: Vec<(String, String, String)>,
}
