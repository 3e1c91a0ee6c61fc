//! Whether a partition still continues where the ledger ended, and what somebody may decide when it does not.
//!
//! Nothing is skipped here by itself. Records that retention took can be given up by whoever names the range and a
//! reason; a partition that was cut or made anew cannot be continued at all, because its offsets mean other records.

use super::{IngestError, Positions};
use crate::config::Start;
use crate::model::{ReadTo, SourceGap};

/// What took the records of an accepted gap.
const RETENTION: &str = "retention";

/// A gap that somebody accepts: these offsets of this partition may stay unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedGap {
    pub topic: String,
    pub partition: i32,
    pub from: i64,
    /// Exclusive.
    pub to: i64,
    /// Why, in their own words.
    pub reason: String,
}

impl AcceptedGap {
    /// Reads `TOPIC/PARTITION/FROM/TO`.
    pub fn parse(text: &str, reason: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is not TOPIC/PARTITION/FROM/TO, like cloudtrail/3/1200/1500");
        let mut parts = text.split('/');
        let (Some(topic), Some(partition), Some(from), Some(to), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(wrong());
        };
        let gap = Self {
            topic: topic.to_owned(),
            partition: partition.parse().map_err(|_| wrong())?,
            from: from.parse().map_err(|_| wrong())?,
            to: to.parse().map_err(|_| wrong())?,
            reason: reason.trim().to_owned(),
        };
        if gap.topic.is_empty() || gap.partition < 0 || gap.from < 0 || gap.from >= gap.to {
            return Err(wrong());
        }
        if gap.reason.is_empty() {
            return Err("the reason is empty; say why these records may be missing".to_owned());
        }
        Ok(gap)
    }
}

/// Where a partition is read from, and what is given up before that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) start: i64,
    pub(super) gap: Option<SourceGap>,
}

impl Opening {
    const fn at(start: i64) -> Self {
        Self { start, gap: None }
    }
}

/// How a source knows a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Partition<'a> {
    pub(super) topic: &'a str,
    pub(super) number: i32,
    /// First offset that the source has, and the one after its last.
    pub(super) low: i64,
    pub(super) high: i64,
    /// What the ledger says of it.
    pub(super) known: Option<ReadTo>,
    /// Whether the ledger knows other partitions of its topic: then this one came into being later.
    pub(super) grown: bool,
}

/// Where `partition` continues, or begins. Refuses to continue where records are missing and nobody has accepted that.
pub(super) fn open(
    partition: Partition<'_>,
    start: Start,
    accepted: &[AcceptedGap],
) -> Result<Opening, IngestError> {
    let Partition { low, high, .. } = partition;
    let next = match partition.known {
        Some(known) => known.next,
        // Everything that it ever held came after the ledger began.
        None if partition.grown => 0,
        None if start == Start::Latest => return Ok(Opening::at(high)),
        None => return Ok(Opening::at(low)),
    };
    if next > high {
        return Err(IngestError::Shorter {
            topic: partition.topic.to_owned(),
            partition: partition.number,
            next,
            high,
        });
    }
    if next >= low {
        return Ok(Opening::at(next));
    }
    let acceptance = accepted.iter().find(|gap| {
        gap.topic == partition.topic
            && gap.partition == partition.number
            && gap.from == next
            && gap.to >= low
    });
    match acceptance {
        Some(gap) => Ok(Opening {
            start: low,
            gap: Some(SourceGap {
                from: next,
                to: low,
                cause: RETENTION.to_owned(),
                reason: gap.reason.clone(),
            }),
        }),
        None => Err(IngestError::Gap {
            topic: partition.topic.to_owned(),
            partition: partition.number,
            from: next,
            to: low,
        }),
    }
}

/// Offsets of one cluster mean nothing on another.
pub(super) fn check_cluster(cluster: &str, positions: &Positions) -> Result<(), IngestError> {
    let other = positions
        .keys()
        .map(|(known, _, _)| known)
        .find(|known| known.as_str() != cluster && known.as_str() != super::files::CLUSTER);
    match other {
        Some(wanted) => Err(IngestError::OtherCluster {
            found: cluster.to_owned(),
            wanted: wanted.clone(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(next: Option<i64>) -> Partition<'static> {
        Partition {
            topic: "t",
            number: 0,
            low: 10,
            high: 20,
            known: next.map(|next| ReadTo { next, last: None }),
            grown: false,
        }
    }

    fn start(partition: Partition<'_>, start: Start) -> Result<i64, IngestError> {
        open(partition, start, &[]).map(|opening| opening.start)
    }

    #[test]
    fn a_partition_continues_only_where_nothing_is_missing() {
        assert_eq!(start(partition(None), Start::Earliest).unwrap(), 10);
        assert_eq!(start(partition(None), Start::Latest).unwrap(), 20);
        assert_eq!(start(partition(Some(10)), Start::Latest).unwrap(), 10);
        assert_eq!(start(partition(Some(20)), Start::Earliest).unwrap(), 20);
        let gap = start(partition(Some(9)), Start::Earliest).unwrap_err();
        assert!(matches!(
            gap,
            IngestError::Gap {
                from: 9,
                to: 10,
                ..
            }
        ));
        let shorter = start(partition(Some(21)), Start::Earliest).unwrap_err();
        assert!(matches!(shorter, IngestError::Shorter { high: 20, .. }));
    }

    #[test]
    fn a_partition_that_came_later_is_read_from_its_first_record() {
        let mut grown = partition(None);
        grown.grown = true;
        assert!(start(grown, Start::Latest).is_err(), "0 to 10 are gone");
        grown.low = 0;
        assert_eq!(start(grown, Start::Latest).unwrap(), 0);
    }

    #[test]
    fn a_gap_is_passed_only_by_whoever_names_it() {
        let open_with = |text: &str| {
            let accepted = AcceptedGap::parse(text, "the outage of May").unwrap();
            open(partition(Some(4)), Start::Earliest, &[accepted])
        };
        let opening = open_with("t/0/4/10").unwrap();
        assert_eq!(opening.start, 10);
        let gap = opening.gap.unwrap();
        assert_eq!((gap.from, gap.to, gap.span()), (4, 10, 6));
        assert_eq!(gap.reason, "the outage of May");
        let wider = open_with("t/0/4/15").unwrap();
        assert_eq!(wider.start, 10, "what is still there is read");
        for other in ["t/0/4/9", "t/0/5/10", "t/1/4/10", "u/0/4/10"] {
            assert!(open_with(other).is_err(), "{other}");
        }
        let accepted = [AcceptedGap::parse("t/0/12/15", "none").unwrap()];
        let opening = open(partition(Some(12)), Start::Earliest, &accepted).unwrap();
        assert_eq!(
            opening,
            Opening::at(12),
            "records that are there are never given up"
        );
    }

    #[test]
    fn an_acceptance_names_a_range_and_a_reason() {
        for wrong in [
            "",
            "t",
            "t/0/1",
            "t/x/1/2",
            "t/0/2/2",
            "t/0/-1/2",
            "/0/1/2",
            "t/0/1/2/3",
        ] {
            assert!(AcceptedGap::parse(wrong, "because").is_err(), "{wrong}");
        }
        assert!(AcceptedGap::parse("t/0/1/2", "  ").is_err());
        assert!(AcceptedGap::parse("a.b-c_d/11/0/2", "because").is_ok());
    }
}
