//! What went in and what came out, per partition: the conservation law in numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Ignored, Position, RejectCode};

/// Elements of one partition by what they came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneCounts {
    /// Messages.
    pub records: u64,
    /// Elements of those messages.
    pub elements: u64,
    pub accepted: u64,
    pub duplicate: u64,
    pub rejected: u64,
    pub ignored: u64,
}

impl LaneCounts {
    /// Whether every element is accounted for.
    pub const fn balanced(&self) -> bool {
        // A manifest that somebody wrote by hand may hold numbers that no sum holds.
        let (Some(new), Some(rest)) = (
            self.accepted.checked_add(self.duplicate),
            self.rejected.checked_add(self.ignored),
        ) else {
            return false;
        };
        match new.checked_add(rest) {
            Some(sum) => self.elements == sum,
            None => false,
        }
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.elements += other.elements;
        self.accepted += other.accepted;
        self.duplicate += other.duplicate;
        self.rejected += other.rejected;
        self.ignored += other.ignored;
    }
}

/// Everything counted in one epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// By topic and partition.
    #[serde(skip)]
    pub partitions: BTreeMap<(Arc<str>, i32), LaneCounts>,
    pub rejected_by_code: BTreeMap<String, u64>,
    pub ignored_by_reason: BTreeMap<String, u64>,
    /// Events that came after the watermark had passed them.
    pub late: u64,
    /// Amendments written.
    pub amended: u64,
    /// Entries that state has dropped because a limit was reached, since the lake began.
    pub evicted: u64,
}

impl Counts {
    /// Adds what one message of the partition came to.
    pub(super) fn message(&mut self, position: &Position, counts: &LaneCounts) {
        let partition = (position.topic.clone(), position.partition);
        self.partitions.entry(partition).or_default().add(counts);
    }

    pub(super) fn rejected(&mut self, code: RejectCode) {
        let code = code.code().to_owned();
        *self.rejected_by_code.entry(code).or_default() += 1;
    }

    pub(super) fn ignored(&mut self, reason: Ignored) {
        let reason = reason.reason().to_owned();
        *self.ignored_by_reason.entry(reason).or_default() += 1;
    }

    /// Sum over all partitions.
    pub fn total(&self) -> LaneCounts {
        let mut total = LaneCounts::default();
        for counts in self.partitions.values() {
            total.add(counts);
        }
        total
    }

    /// The totals and their reasons as JSON, for the `epochs` row and the manifest.
    pub fn to_json(&self) -> String {
        let total = self.total();
        serde_json::json!({
            "records": total.records,
            "elements": total.elements,
            "accepted": total.accepted,
            "duplicate": total.duplicate,
            "rejected": total.rejected,
            "ignored": total.ignored,
            "rejected_by_code": self.rejected_by_code,
            "ignored_by_reason": self.ignored_by_reason,
            "late": self.late,
            "amended": self.amended,
            "evicted": self.evicted,
        })
        .to_string()
    }

    /// Panics when an element is unaccounted for: that is a bug of ours, and no row of such an epoch may be committed.
    pub(super) fn check(&self) {
        for (partition, counts) in &self.partitions {
            assert!(
                counts.balanced(),
                "conservation: {partition:?} has {counts:?}"
            );
        }
    }
}
