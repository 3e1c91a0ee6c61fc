//! One epoch through decoder, engine and row builder at the same time: while the engine decides about one part, the
//! next is decoded and the rows of the one before are built.
//!
//! The engine sees the parts in the order of the records, and so do the rows: threads change only how long it takes.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::Settings;
use crate::decode::{self, Opened};
use crate::engine::{Decided, Engine, EpochContext, EventRows, EvidenceEpoch};
use crate::model::{DecodedRecord, RawRecord};

/// How many payload bytes a part has, about: small enough to stay in a cache, large enough to be worth handing over.
const PART_BYTES: usize = 512 * 1024;

/// How many parts may wait between two threads.
const WAITING_PARTS: usize = 4;

/// Decoded records and what the engine decided about them.
type Part<'a> = (Vec<DecodedRecord<'a>>, Vec<Decided>);

/// Applies the records of one epoch.
pub(super) fn apply(
    settings: &Settings,
    engine: &mut Engine,
    records: &[RawRecord],
    context: &EpochContext,
) -> EvidenceEpoch {
    let parts = parts(records);
    // What is taken out of the envelopes stays here until the epoch is done: decoded records borrow from it.
    let opened: Vec<OnceLock<Vec<Opened<'_>>>> = parts.iter().map(|_| OnceLock::new()).collect();
    let decoders = decoders().min(parts.len());
    engine.begin(context);
    let rows = std::thread::scope(|scope| {
        let mut decoded = Vec::new();
        let mut decoding = Vec::new();
        for first in 0..decoders {
            let (sender, receiver) = sync_channel(WAITING_PARTS);
            decoded.push(receiver);
            let (parts, opened) = (&parts, &opened);
            decoding.push(scope.spawn(move || {
                let every = (first..parts.len()).step_by(decoders);
                decode_parts(
                    settings,
                    every.map(|part| (parts[part], &opened[part])),
                    &sender,
                );
            }));
        }
        let (told, telling) = sync_channel::<Part<'_>>(WAITING_PARTS);
        let building = scope.spawn(move || build(&telling));
        for part in 0..parts.len() {
            // A decoder or builder that is gone has panicked, which joining it passes on.
            let Ok(records) = decoded[part % decoders].recv() else {
                break;
            };
            let decided = engine.fold(&records, context);
            if told.send((records, decided)).is_err() {
                break;
            }
        }
        drop((told, decoded));
        for thread in decoding {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        building
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let mut evidence = engine.finish(context);
    rows.complete(&mut evidence);
    evidence
}

/// Opens and decodes one part after the other; ends early when nobody waits for them any more.
fn decode_parts<'a>(
    settings: &Settings,
    parts: impl Iterator<Item = (&'a [RawRecord], &'a OnceLock<Vec<Opened<'a>>>)>,
    sender: &SyncSender<Vec<DecodedRecord<'a>>>,
) {
    for (records, place) in parts {
        let opened = place.get_or_init(|| {
            let open = |record| decode::open(record, &settings.decode);
            records.iter().map(open).collect()
        });
        let decoded = opened.iter().map(Opened::decode).collect();
        if sender.send(decoded).is_err() {
            return;
        }
    }
}

fn build(told: &Receiver<Part<'_>>) -> EventRows {
    let mut rows = EventRows::default();
    while let Ok((records, decided)) = told.recv() {
        rows.add(&records, &decided);
    }
    rows
}

/// `records` in parts of about [`PART_BYTES`]; none for no records.
fn parts(records: &[RawRecord]) -> Vec<&[RawRecord]> {
    let mut parts = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (index, record) in records.iter().enumerate() {
        bytes += record.bytes();
        if bytes >= PART_BYTES {
            parts.push(&records[begin..=index]);
            (begin, bytes) = (index + 1, 0);
        }
    }
    if begin < records.len() {
        parts.push(&records[begin..]);
    }
    parts
}

/// As many threads as there are cores: decoding is the larger half of the work.
fn decoders() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Position;

    #[test]
    fn parts_hold_every_record_once_and_in_order() {
        let sizes = [
            0,
            10,
            PART_BYTES,
            1,
            PART_BYTES - 2,
            1,
            7,
            PART_BYTES * 3,
            5,
        ];
        let records: Vec<RawRecord> = sizes
            .iter()
            .enumerate()
            .map(|(offset, size)| RawRecord {
                position: Position {
                    topic: Arc::from("t"),
                    partition: 0,
                    offset: offset as i64,
                },
                lane: Arc::from("t/0"),
                appended_at: None,
                payload: Some(vec![b' '; *size]),
            })
            .collect();
        let parts = parts(&records);
        let offsets: Vec<i64> = parts
            .iter()
            .flat_map(|part| part.iter().map(|record| record.position.offset))
            .collect();
        assert_eq!(offsets, (0..sizes.len() as i64).collect::<Vec<_>>());
        assert_eq!(parts.len(), 4);
    }
}
