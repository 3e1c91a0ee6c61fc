//! One epoch of decoded records → evidence rows. A function of its inputs: no clock, no I/O, no threads.
//!
//! Records are folded in the order in which they arrive, so that the rows do not depend on where epochs are cut.
//! An event gets its activity row at once, with the best attribution known at that moment. What depends on the order
//! of events (profiles, detectors, usage, first sightings) waits until the watermark has passed the event, and then
//! happens in the order (event time, event id), however late and however interleaved the events came.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod counts;
mod duplicates;
mod observe;
mod rows;
mod situations;
mod state;
mod watermark;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use crate::attribute::{self, Attributor};
use crate::correlate::{self, Profile, Sighting, UsageCounter};
use crate::detect::{self, Detector};
use crate::evidence::Table;
use crate::model::{
    AuditEvent, Decoded, DecodedRecord, Finding, Flags, Micros, Piece, Sha256Digest, Tracked, Uid,
    sha256,
};

pub use counts::{Counts, LaneCounts};
use duplicates::{Duplicates, Seen};
use observe::Known;
use rows::RowSet;
use situations::Situations;
pub use state::{Loaded, StateError};
use watermark::Watermark;

/// Everything that can change what the engine says. Its hash stands in every manifest.
#[derive(Clone, Debug)]
pub struct Params {
    pub attribute: attribute::Params,
    pub detect: detect::Params,
    /// How much later than its neighbours of the same lane an event may come and still be judged in order,
    /// in microseconds.
    pub lateness: i64,
    /// An event dated further ahead of the epoch's time than this is flagged and moves no watermark, in microseconds.
    pub future_max: i64,
    /// How many event ids are remembered to recognise duplicates. Beyond it the ids of the oldest events go first.
    pub duplicates_max: usize,
    /// How many events may wait for the watermark. Beyond it the earliest is judged before its time and counted.
    pub waiting_max: usize,
    /// How many identities have profiles. Beyond it the one unseen for longest is forgotten and counted.
    pub profiles_max: usize,
}

impl Params {
    /// Names these parameters in a manifest.
    pub fn sha256(&self) -> Sha256Digest {
        sha256(format!("{self:?}").as_bytes())
    }
}

/// What the engine must be told about an epoch besides its records: all of it stands in the manifest.
#[derive(Clone, Debug)]
pub struct EpochContext {
    /// Number of the epoch, from 1.
    pub epoch: i64,
    /// When the epoch was cut.
    pub now: Micros,
    /// Every lane that may bring records: the watermark waits for those that have not brought any.
    pub lanes: Vec<Arc<str>>,
    /// Lanes that are read to their end and silent: the watermark does not wait for them.
    pub idle: Vec<Arc<str>>,
    /// Whether no further input will come: everything that waits is settled now.
    pub seal: bool,
}

/// What an epoch came to.
#[derive(Debug)]
pub struct EvidenceEpoch {
    /// Rows by table, in the order of the registry; tables without rows are left out.
    pub batches: Vec<(&'static Table, RecordBatch)>,
    pub counts: Counts,
    pub watermark: Option<Micros>,
    /// Leaves of the Merkle tree after this epoch. The last one is the epoch's own row, which the ledger writes.
    pub tree_size: i64,
    /// Names the parameters that gave these rows.
    pub params_sha256: String,
    /// What readers of the live view want to know at once.
    pub news: Vec<News>,
}

/// A revision of a finding, reduced to what a person is told while the program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    pub finding_uid: Uid,
    pub detector: &'static str,
    pub severity: &'static str,
    pub identity_uid: Uid,
    pub title: String,
    pub summary: String,
    pub first_event_time: Micros,
    pub event_count: i64,
}

/// The engine and everything it remembers.
pub struct Engine {
    params: Params,
    params_sha256: String,
    attributor: Attributor,
    detectors: Vec<Box<dyn Detector>>,
    duplicates: Duplicates,
    watermark: Watermark,
    /// Events that the watermark has not passed, in the order in which they will be judged.
    waiting: Tracked<(Micros, Uid), Sighting>,
    profiles: Tracked<Uid, Profile>,
    profiles_evicted: u64,
    waiting_evicted: u64,
    usage: UsageCounter,
    identities: Tracked<Uid, Known>,
    credentials: Tracked<Uid, Known>,
    situations: Situations,
    tree_size: i64,
    rows: RowSet,
    counts: Counts,
    news: Vec<News>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("waiting", &self.waiting.len())
            .field("profiles", &self.profiles.len())
            .field("tree_size", &self.tree_size)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(params: Params) -> Self {
        let detectors = detect::detectors(&params.detect);
        Self {
            params_sha256: crate::model::hex(&params.sha256()),
            attributor: Attributor::new(params.attribute.clone()),
            duplicates: Duplicates::default(),
            watermark: Watermark::default(),
            waiting: Tracked::default(),
            profiles: Tracked::default(),
            profiles_evicted: 0,
            waiting_evicted: 0,
            usage: UsageCounter::default(),
            identities: Tracked::default(),
            credentials: Tracked::default(),
            situations: Situations::new(&detectors),
            detectors,
            tree_size: 0,
            rows: RowSet::default(),
            counts: Counts::default(),
            news: Vec::new(),
            params,
        }
    }

    /// Applies one epoch. The rows it gives are complete: nothing of this epoch is told later.
    pub fn apply(
        &mut self,
        records: &[DecodedRecord<'_>],
        context: &EpochContext,
    ) -> EvidenceEpoch {
        self.watermark.expect(&context.lanes);
        for record in records {
            self.record(record, context);
        }
        self.watermark
            .idle(&context.idle, context.now, self.params.lateness);
        if context.seal {
            self.watermark.seal();
        }
        self.advance(context.seal);
        self.finish(context)
    }

    /// Applies one message.
    fn record(&mut self, decoded: &DecodedRecord<'_>, context: &EpochContext) {
        let record = decoded.record;
        let lane = self.counts.lane(&record.position);
        lane.records += 1;
        lane.elements += decoded.pieces.len() as u64;
        // Elements keep their index in the message; they are applied in the order of their events.
        let mut order: Vec<usize> = (0..decoded.pieces.len()).collect();
        order.sort_by(|a, b| sort_key(&decoded.pieces[*a]).cmp(&sort_key(&decoded.pieces[*b])));
        let mut latest = None;
        for index in order {
            let piece = &decoded.pieces[index];
            let place = rows::Place {
                position: &record.position,
                index: i32::try_from(index).unwrap_or(i32::MAX),
                appended_at: record.appended_at,
            };
            match &piece.decoded {
                Decoded::Ignored(reason) => self.counts.ignored(&record.position, *reason),
                Decoded::Reject(reject) => {
                    self.counts.rejected(&record.position, reject.code);
                    self.rows.reject(&place, piece, reject, context.now);
                }
                Decoded::Event(event) => {
                    let normal = self.event(&place, piece, event, context);
                    latest = latest.max(normal);
                }
            }
        }
        if latest.is_none() {
            self.watermark.barren(&record.lane);
        }
        if let Some(latest) = latest {
            self.watermark
                .advance(&record.lane, latest, self.params.lateness);
            self.advance(false);
        }
    }

    /// Applies one event. Gives its time if it may move the watermark.
    fn event(
        &mut self,
        place: &rows::Place<'_>,
        piece: &Piece<'_>,
        event: &AuditEvent<'_>,
        context: &EpochContext,
    ) -> Option<Micros> {
        let renamed;
        let (event, mut flags) = match self.duplicates.see(
            event,
            piece.fingerprint,
            context.now,
            self.params.duplicates_max,
        ) {
            Seen::First => (event, event.flags),
            Seen::Copy => {
                self.counts.duplicate(place.position);
                return None;
            }
            Seen::Conflict => {
                renamed = with_own_id(event, piece);
                (&renamed, renamed.flags)
            }
        };
        self.counts.accepted(place.position);
        let arrived = place.appended_at.unwrap_or(context.now);
        let future = event.event_time > arrived.plus(self.params.future_max);
        if future {
            flags.raise(Flags::FUTURE);
        }
        let late = event.event_time < self.watermark.passed();
        if late {
            flags.raise(Flags::LATE);
            self.counts.late += 1;
        }
        let answer = self.attributor.attribute(event);
        let source = correlate::classify(
            event.network.source_raw.as_deref().unwrap_or_default(),
            event.network.vpc_endpoint.as_deref(),
        );
        self.rows.coverage(event, place.appended_at);
        if let Some(session) = &answer.session {
            self.rows.session(session);
        }
        let sighting = observe::sighting(event, &answer.attribution, &source, &mut self.attributor);
        self.rows.activity(
            place,
            piece,
            event,
            &answer.attribution,
            &source,
            &sighting,
            flags,
        );
        if late {
            self.observe(&sighting, false);
        } else if !future {
            // An event dated ahead of its arrival is a row and no more: it would teach the profiles a wrong time.
            let key = (sighting.event_time, sighting.event_uid.clone());
            self.waiting.insert(key, sighting);
        }
        for amendment in &answer.amendments {
            self.amend(amendment);
        }
        if self.waiting.len() > self.params.waiting_max
            && let Some((_, earliest)) = self.waiting.pop_first_if(|_| true)
        {
            self.waiting_evicted += 1;
            self.in_turn(&earliest);
        }
        (!future).then_some(event.event_time)
    }

    /// Writes an amendment and corrects the event if it still waits to be judged.
    fn amend(&mut self, amendment: &attribute::Amendment) {
        self.counts.amended += 1;
        let key = (amendment.event_time, amendment.event_uid.clone());
        self.rows.amendment(amendment);
        if let Some(sighting) = self.waiting.get_mut(&key) {
            sighting.identity_uid = amendment.identity_uid.clone();
            sighting.identity_kind = amendment.identity_kind;
            sighting.nhi_uid = amendment.nhi_uid.clone();
            sighting.actor_type = amendment.actor_type;
            sighting.chain = amendment.chain.clone();
            sighting.confidence = amendment.confidence;
        }
    }

    /// Settles and judges what the watermark has passed; everything, when the input has ended.
    fn advance(&mut self, all: bool) {
        let passed = if all {
            Micros::MAX
        } else {
            self.watermark.passed()
        };
        if passed == Micros::MIN {
            return;
        }
        for amendment in self.attributor.settle(passed, self.watermark.passed()) {
            self.amend(&amendment);
        }
        while let Some((_, sighting)) = self.waiting.pop_first_if(|(time, _)| *time < passed) {
            self.in_turn(&sighting);
        }
        // What time alone closes: situations without new events, days whose values need not be remembered.
        let passed = self.watermark.passed();
        for finding in self.situations.close_before(passed) {
            self.report(&finding);
        }
        self.usage
            .close_days_before(passed.plus(-Micros::DAY).day());
        if all {
            for finding in self.situations.flush() {
                self.report(&finding);
            }
        }
    }

    /// Judges one event whose turn has come. Situations that ended before it are closed first, so that when they end
    /// does not depend on the steps in which the watermark moves.
    fn in_turn(&mut self, sighting: &Sighting) {
        for finding in self.situations.close_before(sighting.event_time) {
            self.report(&finding);
        }
        self.observe(sighting, true);
    }

    /// Writes a revision and tells it to the live view.
    fn report(&mut self, finding: &Finding) {
        self.rows.finding(finding);
        self.news.push(News {
            finding_uid: finding.finding_uid.clone(),
            detector: finding.detector,
            severity: finding.severity.name(),
            identity_uid: finding.identity_uid.clone(),
            title: finding.title.clone(),
            summary: finding.summary.clone(),
            first_event_time: finding.first_event_time,
            event_count: finding.event_count,
        });
    }

    fn finish(&mut self, context: &EpochContext) -> EvidenceEpoch {
        for (key, usage) in self.usage.take_rows() {
            self.rows.usage(&key, &usage);
        }
        self.counts.evicted = self.attributor.evicted()
            + self.duplicates.evicted
            + self.profiles_evicted
            + self.waiting_evicted
            + self.situations.evicted;
        let counts = std::mem::take(&mut self.counts);
        counts.check();
        let batches = self.rows.finish(context.epoch, &mut self.tree_size);
        self.tree_size += 1;
        EvidenceEpoch {
            batches,
            counts,
            watermark: self.watermark.known(),
            tree_size: self.tree_size,
            params_sha256: self.params_sha256.clone(),
            news: std::mem::take(&mut self.news),
        }
    }

    /// How much the engine remembers, by kind, for metrics and benches.
    pub fn sizes(&self) -> BTreeMap<&'static str, usize> {
        let (sessions, pending) = self.attributor.sizes();
        BTreeMap::from([
            ("duplicates", self.duplicates.len()),
            ("identities", self.identities.len()),
            ("pending", pending),
            ("profiles", self.profiles.len()),
            ("sessions", sessions),
            ("situations", self.situations.len()),
            ("waiting", self.waiting.len()),
        ])
    }
}

/// The event under an id that no other event has: its own, and the start of its bytes' hash.
fn with_own_id<'a>(event: &AuditEvent<'a>, piece: &Piece<'_>) -> AuditEvent<'a> {
    let mut event = event.clone();
    let suffix = crate::model::hex(&piece.raw_sha256[..8]);
    event.event_uid = format!("{}~{suffix}", event.event_uid).into();
    event.flags.raise(Flags::ID_CONFLICT);
    event
}

/// Events by time and id, everything else before them in the order of the message.
fn sort_key<'a>(piece: &'a Piece<'_>) -> (Micros, &'a str) {
    match &piece.decoded {
        Decoded::Event(event) => (event.event_time, event.event_uid.as_ref()),
        _ => (Micros::MIN, ""),
    }
}
