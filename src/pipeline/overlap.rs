//! One epoch through decoder, engine and row builder at the same time: while the engine decides about one part, the
//! next is decoded, and the rows of the one before are built and encoded.
//!
//! The engine sees the parts in the order of the records, and so do the rows: threads change only how long it takes.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::Settings;
use super::turns::Turn;
use crate::decode::{self, Opened};
use crate::detect::rules;
use crate::engine::{Decided, Engine, EpochContext, EventRows, EvidenceEpoch, State};
use crate::failpoint;
use crate::ingest::RawEpoch;
use crate::lake::{LakeError, StagedTable, Staging, TableStaging};
use crate::model::{DecodedRecord, RawRecord};

/// How many payload bytes a part has, about: small enough to stay in a cache, large enough to be worth handing over.
const PART_BYTES: usize = 512 * 1024;

/// How many parts may wait between two threads: enough to decode on while the engine ends an epoch and its state is taken
/// out.
const WAITING_PARTS: usize = 24;

/// Rows of so many events are encoded at once: few enough to be still in a cache, and for the allocator to give their
/// buffers out again.
const BATCH_ROWS: usize = 256;

/// Decoded records and what the engine decided about them.
type Part<'a> = (Vec<DecodedRecord<'a>>, Vec<Decided>);

/// What an epoch came to, on its way to the lake.
pub(super) struct Outcome {
    pub(super) evidence: EvidenceEpoch,
    /// Files of its events' rows.
    pub(super) staged: Vec<StagedTable>,
    pub(super) state: State,
}

/// Applies the records of one epoch once it is its turn. Nothing if an epoch before it has failed.
pub(super) fn apply(
    settings: &Settings,
    engine: Turn<&mut Engine>,
    cut: &RawEpoch,
    context: &EpochContext,
    snapshot: bool,
    staging: &Staging,
) -> Result<Option<Outcome>, LakeError> {
    let parts = parts(&cut.records);
    // What is taken out of the envelopes stays here until the epoch is done: decoded records borrow from it.
    let opened: Vec<OnceLock<Vec<Opened<'_>>>> = parts.iter().map(|_| OnceLock::new()).collect();
    let decoders = decoders().min(parts.len());
    std::thread::scope(|scope| {
        let mut decoded = Vec::new();
        let mut threads = Vec::new();
        for first in 0..decoders {
            let (sender, receiver) = sync_channel(WAITING_PARTS);
            decoded.push(receiver);
            let (parts, opened) = (&parts, &opened);
            threads.push(scope.spawn(move || {
                let every = (first..parts.len()).step_by(decoders);
                decode_parts(
                    settings,
                    every.map(|part| (parts[part], &opened[part])),
                    &sender,
                );
            }));
        }
        let Some((engine, pass)) = engine.wait() else {
            return Ok(None);
        };
        let rows = engine.begin(context);
        for ((topic, partition), range) in &cut.ranges {
            for gap in &range.gaps {
                engine.gap(topic, *partition, gap, context);
            }
        }
        let (told, telling) = sync_channel::<Part<'_>>(WAITING_PARTS);
        let building = scope.spawn(move || build(rows, &telling, staging, context.epoch));
        let mut decided = None;
        if fold(engine, context, parts.len(), &decoded, &told) {
            let evidence = engine.finish(context);
            decided = Some((evidence, engine.state(snapshot)));
            pass.on(engine);
        }
        drop((told, decoded));
        for thread in threads {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        let (rows, staged) = building
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(decided.map(|(evidence, state)| {
            rows.check(&evidence);
            Outcome {
                evidence,
                staged,
                state,
            }
        }))
    })
}

/// The engine's part. False if a decoder or the builder is gone: it has failed, which joining it tells.
fn fold<'a>(
    engine: &mut Engine,
    context: &EpochContext,
    parts: usize,
    decoded: &[Receiver<Vec<DecodedRecord<'a>>>],
    told: &SyncSender<Part<'a>>,
) -> bool {
    for part in 0..parts {
        let Ok(records) = decoded[part % decoded.len()].recv() else {
            return false;
        };
        let decided = engine.fold(&records, context);
        if told.send((records, decided)).is_err() {
            return false;
        }
    }
    true
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
        let mut decoded: Vec<DecodedRecord<'_>> = opened.iter().map(Opened::decode).collect();
        if let Some(rules) = &settings.engine.rules {
            rules::read(rules.as_ref(), &mut decoded);
        }
        if sender.send(decoded).is_err() {
            return;
        }
    }
}

/// Builds the rows of the events and stages them as they come. Ends early when they cannot be written.
fn build(
    mut rows: EventRows,
    told: &Receiver<Part<'_>>,
    staging: &Staging,
    epoch: i64,
) -> Result<(EventRows, Vec<StagedTable>), LakeError> {
    let mut tables: Vec<TableStaging<'_>> = Vec::new();
    let mut stage = |rows: &mut EventRows| -> Result<(), LakeError> {
        let batches = rows.take();
        failpoint::pass("rows.built");
        if tables.is_empty() {
            tables.extend(batches.iter().map(|(table, _)| staging.begin(table, epoch)));
        }
        for ((_, batch), table) in batches.iter().zip(&mut tables) {
            table.add(batch)?;
        }
        Ok(())
    };
    while let Ok((records, decided)) = told.recv() {
        rows.add(&records, &decided);
        if rows.len() >= BATCH_ROWS {
            stage(&mut rows)?;
        }
    }
    stage(&mut rows)?;
    let mut files = Vec::new();
    for table in tables {
        files.extend(table.finish()?);
    }
    Ok((rows, files))
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
