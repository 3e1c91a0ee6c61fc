//! Source → decode → engine → lake, until the source ends or somebody asks to stop.
//!
//! Three threads and two places to wait: the cutter reads the next epoch while this one is decoded and applied, and
//! the lake stages and commits the one before. Each hands over at most one epoch, so a slow lake slows the reading.
//! Within an epoch, `overlap` keeps every core busy.

mod overlap;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::decode;
use crate::engine::{self, Engine, EpochContext, EvidenceEpoch, News, StateError};
use crate::ingest::{Cutter, IngestError, Positions, RawEpoch, RecordSource, Stop};
use crate::lake::{InputRange, Lake, LakeError, Manifest, PartitionCounts};
use crate::live::View;
use crate::model::Micros;
use crate::telemetry::Event;

/// Why the pipeline stopped before its time.
#[derive(Debug, Error)]
pub enum PipelineError {
    #[error(transparent)]
    Ingest(#[from] IngestError),
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error("the lake's state cannot be restored: {0}")]
    State(#[from] StateError),
    #[error("cannot start the runtime: {0}")]
    Runtime(std::io::Error),
    #[error(
        "a broken invariant stopped the {thread} thread: {message}. Nothing after the last commit was written"
    )]
    Panicked {
        thread: &'static str,
        message: String,
    },
}

impl PipelineError {
    /// Whether evidence itself is in doubt, as opposed to a source or sink that is not there.
    pub const fn integrity(&self) -> bool {
        match self {
            Self::Lake(error) => error.integrity(),
            Self::State(_) | Self::Panicked { .. } => true,
            Self::Ingest(error) => error.integrity(),
            Self::Runtime(_) => false,
        }
    }
}

/// How a pipeline is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    pub lake: PathBuf,
    pub job: String,
    pub epoch_age: Duration,
    pub epoch_bytes: usize,
    pub snapshot_epochs: i64,
    pub decode: decode::Params,
    pub engine: engine::Params,
    /// Whether the end of the input settles everything: files, or a run until the topics' end.
    pub finite: bool,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub epochs: i64,
    pub records: u64,
    pub bytes: u64,
    pub took: Duration,
}

/// An epoch on its way from the engine to the lake.
struct Applied {
    evidence: EvidenceEpoch,
    context: EpochContext,
    inputs: Vec<InputRange>,
    state: Vec<u8>,
    snapshot: bool,
}

/// Runs until the source ends or `stop` is requested. `source` is handed the positions at which the ledger ends.
pub fn run(
    settings: &Settings,
    source: impl FnOnce(&Positions) -> Result<Box<dyn RecordSource>, IngestError>,
    view: &Arc<View>,
    stop: &Stop,
) -> Result<Outcome, PipelineError> {
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(PipelineError::Runtime)?;
    let opened = Lake::open(&settings.lake, &settings.job, settings.snapshot_epochs);
    let (lake, recovered) = runtime.block_on(opened)?;
    let engine = Engine::restore(settings.engine.clone(), &recovered.state)?;
    if recovered.epoch > 0 {
        Event::Resumed {
            epoch: recovered.epoch,
            tables_moved: recovered.tables_moved,
        }
        .tell();
    }
    let cutter = Cutter::new(
        source(&recovered.positions)?,
        settings.epoch_age,
        settings.epoch_bytes,
        settings.finite,
        stop.clone(),
    );
    let mut outcome = drive(settings, cutter, engine, lake, &runtime, view, stop)?;
    outcome.took = started.elapsed();
    Ok(outcome)
}

fn drive(
    settings: &Settings,
    mut cutter: Cutter,
    mut engine: Engine,
    lake: Lake,
    runtime: &tokio::runtime::Runtime,
    view: &Arc<View>,
    stop: &Stop,
) -> Result<Outcome, PipelineError> {
    let (raw_sender, raw) = sync_channel::<Result<RawEpoch, IngestError>>(0);
    let (applied_sender, applied) = sync_channel::<Applied>(0);
    let first = lake.next();
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || cut(&mut cutter, &raw_sender));
        let keeping = scope.spawn(move || {
            // Whatever ends the lake, a panic too, ends the reading: records that cannot be kept are not read.
            let mut failed = RequestOnDrop { stop, armed: true };
            let kept = keep(lake, &applied, runtime, view);
            failed.armed = kept.is_err();
            kept
        });
        let applying = std::panic::AssertUnwindSafe(|| {
            apply_all(settings, &mut engine, &raw, &applied_sender, first)
        });
        let read = std::panic::catch_unwind(applying)
            .unwrap_or_else(|panic| Err(panicked("engine", &*panic)));
        if read.is_err() {
            stop.request();
        }
        // Dropping both ends lets the other threads finish whatever the reason for ending was.
        drop(applied_sender);
        drop(raw);
        let kept = keeping.join().map_err(|panic| panicked("lake", &*panic));
        reading
            .join()
            .map_err(|panic| panicked("reading", &*panic))?;
        let kept = kept??;
        read?;
        Ok(kept)
    })
}

/// Requests a stop when it goes out of scope armed.
struct RequestOnDrop<'a> {
    stop: &'a Stop,
    armed: bool,
}

impl Drop for RequestOnDrop<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.stop.request();
        }
    }
}

/// The reading thread: epochs until the last.
fn cut(cutter: &mut Cutter, sender: &SyncSender<Result<RawEpoch, IngestError>>) {
    loop {
        let epoch = cutter.cut();
        let last = epoch.as_ref().map_or(true, |epoch| epoch.last);
        if sender.send(epoch).is_err() || last {
            return;
        }
    }
}

/// This thread: decodes and applies epochs in order. Ends early without an error when the lake has failed; the lake's
/// own error says why.
fn apply_all(
    settings: &Settings,
    engine: &mut Engine,
    raw: &Receiver<Result<RawEpoch, IngestError>>,
    sender: &SyncSender<Applied>,
    (first_epoch, first_snapshot): (i64, bool),
) -> Result<(), PipelineError> {
    let mut epoch = first_epoch;
    let mut since_snapshot = 0;
    let mut snapshot = first_snapshot;
    let mut silent = (Vec::new(), Micros::MIN);
    while let Ok(cut) = raw.recv() {
        let cut = cut?;
        // Nothing came, and the lanes that are silent have been so for less than a minute since the last epoch that
        // said so: nothing can have changed that anybody waits for.
        let known = cut.idle.is_empty()
            || (cut.idle == silent.0 && cut.now.since(silent.1) < Micros::MINUTE);
        let empty = cut.records.is_empty() && cut.ranges.is_empty() && known && !cut.sealed;
        if !empty {
            silent = (cut.idle.clone(), cut.now);
        }
        let last = cut.last;
        if !empty {
            let applied = apply(settings, engine, cut, epoch, snapshot);
            if sender.send(applied).is_err() {
                return Ok(());
            }
            epoch += 1;
            since_snapshot = if snapshot { 1 } else { since_snapshot + 1 };
            snapshot = since_snapshot >= settings.snapshot_epochs;
        }
        if last {
            return Ok(());
        }
    }
    Ok(())
}

fn apply(
    settings: &Settings,
    engine: &mut Engine,
    cut: RawEpoch,
    epoch: i64,
    snapshot: bool,
) -> Applied {
    let context = EpochContext {
        epoch,
        now: cut.now,
        lanes: cut.lanes.clone(),
        idle: cut.idle.clone(),
        seal: cut.sealed,
    };
    let evidence = overlap::apply(settings, engine, &cut.records, &context);
    let inputs = inputs(&cut, &evidence);
    Applied {
        evidence,
        context,
        inputs,
        state: engine.state(snapshot),
        snapshot,
    }
}

/// The ranges of the epoch with what their elements came to.
fn inputs(cut: &RawEpoch, evidence: &EvidenceEpoch) -> Vec<InputRange> {
    let counts: &BTreeMap<(Arc<str>, i32), PartitionCounts> = &evidence.counts.partitions;
    cut.ranges
        .iter()
        .map(|((topic, partition), range)| {
            let counts = counts
                .get(&(topic.clone(), *partition))
                .cloned()
                .unwrap_or_default();
            let span = u64::try_from(range.to - range.from).unwrap_or(0);
            InputRange {
                cluster: cut.cluster.clone(),
                topic: topic.to_string(),
                partition: *partition,
                from: range.from,
                to: range.to,
                bytes: range.bytes,
                skipped: span.saturating_sub(range.records),
                counts,
            }
        })
        .collect()
}

/// The lake's thread: stages and commits epochs in order, and shows each to readers once it is true.
fn keep(
    mut lake: Lake,
    applied: &Receiver<Applied>,
    runtime: &tokio::runtime::Runtime,
    view: &View,
) -> Result<Outcome, PipelineError> {
    let mut outcome = Outcome::default();
    while let Ok(next) = applied.recv() {
        let started = Instant::now();
        let mut evidence = next.evidence;
        let news = std::mem::take(&mut evidence.news);
        let state = (next.state.as_slice(), next.snapshot);
        let pending = lake.stage(evidence, &next.context, next.inputs, state)?;
        let manifest = runtime.block_on(lake.commit(pending))?;
        tell(&manifest, &news, started.elapsed(), &mut outcome);
        view.publish(&manifest, news);
    }
    Ok(outcome)
}

fn tell(manifest: &Manifest, news: &[News], took: Duration, outcome: &mut Outcome) {
    let mut elements = 0;
    let mut bytes = 0;
    let mut records = 0;
    for input in &manifest.inputs {
        elements += input.counts.elements;
        records += input.counts.records;
        bytes += input.bytes;
    }
    outcome.epochs += 1;
    outcome.records += records;
    outcome.bytes += bytes;
    Event::Committed {
        epoch: manifest.epoch,
        records,
        elements,
        bytes,
        watermark: manifest.watermark_us.map(crate::model::Micros),
        took,
    }
    .tell();
    for news in news {
        Event::Finding {
            finding_uid: &news.finding_uid,
            detector: news.detector,
            severity: news.severity,
            identity_uid: &news.identity_uid,
            title: &news.title,
        }
        .tell();
    }
}

fn panicked(thread: &'static str, panic: &(dyn std::any::Any + Send)) -> PipelineError {
    let message = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "unknown".to_owned());
    PipelineError::Panicked { thread, message }
}
