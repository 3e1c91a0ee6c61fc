//! One epoch of decoded records → evidence rows. A function of its inputs: no clock, no I/O, no threads.
//!
//! Records are folded in the order in which they arrive, so that the rows do not depend on where epochs are cut.
//! An event gets its activity row at once, with the best attribution known at that moment. What depends on the order
//! of events (profiles, detectors, usage, first sightings) waits until the watermark has passed the event, and then
//! happens in the order (event time, event id), however late and however interleaved the events came.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod amend;
mod counts;
mod duplicates;
mod epoch;
mod event_rows;
mod form_3;
mod form_4;
mod form_5;
mod identity_rows;
mod observe;
mod registry;
mod rows;
mod situations;
mod state;
mod stated_rows;
mod statements;
mod sweep;
mod watermark;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::attribute::{self, Attributor};
use crate::correlate::{
    self, KnownCredential, KnownIdentity, Links, Newcomers, Peers, Places, Profile, Sighting,
    SourceKind, UsageCounter,
};
use crate::detect::rules::Rules;
use crate::detect::{self, Detector, Snooze, Suppression};
use crate::model::{
    AuditEvent, Day, Decoded, DecodedRecord, Finding, Flags, Kept, Micros, Piece, Sha256Digest,
    SourceGap, Tracked, Uid, sha256,
};

pub use counts::{Counts, LaneCounts};
use duplicates::{Duplicates, Seen};
pub use epoch::{EpochContext, EvidenceEpoch, News};
use event_rows::LEAVES_PER_EVENT;
pub use event_rows::{Decided, EventRows};
use rows::RowSet;
use situations::Situations;
pub use state::{Loaded, State, StateError};
use statements::Inventory;
use sweep::Sweeps;
use watermark::Watermark;

/// Everything that can change what the engine says; its hash stands in every manifest.
#[derive(Clone, Debug)]
pub struct Params {
    pub attribute: attribute::Params,
    pub detect: detect::Params,
    /// Rules that users bring.
    pub rules: Option<Arc<dyn Rules>>,
    /// Where addresses are, by files that users bring.
    pub places: Option<Arc<dyn Places>>,
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

/// The engine and everything it remembers.
pub struct Engine {
    params: Params,
    params_sha256: String,
    attributor: Attributor,
    detectors: Vec<Box<dyn Detector>>,
    suppressions: Vec<Suppression>,
    /// The same by decisions about findings, by the day on which they end.
    snoozes: Tracked<(Day, Uid), Snooze>,
    /// What an inventory says, by the name that it has for an identity.
    inventory: Inventory,
    duplicates: Duplicates,
    watermark: Watermark,
    /// Events that the watermark has not passed, in the order in which they will be judged.
    /// Shared, so that moving one within the map or into a state delta moves a pointer.
    waiting: Tracked<(Micros, Uid), Arc<Sighting>>,
    profiles: Kept<Uid, Profile>,
    profiles_evicted: u64,
    waiting_evicted: u64,
    usage: UsageCounter,
    identities: Kept<Uid, KnownIdentity>,
    credentials: Kept<Uid, KnownCredential>,
    links: Links,
    situations: Situations,
    sweeps: Sweeps,
    newcomers: Newcomers,
    peers: Peers,
    /// An identity with fewer days or active hours than these is held against its peers by some detector.
    young: (i64, u64),
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
            profiles: Kept::default(),
            profiles_evicted: 0,
            waiting_evicted: 0,
            usage: UsageCounter::default(),
            identities: Kept::default(),
            credentials: Kept::default(),
            links: Links::default(),
            situations: Situations::new(&detectors, params.rules.clone()),
            newcomers: Newcomers::default(),
            peers: Peers::default(),
            young: params.detect.young(),
            sweeps: Sweeps::new(detect::sweeps(&params.detect)),
            detectors,
            suppressions: params.detect.suppress.clone(),
            snoozes: Tracked::default(),
            inventory: Inventory::default(),
            tree_size: 0,
            rows: RowSet::default(),
            counts: Counts::default(),
            news: Vec::new(),
            params,
        }
    }

    /// The parameters that it was made with.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Applies one epoch whose records are all at hand: [`Engine::begin`], [`Engine::fold`] and [`Engine::finish`] in
    /// one. The rows it gives are complete: nothing of this epoch is told later.
    pub fn apply(
        &mut self,
        records: &[DecodedRecord<'_>],
        context: &EpochContext,
    ) -> EvidenceEpoch {
        let mut rows = self.begin(context);
        let decided = self.fold(records, context);
        rows.add(records, &decided);
        let mut evidence = self.finish(context);
        let events = rows.take();
        rows.check(&evidence);
        evidence.batches.splice(0..0, events);
        evidence
    }

    /// Begins an epoch. What it returns is empty, and takes the rows of its events.
    pub fn begin(&mut self, context: &EpochContext) -> EventRows {
        // Without lanes nothing is read: what is known of them stays.
        if !context.lanes.is_empty() {
            self.watermark.expect(&context.lanes);
        }
        if self.peers.forgotten {
            self.gather_peers();
        }
        self.take_all(&context.statements);
        EventRows::new(context.epoch, self.tree_size)
    }

    /// Applies a part of the epoch's records, in their order. What it decided about their events is for
    /// [`EventRows::add`].
    pub fn fold(&mut self, records: &[DecodedRecord<'_>], context: &EpochContext) -> Vec<Decided> {
        let mut decided = Vec::new();
        for (index, record) in records.iter().enumerate() {
            self.record(index, record, context, &mut decided);
        }
        decided
    }

    /// Tells, in the epoch that is begun, of offsets that were never read.
    pub fn gap(&mut self, topic: &str, partition: i32, gap: &SourceGap, context: &EpochContext) {
        self.rows.gap(topic, partition, gap, context.now);
    }

    /// Ends the epoch: every row but those of [`EventRows`], which have the first leaves.
    pub fn finish(&mut self, context: &EpochContext) -> EvidenceEpoch {
        self.watermark
            .idle(&context.idle, context.now, self.params.lateness);
        if context.seal {
            self.watermark.seal();
        }
        self.advance(context.seal);
        for (key, usage) in self.usage.take_rows() {
            self.rows.usage(&key, &usage);
        }
        self.counts.evicted = self.attributor.evicted()
            + self.duplicates.evicted
            + self.profiles_evicted
            + self.waiting_evicted
            + self.links.evicted()
            + self.newcomers.evicted
            + self.peers.evicted
            + self.usage.evicted
            + self.situations.evicted;
        let counts = std::mem::take(&mut self.counts);
        counts.check();
        self.tree_size += LEAVES_PER_EVENT * counts.total().accepted as i64;
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

    /// Applies one message.
    fn record(
        &mut self,
        number: usize,
        decoded: &DecodedRecord<'_>,
        context: &EpochContext,
        decided: &mut Vec<Decided>,
    ) {
        let record = decoded.record;
        let mut counts = LaneCounts {
            records: 1,
            elements: decoded.pieces.len() as u64,
            ..LaneCounts::default()
        };
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
                Decoded::Ignored(reason) => {
                    counts.ignored += 1;
                    self.counts.ignored(*reason);
                }
                Decoded::Reject(reject) => {
                    counts.rejected += 1;
                    self.counts.rejected(reject.code);
                    self.rows.reject(&place, piece, reject, context.now);
                }
                Decoded::Event(event) => {
                    let Some(mut decision) = self.event(&place, piece, event, context) else {
                        counts.duplicate += 1;
                        continue;
                    };
                    counts.accepted += 1;
                    if !decision.flags.has(Flags::FUTURE) {
                        latest = latest.max(Some(event.event_time));
                    }
                    (decision.record, decision.piece) = (number, index);
                    decided.push(decision);
                }
            }
        }
        self.counts.message(&record.position, &counts);
        if latest.is_none() {
            self.watermark.barren(&record.lane);
        }
        if let Some(latest) = latest {
            self.watermark
                .advance(&record.lane, latest, self.params.lateness);
            self.advance(false);
        }
    }

    /// Applies one event. None for a copy of one that was seen.
    fn event(
        &mut self,
        place: &rows::Place<'_>,
        piece: &Piece<'_>,
        event: &AuditEvent<'_>,
        context: &EpochContext,
    ) -> Option<Decided> {
        let own;
        let mut renamed = None;
        let event = match self.duplicates.see(
            event,
            piece.fingerprint,
            context.now,
            self.params.duplicates_max,
        ) {
            Seen::First => event,
            Seen::Copy => return None,
            Seen::Conflict => {
                own = with_own_id(event, piece);
                renamed = Some(own.event_uid.clone().into_owned());
                &own
            }
        };
        let mut flags = event.flags;
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
        let mut source = correlate::classify(
            event.network.source_raw.as_deref().unwrap_or_default(),
            event.network.vpc_endpoint.as_deref(),
        );
        if let (Some(places), SourceKind::Public, Some(ip)) =
            (&self.params.places, source.kind, source.ip)
        {
            source.place = places.find(ip);
        }
        let by = answer.attribution;
        let sighting = observe::sighting(
            event,
            answer.event_uid,
            by.clone(),
            (answer.changes, answer.ties),
            (&source, &piece.hits),
            &mut self.attributor,
        );
        self.rows.coverage(event, &sighting, place.appended_at);
        let network = sighting.network.clone();
        if late {
            self.observe(&sighting, false);
        } else if !future {
            // An event dated ahead of its arrival is a row and no more: it would teach the profiles a wrong time.
            let key = (sighting.event_time, sighting.event_uid.clone());
            self.waiting.insert(key, Arc::new(sighting));
        }
        self.tell(answer.news);
        if let Some(user) = &answer.at_console {
            self.doubt(user, event.event_time);
        }
        self.add(event);
        if self.waiting.len() > self.params.waiting_max
            && let Some((_, earliest)) = self.waiting.pop_first_if(|_| true)
        {
            self.waiting_evicted += 1;
            self.in_turn(&earliest);
        }
        Some(Decided {
            record: 0,
            piece: 0,
            renamed,
            attribution: by,
            source,
            network,
            flags,
        })
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
        let news = self.attributor.settle(passed, self.watermark.passed());
        self.tell(news);
        while let Some((_, sighting)) = self.waiting.pop_first_if(|(time, _)| *time < passed) {
            self.in_turn(&sighting);
        }
        self.sweep_to(self.watermark.passed());
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
        self.sweep_to(sighting.event_time);
        self.observe(sighting, true);
    }

    /// Writes a revision and tells it to the live view.
    fn report(&mut self, finding: &Finding) {
        let suppressed = self.suppressed(finding);
        self.rows.finding(finding, suppressed.as_ref());
        self.news.push(News {
            suppressed: suppressed.is_some(),
            finding_uid: finding.finding_uid.clone(),
            status: finding.status,
            detector: finding.detector,
            severity: finding.severity.name(),
            identity_uid: finding.identity_uid.clone(),
            title: finding.title.clone(),
            summary: finding.summary.clone(),
            first_event_time: finding.first_event_time,
            event_count: finding.event_count,
        });
    }

    /// Until when nobody is to be told of `finding`, and by whose decision.
    fn suppressed(&self, finding: &Finding) -> Option<(Day, String)> {
        let mut own = self.suppressions.iter();
        if let Some(one) = own.find(|one| one.covers(finding)) {
            return Some((one.until, one.told()));
        }
        let mut snoozes = self.snoozes.iter().map(|(_, one)| one);
        snoozes
            .find(|one| one.covers(finding))
            .map(|one| (one.until, one.told()))
    }

    /// How much the engine remembers, by kind, for metrics and benches.
    pub fn sizes(&self) -> BTreeMap<&'static str, usize> {
        let (sessions, pending) = self.attributor.sizes();
        BTreeMap::from([
            ("credentials", self.credentials.len()),
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
