//! What was last committed, for readers inside the program: counts and findings, readable while the writer writes.
//!
//! The engine never reads it, and nothing appears in it that the ledger does not hold already.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use dashmap::DashMap;

use crate::engine::News;
use crate::lake::Manifest;

/// How many findings are shown. Beyond it those of the oldest epochs go: the lake has them all.
const FINDINGS_MAX: usize = 100_000;

/// The latest revision of a finding, and the epoch that committed it.
#[derive(Clone, Debug)]
pub struct LiveFinding {
    pub epoch: i64,
    pub news: News,
}

/// The view. Shared between the thread that commits and everybody who looks.
#[derive(Debug, Default)]
pub struct View {
    published: AtomicI64,
    records: AtomicU64,
    bytes: AtomicU64,
    elements: DashMap<&'static str, u64>,
    rows: DashMap<String, i64>,
    findings: DashMap<String, LiveFinding>,
}

impl View {
    /// Shows what `manifest` committed. The published epoch moves last, so that who sees it sees all of it.
    pub fn publish(&self, manifest: &Manifest, news: Vec<News>) {
        for input in &manifest.inputs {
            let counts = &input.counts;
            self.records.fetch_add(counts.records, Ordering::Relaxed);
            self.bytes.fetch_add(input.bytes, Ordering::Relaxed);
            for (name, count) in [
                ("elements", counts.elements),
                ("accepted", counts.accepted),
                ("duplicate", counts.duplicate),
                ("rejected", counts.rejected),
                ("ignored", counts.ignored),
            ] {
                *self.elements.entry(name).or_default() += count;
            }
        }
        for files in &manifest.tables {
            *self.rows.entry(files.table.clone()).or_default() += files.rows;
        }
        for news in news {
            let finding = LiveFinding {
                epoch: manifest.epoch,
                news,
            };
            self.findings
                .insert(finding.news.finding_uid.to_string(), finding);
        }
        if self.findings.len() > FINDINGS_MAX {
            self.forget_oldest();
        }
        self.published.store(manifest.epoch, Ordering::Release);
    }

    /// Drops an eighth of the findings, and those of the same epoch.
    fn forget_oldest(&self) {
        let mut epochs: Vec<i64> = self.findings.iter().map(|entry| entry.epoch).collect();
        epochs.sort_unstable();
        let last = epochs[epochs.len() / 8];
        self.findings.retain(|_, finding| finding.epoch > last);
    }

    /// The last epoch that readers may see, 0 before the first.
    pub fn published(&self) -> i64 {
        self.published.load(Ordering::Acquire)
    }

    /// Records committed since the start.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Payload bytes committed since the start.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Elements of one outcome since the start: `elements`, `accepted`, `duplicate`, `rejected`, `ignored`.
    pub fn elements(&self, outcome: &str) -> u64 {
        self.elements.get(outcome).map_or(0, |count| *count)
    }

    /// Rows of one table since the start.
    pub fn rows(&self, table: &str) -> i64 {
        self.rows.get(table).map_or(0, |rows| *rows)
    }

    /// The findings of this run in their latest revision, earliest first; of very many, the newest.
    pub fn findings(&self) -> Vec<LiveFinding> {
        let mut findings: Vec<LiveFinding> =
            self.findings.iter().map(|entry| entry.clone()).collect();
        findings.sort_by(|a, b| {
            let key = |finding: &LiveFinding| {
                (
                    finding.news.first_event_time,
                    finding.news.finding_uid.clone(),
                )
            };
            key(a).cmp(&key(b))
        });
        findings
    }
}
