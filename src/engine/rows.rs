//! Evidence rows from what the engine decided: one function per table, but for the two with a row for every event.

use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;
use foldhash::quality::RandomState;
use hashbrown::HashMap;

use crate::attribute::{Amendment, Session};
use crate::correlate::{Dimension, KnownCredential, Link, Sighting, Usage, UsageKey, ValueStats};
use crate::evidence::{
    Amendments, AmendmentsRow, Approvals, Attestations, Coverage, CoverageRow, Credentials,
    CredentialsRow, FindingEvents, FindingEventsRow, Findings, FindingsRow, Identities, Ledger,
    LifecycleRow, Lifecycles, Links, LinksRow, Profiles, ProfilesRow, QueryAudits, Rejects,
    RejectsRow, Rows, Sessions, SessionsRow, Table, Triages, UsageRow, Usages, uid_texts as texts,
};
use crate::model::{
    AuditEvent, Change, Confidence, Day, Finding, Micros, Piece, Position, Reject, SourceGap, Uid,
    sha256,
};

/// A rejected record keeps at most this much of itself: enough to see what it is, too little to fill the lake.
const REJECT_BYTES_MAX: usize = 64 * 1024;

/// Where an element stood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) position: &'a Position,
    pub(super) index: i32,
    pub(super) appended_at: Option<Micros>,
}

/// One log source of one tenant and region in one hour.
type CoverageKey = (i64, &'static str, Option<Uid>, Option<Uid>);

#[derive(Debug)]
struct CoverageCount {
    events: i64,
    first: Micros,
    last: Micros,
    max_delay_ms: Option<i64>,
}

/// The rows of the epoch in the making.
#[derive(Debug, Default)]
pub(super) struct RowSet {
    amendments: Amendments,
    pub(super) approvals: Approvals,
    pub(super) attestations: Attestations,
    coverage: Coverage,
    credentials: Credentials,
    finding_events: FindingEvents,
    findings: Findings,
    pub(super) identities: Identities,
    lifecycle: Lifecycles,
    links: Links,
    profiles: Profiles,
    pub(super) query_audit: QueryAudits,
    rejects: Rejects,
    sessions: Sessions,
    pub(super) triage: Triages,
    usage: Usages,
    covered: HashMap<CoverageKey, CoverageCount, RandomState>,
}

impl RowSet {
    pub(super) fn reject(
        &mut self,
        place: &Place<'_>,
        piece: &Piece<'_>,
        reject: &Reject,
        now: Micros,
    ) {
        self.rejects.push(&RejectsRow {
            src_topic: &place.position.topic,
            src_partition: place.position.partition,
            src_offset: place.position.offset,
            src_index: place.index,
            stage: "decode",
            code: reject.code.code(),
            detail: &reject.detail,
            fingerprint: &reject.fingerprint,
            raw_sha256: piece.raw_sha256,
            raw: &piece.text[..piece.text.floor_char_boundary(REJECT_BYTES_MAX)],
            event_date: place.appended_at.unwrap_or(now).day(),
        });
    }

    /// A gap is no record, but it is refused evidence all the same: whoever asks what is missing finds it here.
    pub(super) fn gap(&mut self, topic: &str, partition: i32, gap: &SourceGap, now: Micros) {
        let detail = format!(
            "offsets {} to {} ({}) were never read: lost to {}; accepted because: {}",
            gap.from,
            gap.to - 1,
            gap.span(),
            gap.cause,
            gap.reason
        );
        self.rejects.push(&RejectsRow {
            src_topic: topic,
            src_partition: partition,
            src_offset: gap.from,
            src_index: 0,
            stage: "source",
            code: "source_gap",
            detail: &detail,
            fingerprint: "source_gap",
            raw_sha256: sha256(b""),
            raw: "",
            event_date: now.day(),
        });
    }

    pub(super) fn coverage(
        &mut self,
        event: &AuditEvent<'_>,
        sighting: &Sighting,
        appended_at: Option<Micros>,
    ) {
        let at = event.event_time;
        let key = (
            at.hour(),
            event.source.name(),
            sighting.tenant_uid.clone(),
            sighting.region.clone(),
        );
        let delay = appended_at.map(|appended| appended.since(at) / 1_000);
        self.covered
            .entry(key)
            .and_modify(|count| {
                count.events += 1;
                count.first = count.first.min(at);
                count.last = count.last.max(at);
                count.max_delay_ms = count.max_delay_ms.max(delay);
            })
            .or_insert(CoverageCount {
                events: 1,
                first: at,
                last: at,
                max_delay_ms: delay,
            });
    }

    pub(super) fn session(&mut self, session: &Session) {
        let by = session.issued_by.as_ref();
        let own = |chain: &[Uid]| usize::from(chain.last() != Some(&session.identity_uid));
        let depth = by.map_or(0, |by| by.chain.len() - 1 + own(&by.chain));
        self.sessions.push(&SessionsRow {
            session_uid: &session.session_uid,
            identity_uid: &session.identity_uid,
            issued_by_uid: by
                .map(|by| by.acting_uid.as_ref())
                .or(session.delivered_by.as_deref()),
            issued_by_session_uid: by.and_then(|by| by.session_uid.as_deref()),
            origin_uid: by.map_or(&session.identity_uid, |by| &by.origin_uid),
            workload_uid: session.workload_uid.as_deref(),
            chain_depth: i32::try_from(depth).unwrap_or(i32::MAX),
            method: session.method.name(),
            issued_time: session.issued_at,
            expires_time: session.expires_at,
            source_identity: session.source_identity.as_deref(),
            session_name: session.session_name.as_deref(),
            federation_issuer: session.federation_issuer.as_deref(),
            federation_subject: session.federation_subject.as_deref(),
            federation_audience: session.federation_audience.as_deref(),
            issue_event_uid: &session.issue_event_uid,
            confidence: by.map_or(Confidence::Exact, |by| by.confidence).name(),
            revision: session.revision,
        });
    }

    pub(super) fn amendment(&mut self, amendment: &Amendment) {
        let by = &amendment.word;
        self.amendments.push(&AmendmentsRow {
            event_uid: &amendment.event_uid,
            event_date: amendment.event_time.day(),
            revision: by.revision,
            identity_uid: &by.identity_uid,
            nhi_uid: by.nhi_uid.as_deref(),
            identity_kind: by.identity_kind.name(),
            actor_type: by.actor_type.name(),
            acting_uid: &by.acting_uid,
            credential_uid: by.credential_uid.as_deref(),
            credential_kind: by.credential_kind.map(|kind| kind.name()),
            origin_uid: &by.origin_uid,
            session_uid: by.session_uid.as_deref(),
            workload_uid: by.workload_uid.as_deref(),
            chain: texts(&by.chain),
            chain_depth: by.chain_depth(),
            on_behalf_of: by.on_behalf_of.as_deref(),
            attribution_method: by.method.name(),
            attribution_confidence: by.confidence.name(),
            attribution_status: by.status.name(),
            attribution_reasons: by.reasons.iter().map(AsRef::as_ref).collect(),
            cause_event_uid: amendment.cause_event_uid.as_deref(),
        });
    }

    /// A version of a credential.
    pub(super) fn credential(
        &mut self,
        credential: &Uid,
        known: &KnownCredential,
        sighting: &Sighting,
    ) {
        let hint_from = credential.len().saturating_sub(4);
        self.credentials.push(&CredentialsRow {
            credential_uid: credential,
            identity_uid: &known.identity,
            kind: known.kind.map_or("unknown", |kind| kind.name()),
            key_hint: credential.get(hint_from..),
            created_time: known.created_at,
            expires_time: known.expires_at,
            disabled_time: known.disabled_at,
            deleted_time: known.deleted_at,
            rotated_from: known.rotated_from.as_deref(),
            status: known.standing.name(),
            version: known.version,
            valid_from: sighting.event_time,
            change_event_uid: Some(&sighting.event_uid),
        });
    }

    pub(super) fn lifecycle(&mut self, sighting: &Sighting, change: &Change, target: Option<&Uid>) {
        let credential = change.credential.as_ref();
        self.lifecycle.push(&LifecycleRow {
            event_time: sighting.event_time,
            event_uid: &sighting.event_uid,
            action: change.action.name(),
            target_identity_uid: target.map(AsRef::as_ref),
            target_credential_uid: credential.map(|credential| credential.uid.as_str()),
            actor_identity_uid: &sighting.by.identity_uid,
            detail_json: &change.detail,
            approval_ref: None,
            controls: change.action.controls().to_vec(),
        });
    }

    pub(super) fn link(&mut self, link: &Link) {
        let reason = serde_json::json!({ "rule": &*link.rule, "evidence": &*link.evidence });
        self.links.push(&LinksRow {
            link_uid: &link.link_uid,
            from_uid: &link.from_uid,
            to_uid: &link.to_uid,
            kind: link.kind.name(),
            reason_json: &reason.to_string(),
            strength: link.strength.name(),
            first_event_uid: &link.first_event_uid,
            first_seen_time: link.first_seen_at,
            last_seen_time: link.last_seen_at,
            events: link.events,
        });
    }

    /// A value of the baseline of `identity` that changed on `day`.
    pub(super) fn baseline(
        &mut self,
        identity: &Uid,
        (dimension, value): (Dimension, &Uid),
        stats: &ValueStats,
        day: Day,
    ) {
        self.profiles.push(&ProfilesRow {
            identity_uid: identity,
            dimension: dimension.name(),
            value,
            as_of_date: day,
            first_seen_time: stats.first_seen_at,
            last_seen_time: stats.last_seen_at,
            days_seen: stats.days.into(),
            events: i64::try_from(stats.events).unwrap_or(i64::MAX),
        });
    }

    pub(super) fn usage(&mut self, key: &UsageKey, usage: &Usage) {
        let day = key.day.start();
        self.usage.push(&UsageRow {
            usage_date: key.day,
            identity_uid: &key.identity_uid,
            relation: key.relation.name(),
            credential_uid: key.credential_uid.as_deref(),
            successes: usage.successes,
            failures: usage.failures,
            reads: usage.reads,
            writes: usage.writes,
            first_time: usage.first_at.unwrap_or(day),
            last_time: usage.last_at.unwrap_or(day),
            last_success_time: usage.last_success_at,
            operations: usage.operations,
            source_networks: usage.source_networks,
            tenants: usage.tenants,
        });
    }

    /// `suppressed`: until when nobody is told, and who decided it, and why.
    pub(super) fn finding(&mut self, finding: &Finding, suppressed: Option<&(Day, String)>) {
        let why_json = serde_json::to_string(&finding.why)
            .expect("reasons are texts and integers, which always have a JSON form");
        let sql = claim_sql(finding);
        self.findings.push(&FindingsRow {
            finding_uid: &finding.finding_uid,
            revision: finding.revision,
            revision_time: finding.revision_time,
            detector: finding.detector,
            detector_version: finding.detector_version,
            status: finding.status.name(),
            severity: finding.severity.name(),
            confidence: finding.confidence.name(),
            identity_uid: &finding.identity_uid,
            related_uids: texts(&finding.related_uids),
            tenant_uid: finding.tenant_uid.as_deref(),
            title: &finding.title,
            summary: &finding.summary,
            why_json: &why_json,
            first_event_time: finding.first_event_time,
            last_event_time: finding.last_event_time,
            event_count: finding.event_count,
            controls: finding.controls.to_vec(),
            attacks: texts(&finding.attacks),
            sql: &sql,
            class_uid: 2004,
            suppression: suppressed.map(|(_, told)| told.as_str()),
            suppressed_until: suppressed.map(|(until, _)| *until),
            about: Some(&finding.about),
        });
        let shown = finding.events_before;
        for (place, event) in finding.events.iter().enumerate() {
            let place = i32::try_from(place).unwrap_or(i32::MAX);
            self.finding_events.push(&FindingEventsRow {
                finding_uid: &finding.finding_uid,
                revision: finding.revision,
                seq: shown.saturating_add(place),
                role: event.role.name(),
                event_uid: &event.event_uid,
                event_date: event.event_date,
            });
        }
    }

    /// Every table with rows as a batch, in the order of the registry; `tree_size` grows by their number.
    pub(super) fn finish(
        &mut self,
        epoch: i64,
        tree_size: &mut i64,
    ) -> Vec<(&'static Table, RecordBatch)> {
        self.flush_coverage();
        let mut batches = Vec::new();
        for rows in self.tables() {
            if rows.is_empty() {
                continue;
            }
            let count = rows.len() as i64;
            let ledger = Ledger {
                epoch,
                first_leaf: *tree_size,
                step: 1,
            };
            batches.push((rows.table(), rows.finish(ledger)));
            *tree_size += count;
        }
        batches
    }

    /// The builders in the order of `evidence::TABLES`, but for the two that [`EventRows`](super::EventRows) fills and for
    /// `epochs`, whose row only the ledger can write.
    fn tables(&mut self) -> [&mut dyn Rows; 16] {
        [
            &mut self.amendments,
            &mut self.approvals,
            &mut self.attestations,
            &mut self.coverage,
            &mut self.credentials,
            &mut self.finding_events,
            &mut self.findings,
            &mut self.identities,
            &mut self.lifecycle,
            &mut self.links,
            &mut self.profiles,
            &mut self.query_audit,
            &mut self.rejects,
            &mut self.sessions,
            &mut self.triage,
            &mut self.usage,
        ]
    }

    fn flush_coverage(&mut self) {
        let covered: BTreeMap<CoverageKey, CoverageCount> = self.covered.drain().collect();
        for ((hour, source, tenant, region), count) in covered {
            self.coverage.push(&CoverageRow {
                hour: Micros(hour * Micros::HOUR),
                log_source: source,
                tenant_uid: tenant.as_deref(),
                region: region.as_deref(),
                events: count.events,
                first_time: count.first,
                last_time: count.last,
                max_delay_ms: count.max_delay_ms,
            });
        }
    }
}

/// A query that returns the events a finding names, by joining the finding with them.
fn claim_sql(finding: &Finding) -> String {
    format!(
        "SELECT e.* FROM events e JOIN finding_events f ON f.event_uid = e.event_uid AND f.event_date = e.event_date \
         WHERE f.finding_uid = '{}' AND e.event_date BETWEEN DATE '{}' AND DATE '{}' ORDER BY e.event_time, e.event_uid",
        finding.finding_uid,
        finding.first_event_time.day(),
        finding.last_event_time.day(),
    )
}
