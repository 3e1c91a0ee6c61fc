//! Rows of `activity` and `raw_events`: the two tables with a row for every event.
//!
//! They are most of what is written, and once the engine has decided they depend on nothing that it remembers. So they
//! are built from the records and the decisions alone, by whoever has time, while the engine goes on.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use super::EvidenceEpoch;
use crate::correlate::Source;
use crate::evidence::{
    Activity, ActivityRow, Ledger, RawEvents, RawEventsRow, Rows, Table, uid_texts,
};
use crate::model::{Attribution, AuditEvent, Decoded, DecodedRecord, Flags, Piece, Uid};

/// What the engine decided about one accepted event: with its record, all that its rows say.
#[derive(Debug)]
pub struct Decided {
    /// Which of the folded records, and which element of it.
    pub(super) record: usize,
    pub(super) piece: usize,
    /// The event's own id, where another record has the one it came with.
    pub(super) renamed: Option<String>,
    pub(super) attribution: Arc<Attribution>,
    pub(super) source: Source,
    /// The network that stands in the profile; none where the source says nothing about the caller.
    pub(super) network: Option<Uid>,
    pub(super) flags: Flags,
}

/// How many leaves of the ledger's tree an event has: its activity row, and its record right behind it.
pub(super) const LEAVES_PER_EVENT: i64 = 2;

/// The rows of one epoch's events in the making.
#[derive(Debug)]
pub struct EventRows {
    activity: Activity,
    raw_events: RawEvents,
    epoch: i64,
    /// Leaf of the activity row of the first event that is still here.
    first_leaf: i64,
    /// Events whose rows were taken.
    taken: usize,
    /// Texts of the row in the making, whose allocations are kept.
    ip: String,
    decoder: String,
}

impl EventRows {
    pub(super) fn new(epoch: i64, first_leaf: i64) -> Self {
        Self {
            activity: Activity::default(),
            raw_events: RawEvents::default(),
            epoch,
            first_leaf,
            taken: 0,
            ip: String::new(),
            decoder: String::new(),
        }
    }

    /// How many events have rows here.
    pub fn len(&self) -> usize {
        self.activity.len()
    }

    /// Whether no event has rows here.
    pub fn is_empty(&self) -> bool {
        self.activity.is_empty()
    }

    /// Adds the rows of what [`Engine::fold`](super::Engine::fold) decided about `records`.
    pub fn add(&mut self, records: &[DecodedRecord<'_>], decided: &[Decided]) {
        for decision in decided {
            let record = &records[decision.record];
            let piece = &record.pieces[decision.piece];
            if let Decoded::Event(event) = &piece.decoded {
                self.event(record, piece, event, decision);
            }
        }
    }

    /// The rows so far, leaving none behind: of `activity` and of `raw_events`. Nothing if there are none.
    pub fn take(&mut self) -> Vec<(&'static Table, RecordBatch)> {
        let events = self.len();
        if events == 0 {
            return Vec::new();
        }
        let mut ledger = Ledger {
            epoch: self.epoch,
            first_leaf: self.first_leaf,
            step: LEAVES_PER_EVENT,
        };
        let activity = (self.activity.table(), self.activity.finish(ledger));
        ledger.first_leaf += 1;
        let raw_events = (self.raw_events.table(), self.raw_events.finish(ledger));
        self.first_leaf += LEAVES_PER_EVENT * events as i64;
        self.taken += events;
        vec![activity, raw_events]
    }

    /// Makes sure that the rows which were taken are those of `evidence`.
    ///
    /// # Panics
    ///
    /// When they are not as many as the engine accepted: no row of such an epoch may be committed.
    pub fn check(&self, evidence: &EvidenceEpoch) {
        assert_eq!(
            (self.taken as u64, self.len()),
            (evidence.counts.total().accepted, 0),
            "every accepted event has one row in activity and one in raw_events"
        );
    }

    fn event(
        &mut self,
        record: &DecodedRecord<'_>,
        piece: &Piece<'_>,
        event: &AuditEvent<'_>,
        decided: &Decided,
    ) {
        let by = &decided.attribution;
        let source = &decided.source;
        let position = &record.record.position;
        let index = i32::try_from(decided.piece).unwrap_or(i32::MAX);
        let event_uid = decided.renamed.as_deref().unwrap_or(&event.event_uid);
        self.ip.clear();
        if let Some(ip) = source.ip {
            write!(self.ip, "{ip}").expect("a text takes every text");
        }
        self.decoder.clear();
        if !piece.layers.is_empty() {
            self.decoder.push_str(piece.layers);
            self.decoder.push('>');
        }
        self.decoder.push_str(event.source.name());
        let network = &event.network;
        let user_agent = network.user_agent.as_deref();
        self.activity.push(&ActivityRow {
            event_time: event.event_time,
            event_uid,
            event_date: event.event_time.day(),
            provider: event.source.provider().name(),
            log_source: event.source.name(),
            tenant_uid: event.tenant_uid.as_deref(),
            region: event.region.as_deref(),
            service: &event.service,
            operation: &event.operation,
            read_only: event.read_only,
            outcome: event.outcome.name(),
            error_code: event.error_code.as_deref(),
            error_message: event.error_message.as_deref(),
            action_uid: &event.action_uid,
            identity_uid: &by.identity_uid,
            nhi_uid: by.nhi_uid.as_deref(),
            identity_kind: by.identity_kind.name(),
            actor_type: by.actor_type.name(),
            acting_uid: &by.acting_uid,
            credential_uid: by.credential_uid.as_deref(),
            credential_kind: by.credential_kind.map(|kind| kind.name()),
            session_uid: by.session_uid.as_deref(),
            workload_uid: by.workload_uid.as_deref(),
            origin_uid: &by.origin_uid,
            chain_depth: by.chain_depth(),
            chain: uid_texts(&by.chain),
            via: uid_texts(&by.via),
            attribution_method: by.method.name(),
            attribution_confidence: by.confidence.name(),
            attribution_status: by.status.name(),
            attribution_reasons: by.reasons.iter().map(AsRef::as_ref).collect(),
            claimed_origin: by.claimed_origin.as_deref(),
            on_behalf_of: by.on_behalf_of.as_deref(),
            invoked_by: by.invoked_by.as_deref(),
            source_ip: source.ip.map(|_| &*self.ip),
            source_raw: network.source_raw.as_deref(),
            source_kind: network.source_raw.as_ref().map(|_| source.kind.name()),
            source_network: decided.network.as_deref(),
            source_asn: source.place.asn.map(i64::from),
            source_country: source.place.country.as_deref(),
            source_range: source.place.range.as_deref(),
            user_agent,
            user_agent_family: user_agent.and_then(super::observe::user_agent_family),
            tls_version: network.tls_version.as_deref(),
            vpc_endpoint: network.vpc_endpoint.as_deref(),
            resource_uids: event.resources.iter().map(AsRef::as_ref).collect(),
            params_json: event.params_json,
            request_uid: event.request_uid.as_deref(),
            shared_event_uid: event.shared_event_uid.as_deref(),
            flags: decided.flags.names().collect(),
            class_uid: event.class_uid(),
            activity_id: event.activity_id(),
            src_topic: &position.topic,
            src_partition: position.partition,
            src_offset: position.offset,
            src_index: index,
            decoder: &self.decoder,
            raw_sha256: piece.raw_sha256,
        });
        self.raw_events.push(&RawEventsRow {
            event_uid,
            event_date: event.event_time.day(),
            src_topic: &position.topic,
            src_partition: position.partition,
            src_offset: position.offset,
            src_index: index,
            raw_sha256: piece.raw_sha256,
            raw_json: piece.text,
        });
    }
}
