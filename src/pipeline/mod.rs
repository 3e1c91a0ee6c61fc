//! Source → decode → engine → lake, until the source ends or somebody asks to stop.
//!
//! The cutter reads the next epoch while this one is decoded and applied, and the lake writes what is left of the one
//! before and commits it. Each hands over at most one epoch, so a slow lake slows the reading. Within an epoch, `overlap`
//! keeps every core busy; where it could not, at its ends, the epoch after it has begun.

mod breaker;
mod overlap;
mod standby;
mod statements;
mod turns;
mod upkeep;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::decode;
use crate::engine::{self, Engine, EpochContext, EvidenceEpoch, News, StateError};
use crate::failpoint;
use crate::ingest::{Cutter, IngestError, Positions, RawEpoch, RecordSource, Stop};
use crate::lake::{
    Inbox, InputRange, Integrity, Lake, LakeError, Lease, Manifest, PartitionCounts, Staging,
    UpkeepParams,
};
use crate::live::View;
use crate::model::{Micros, hex};
use crate::telemetry::Event;
pub use breaker::RejectLimit;
use statements::{cut_one, trouble};
use turns::{Line, Turn};
use upkeep::Upkeep;

pub use upkeep::keep_up_once;

pub use standby::{Warm, stand_by};
pub use statements::take_statements;

/// How many epochs are worked on at once: while one is with the engine, the next is decoded.
const EPOCHS_AT_ONCE: usize = 2;

/// Why the pipeline stopped before its time.
#[derive(Debug, Error)]
pub enum PipelineError {
    #[error(transparent)]
    Ingest(#[from] IngestError),
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error("the lake's state cannot be restored: {0}")]
    State(#[from] StateError),
    #[error(
        "topic {topic}: {rejected} of {elements} elements of epoch {epoch} are rejects, more than rejects.stop_percent = {percent}. That epoch is committed and nothing after it. Is it the right topic, and has its form changed? `keytrail rejects top` groups them by reason. Take the topic out of kafka.topics, or mend what writes to it; to read on all the same, raise rejects.stop_percent (100 never stops)"
    )]
    Rejects {
        topic: String,
        epoch: i64,
        rejected: u64,
        elements: u64,
        percent: u64,
    },
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
            // The lake is sound; the source is not what it was, or not there.
            Self::Ingest(_) | Self::Rejects { .. } | Self::Runtime(_) => false,
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
    /// How the lake is signed.
    pub integrity: Integrity,
    /// A writer that says nothing for so long is thought dead by its standby.
    pub lease: Duration,
    pub decode: decode::Params,
    pub engine: engine::Params,
    /// What upkeep does between epochs; nothing unless given.
    pub upkeep: Option<UpkeepParams>,
    /// Whether the end of the input settles everything: files, or a run until the topics' end.
    pub finite: bool,
    /// Beyond which share of rejects to stop. None: whatever comes is read.
    pub rejects: Option<RejectLimit>,
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
    outcome: overlap::Outcome,
    context: EpochContext,
    inputs: Vec<InputRange>,
    snapshot: bool,
}

/// Runs until the source ends or `stop` is requested. `source` is handed the positions at which the ledger ends.
pub fn run(
    settings: &Settings,
    source: impl FnOnce(&Positions) -> Result<Box<dyn RecordSource>, IngestError>,
    view: &Arc<View>,
    stop: &Stop,
) -> Result<Outcome, PipelineError> {
    run_from(settings, None, source, view, stop)
}

/// The same, for a standby that has followed the ledger.
pub fn run_from(
    settings: &Settings,
    warm: Option<Warm>,
    source: impl FnOnce(&Positions) -> Result<Box<dyn RecordSource>, IngestError>,
    view: &Arc<View>,
    stop: &Stop,
) -> Result<Outcome, PipelineError> {
    let started = Instant::now();
    let runtime = runtime()?;
    // Held while the lake is opened, too: that may take long.
    let _lease = Lease::take(&settings.lake, settings.lease)?;
    let opened = Lake::open(
        &settings.lake,
        &settings.job,
        settings.snapshot_epochs,
        &settings.integrity,
    );
    let (lake, recovered) = runtime.block_on(opened)?;
    let mut warm = warm.unwrap_or_else(|| Warm::new(settings.engine.clone()));
    warm.follow(settings, recovered.epoch)?;
    let engine = warm.into_engine();
    failpoint::pass("recovery.state-read");
    if recovered.epoch > 0 {
        Event::Resumed {
            epoch: recovered.epoch,
            tables_moved: recovered.tables_moved,
        }
        .tell();
    }
    let inbox = Inbox::after(&settings.lake, recovered.statements)?;
    let cutter = Cutter::new(
        source(&recovered.positions)?,
        settings.epoch_age,
        settings.epoch_bytes,
        settings.finite,
        stop.clone(),
    );
    let mut outcome = drive(
        settings,
        (cutter, inbox),
        engine,
        lake,
        &runtime,
        view,
        stop,
    )?;
    outcome.took = started.elapsed();
    Ok(outcome)
}

fn runtime() -> Result<tokio::runtime::Runtime, PipelineError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(PipelineError::Runtime)
}

fn drive(
    settings: &Settings,
    (mut cutter, mut inbox): (Cutter, Inbox),
    mut engine: Engine,
    lake: Lake,
    runtime: &tokio::runtime::Runtime,
    view: &Arc<View>,
    stop: &Stop,
) -> Result<Outcome, PipelineError> {
    let (raw_sender, raw) = sync_channel::<Result<RawEpoch, PipelineError>>(0);
    let (applied_sender, applied) = sync_channel::<Applied>(0);
    let first = lake.next();
    let staging = lake.staging().clone();
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || cut(&mut cutter, &mut inbox, &raw_sender));
        let keeping = scope.spawn(move || {
            // Whatever ends the lake, a panic too, ends the reading: records that cannot be kept are not read.
            let mut failed = RequestOnDrop { stop, armed: true };
            let upkeep = Upkeep::new(settings.upkeep);
            let kept = keep(settings, lake, &applied, runtime, view, upkeep);
            failed.armed = kept.is_err();
            kept
        });
        let applying = std::panic::AssertUnwindSafe(|| {
            apply_all(
                settings,
                &mut engine,
                &raw,
                applied_sender,
                &staging,
                stop,
                first,
            )
        });
        let read = std::panic::catch_unwind(applying)
            .unwrap_or_else(|panic| Err(panicked("engine", &*panic)));
        if read.is_err() {
            stop.request();
        }
        // With both ends gone the other threads finish, whatever the reason for ending was.
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
fn cut(
    cutter: &mut Cutter,
    inbox: &mut Inbox,
    sender: &SyncSender<Result<RawEpoch, PipelineError>>,
) {
    loop {
        let epoch = cut_one(cutter, inbox);
        failpoint::pass("epoch.read");
        let last = epoch.as_ref().map_or(true, |epoch| epoch.last);
        if sender.send(epoch).is_err() || last {
            return;
        }
    }
}

/// This thread: has epochs decoded, applied and their events' rows staged, at most [`EPOCHS_AT_ONCE`] side by side. Ends
/// early without an error when the lake has failed; the lake's own error says why.
fn apply_all(
    settings: &Settings,
    engine: &mut Engine,
    raw: &Receiver<Result<RawEpoch, PipelineError>>,
    sender: SyncSender<Applied>,
    staging: &Staging,
    stop: &Stop,
    (first_epoch, first_snapshot): (i64, bool),
) -> Result<(), PipelineError> {
    let mut engine = Line::new(engine);
    let mut lake = Line::new(sender);
    let mut epoch = first_epoch;
    let mut since_snapshot = 0;
    let mut snapshot = first_snapshot;
    let mut silent = (Vec::new(), Micros::MIN);
    std::thread::scope(|scope| {
        let mut running = VecDeque::new();
        while let Ok(cut) = raw.recv() {
            let cut = cut?;
            let last = cut.last;
            if worth_an_epoch(&cut, &mut silent) {
                let turns = (engine.join(), lake.join());
                running.push_back(scope.spawn(move || {
                    let mut failed = RequestOnDrop { stop, armed: true };
                    let applied = apply(settings, turns, cut, staging, epoch, snapshot);
                    failed.armed = applied.is_err();
                    applied
                }));
                epoch += 1;
                since_snapshot = if snapshot { 1 } else { since_snapshot + 1 };
                snapshot = since_snapshot >= settings.snapshot_epochs;
            }
            let over = if last { 0 } else { EPOCHS_AT_ONCE - 1 };
            while running.len() > over
                && let Some(epoch) = running.pop_front()
            {
                epoch
                    .join()
                    .map_err(|panic| panicked("engine", &*panic))??;
            }
            if last {
                break;
            }
        }
        for epoch in running {
            epoch
                .join()
                .map_err(|panic| panicked("engine", &*panic))??;
        }
        Ok(())
    })
}

/// Whether anything can have changed that somebody waits for: nothing has, when nothing came, and the lanes that are
/// silent have been so for less than a minute since the last epoch that said so, which `silent` remembers.
fn worth_an_epoch(cut: &RawEpoch, silent: &mut (Vec<Arc<str>>, Micros)) -> bool {
    let known =
        cut.idle.is_empty() || (cut.idle == silent.0 && cut.now.since(silent.1) < Micros::MINUTE);
    let nothing = cut.records.is_empty() && cut.ranges.is_empty() && cut.statements.is_empty();
    let empty = nothing && known && !cut.sealed;
    if !empty {
        *silent = (cut.idle.clone(), cut.now);
    }
    !empty
}

/// One epoch from its records to the lake. Gives up quietly when one before it has failed.
fn apply(
    settings: &Settings,
    (engine, lake): (Turn<&mut Engine>, Turn<SyncSender<Applied>>),
    cut: RawEpoch,
    staging: &Staging,
    epoch: i64,
    snapshot: bool,
) -> Result<(), LakeError> {
    let context = EpochContext {
        epoch,
        now: cut.now,
        lanes: cut.lanes.clone(),
        idle: cut.idle.clone(),
        seal: cut.sealed,
        statements: cut.statements.clone(),
    };
    let outcome = overlap::apply(settings, engine, &cut, &context, snapshot, staging)?;
    let Some(outcome) = outcome else {
        return Ok(());
    };
    let applied = Applied {
        inputs: inputs(&cut, &outcome.evidence),
        outcome,
        context,
        snapshot,
    };
    // The records are not needed any more, and this may have to wait.
    drop(cut);
    if let Some((sender, pass)) = lake.wait()
        && sender.send(applied).is_ok()
    {
        pass.on(sender);
    }
    Ok(())
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
            InputRange {
                cluster: cut.cluster.clone(),
                topic: topic.to_string(),
                partition: *partition,
                from: range.from,
                to: range.to,
                bytes: range.bytes,
                skipped: range.skipped(),
                gaps: range.gaps.clone(),
                last_offset: range.last.map(|last| last.offset),
                last_record_sha256: range.last.map(|last| hex(&last.sha256)),
                counts,
            }
        })
        .collect()
}

/// The lake's thread: stages and commits epochs in order, and shows each to readers once it is true.
fn keep(
    settings: &Settings,
    mut lake: Lake,
    applied: &Receiver<Applied>,
    runtime: &tokio::runtime::Runtime,
    view: &View,
    mut upkeep: Upkeep,
) -> Result<Outcome, PipelineError> {
    let mut outcome = Outcome::default();
    while let Ok(next) = applied.recv() {
        let started = Instant::now();
        let overlap::Outcome {
            mut evidence,
            staged,
            state,
        } = next.outcome;
        let news = std::mem::take(&mut evidence.news);
        let state = (&state, next.snapshot);
        let pending = lake.stage(evidence, staged, &next.context, next.inputs, state)?;
        let manifest = runtime.block_on(lake.commit(pending))?;
        tell(&manifest, &news, started.elapsed(), &mut outcome);
        failpoint::pass("epoch.before-published");
        view.publish(&manifest, news);
        failpoint::pass("epoch.published");
        trouble(Inbox::done(&settings.lake, &manifest.statements));
        if let Some(limit) = settings.rejects {
            limit.check(&manifest)?;
        }
        upkeep.turn(&mut lake, runtime, next.context.now);
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
    for news in news.iter().filter(|news| !news.suppressed) {
        Event::Finding {
            finding_uid: &news.finding_uid,
            status: news.status.name(),
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
