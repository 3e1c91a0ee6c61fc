//! What a report holds, whatever form it is written in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of [`Document`] as JSON.
pub(super) const VERSION: u32 = 2;

/// A report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub provenance: Provenance,
    /// How many rows of the first part have which standing, the most frequent first.
    pub tally: Vec<(String, u64)>,
    /// What the first part's rows were before.
    pub changes: Option<Changes>,
    /// At least one: what the report is about.
    pub parts: Vec<Part>,
}

impl Document {
    /// The part that the report is about.
    pub fn subject(&self) -> &Part {
        &self.parts[0]
    }

    /// What the parts cannot show, each said once.
    pub(super) fn caveats(&self) -> Vec<&str> {
        once(self.parts.iter().flat_map(|part| &part.caveats))
    }

    /// The controls on which the parts bear.
    pub(super) fn controls(&self) -> Vec<&str> {
        once(self.parts.iter().flat_map(|part| &part.controls))
    }
}

fn once<'d>(texts: impl Iterator<Item = &'d String>) -> Vec<&'d str> {
    let mut told: Vec<&str> = Vec::new();
    for text in texts {
        if !told.contains(&text.as_str()) {
            told.push(text);
        }
    }
    told
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    pub title: String,
    pub question: String,
    /// What was asked, with every value in its place.
    pub sql: String,
    pub controls: Vec<String>,
    pub caveats: Vec<String>,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
    /// Hash of columns and rows, hexadecimal.
    pub rows_sha256: String,
}

impl Part {
    /// Where the column stands.
    pub(super) fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }
}

/// Where a report comes from: enough to make it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Version of this form.
    pub v: u32,
    pub report: String,
    pub title: String,
    /// Every value that the questions took but the identities of the first part, those that nobody gave too.
    pub params: BTreeMap<String, String>,
    /// The epoch, the hash of the manifest before it, the tree and the times, as the row of `epochs` has them.
    pub ledger: BTreeMap<String, String>,
    pub logs: Logs,
    pub made_by: String,
    pub made_at: String,
    pub build: String,
    /// Hash of the views on which the answers rest, hexadecimal: another build may have others.
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
