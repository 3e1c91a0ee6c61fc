//! The circuit breaker: a topic that brings mostly rejects is the wrong topic, or its form has changed. Reading on would
//! only fill the lake with rejects, so the service stops behind the epoch that shows it.

use std::collections::BTreeMap;

use super::PipelineError;
use crate::lake::{Manifest, PartitionCounts};

/// From which share of rejects on the service stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectLimit {
    /// More than this share of one topic's elements in one epoch, in percent. 100 is never exceeded.
    pub percent: u64,
    /// Fewer rejects than this never stop it: a share of few says little.
    pub count_min: u64,
}

impl RejectLimit {
    /// An error if the committed epoch of `manifest` is beyond the limit.
    pub(super) fn check(self, manifest: &Manifest) -> Result<(), PipelineError> {
        let mut topics: BTreeMap<&str, PartitionCounts> = BTreeMap::new();
        for input in &manifest.inputs {
            topics.entry(&input.topic).or_default().add(&input.counts);
        }
        let worst = topics
            .into_iter()
            .filter(|(_, counts)| self.exceeded(counts))
            .max_by_key(|(_, counts)| counts.rejected);
        match worst {
            None => Ok(()),
            Some((topic, counts)) => Err(PipelineError::Rejects {
                topic: topic.to_owned(),
                epoch: manifest.epoch,
                rejected: counts.rejected,
                elements: counts.elements,
                percent: self.percent,
            }),
        }
    }

    const fn exceeded(self, counts: &PartitionCounts) -> bool {
        counts.rejected >= self.count_min
            && counts.rejected.saturating_mul(100) > counts.elements.saturating_mul(self.percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_a_share_of_enough_rejects() {
        let limit = RejectLimit {
            percent: 50,
            count_min: 10,
        };
        let exceeded = |rejected, elements| {
            limit.exceeded(&PartitionCounts {
                rejected,
                elements,
                ..PartitionCounts::default()
            })
        };
        assert!(!exceeded(9, 9), "too few to say");
        assert!(exceeded(10, 19));
        assert!(!exceeded(10, 20), "half is not more than half");
        let never = RejectLimit {
            percent: 100,
            ..limit
        };
        assert!(!never.exceeded(&PartitionCounts {
            rejected: 50,
            elements: 50,
            ..PartitionCounts::default()
        }));
    }
}
