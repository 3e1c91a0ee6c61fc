//! Evidence rows from what the engine decided: one function per table.

use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;

use super::observe::Known;
use crate::attribute::{Amendment, Session};
use crate::correlate::{Sighting, Source, Usage, UsageKey};
use crate::evidence::{
    Activity, ActivityRow, Amendments, AmendmentsRow, Coverage, CoverageRow, Credentials,
    CredentialsRow, FindingEvents, FindingEventsRow, Findings, FindingsRow, Identities,
    IdentitiesRow, Ledger, RawEvents, RawEventsRow, Rejects, RejectsRow, Rows, Sessions,
    SessionsRow, Table, UsageRow, Usages,
};
use crate::model::{
    Attribution, AuditEvent, Confidence, Finding, Flags, Micros, Piece, Position, Reject, Uid,
};

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
    activity: Activity,
    amendments: Amendments,
    coverage: Coverage,
    credentials: Credentials,
    finding_events: FindingEvents,
    findings: Findings,
    identities: Identities,
    raw_events: RawEvents,
    rejects: Rejects,
    sessions: Sessions,
    usage: Usages,
    covered: BTreeMap<CoverageKey, CoverageCount>,
}

impl RowSet {
    #[allow(
        clippy::too_many_arguments,
        reason = "an activity row says all of this"
    )]
    pub(super) fn activity(
        &mut self,
        place: &Place<'_>,
        piece: &Piece<'_>,
        event: &AuditEvent<'_>,
        by: &Attribution,
        source: &Source,
        sighting: &Sighting,
        flags: Flags,
    ) {
        let ip = source.ip.map(|ip| ip.to_string());
        let decoder = match piece.layers {
            "" => event.source.name().to_owned(),
            layers => format!("{layers}>{}", event.source.name()),
        };
        let network = &event.network;
        self.activity.push(&ActivityRow {
            event_time: event.event_time,
            event_uid: &event.event_uid,
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
            chain: texts(&by.chain),
            via: texts(&by.via),
            attribution_method: by.method.name(),
            attribution_confidence: by.confidence.name(),
            attribution_status: by.status.name(),
            attribution_reasons: by.reasons.clone(),
            claimed_origin: by.claimed_origin.as_deref(),
            on_behalf_of: by.on_behalf_of.as_deref(),
            invoked_by: by.invoked_by.as_deref(),
            source_ip: ip.as_deref(),
            source_raw: network.source_raw.as_deref(),
            source_kind: network.source_raw.as_ref().map(|_| source.kind.name()),
            source_network: sighting.network.as_deref(),
            source_asn: None,
            source_country: None,
            user_agent: network.user_agent.as_deref(),
            user_agent_family: sighting.user_agent_family.as_deref(),
            tls_version: network.tls_version.as_deref(),
            vpc_endpoint: network.vpc_endpoint.as_deref(),
            resource_uids: event.resources.iter().map(AsRef::as_ref).collect(),
            params_json: event.params_json,
            request_uid: event.request_uid.as_deref(),
            shared_event_uid: event.shared_event_uid.as_deref(),
            flags: flags.names().collect(),
            class_uid: event.class_uid(),
            activity_id: event.activity_id(),
            src_topic: &place.position.topic,
            src_partition: place.position.partition,
            src_offset: place.position.offset,
            src_index: place.index,
            decoder: &decoder,
            raw_sha256: piece.raw_sha256,
        });
        self.raw_events.push(&RawEventsRow {
            event_uid: &event.event_uid,
            event_date: event.event_time.day(),
            src_topic: &place.position.topic,
            src_partition: place.position.partition,
            src_offset: place.position.offset,
            src_index: place.index,
            raw_sha256: piece.raw_sha256,
            raw_json: piece.text,
        });
    }

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
            raw: piece.text,
            event_date: place.appended_at.unwrap_or(now).day(),
        });
    }

    pub(super) fn coverage(&mut self, event: &AuditEvent<'_>, appended_at: Option<Micros>) {
        let at = event.event_time;
        let key = (
            at.hour(),
            event.source.name(),
            event.tenant_uid.as_deref().map(Uid::from),
            event.region.as_deref().map(Uid::from),
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
        let depth = by.map_or(0, |by| by.chain.len());
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
        });
    }

    pub(super) fn amendment(&mut self, amendment: &Amendment) {
        self.amendments.push(&AmendmentsRow {
            event_uid: &amendment.event_uid,
            event_date: amendment.event_time.day(),
            revision: amendment.revision,
            identity_uid: &amendment.identity_uid,
            nhi_uid: amendment.nhi_uid.as_deref(),
            identity_kind: amendment.identity_kind.name(),
            actor_type: amendment.actor_type.name(),
            acting_uid: &amendment.acting_uid,
            origin_uid: &amendment.origin_uid,
            session_uid: amendment.session_uid.as_deref(),
            chain: texts(&amendment.chain),
            chain_depth: i32::try_from(amendment.chain.len().saturating_sub(1)).unwrap_or(i32::MAX),
            attribution_method: amendment.method.name(),
            attribution_confidence: amendment.confidence.name(),
            attribution_status: amendment.status.name(),
            attribution_reasons: texts(&amendment.reasons),
            cause_event_uid: amendment.cause_event_uid.as_deref(),
        });
    }

    /// A version of the identity at `place` of the sighting's chain.
    pub(super) fn identity(
        &mut self,
        identity: &Uid,
        known: &Known,
        sighting: &Sighting,
        place: usize,
    ) {
        let last = sighting.chain.len().saturating_sub(1);
        let kind = if place == last {
            sighting.acting_kind.name()
        } else if *identity == sighting.identity_uid {
            sighting.identity_kind.name()
        } else {
            kind_of_uid(identity)
        };
        self.identities.push(&IdentitiesRow {
            identity_uid: identity,
            version: known.version,
            valid_from: sighting.event_time,
            kind,
            provider: provider_of_uid(identity, sighting),
            tenant_uid: sighting.tenant_uid.as_deref(),
            native_uid: native_part(identity),
            arn_or_app_id: known.native.as_deref(),
            display_name: known.name.as_deref(),
            status: "active",
            created_time: None,
            created_by_uid: None,
            owner: None,
            backup_owner: None,
            purpose: None,
            criticality: None,
            environment: None,
            vendor: None,
            contract_scope: None,
            expires_time: None,
            review_days: None,
            risk_tier: None,
            privilege_tier: None,
            privilege_reason: None,
            source: "observed",
            change_event_uid: Some(&sighting.event_uid),
        });
    }

    pub(super) fn credential(&mut self, credential: &Uid, identity: &Uid, sighting: &Sighting) {
        let hint_from = credential.len().saturating_sub(4);
        self.credentials.push(&CredentialsRow {
            credential_uid: credential,
            identity_uid: identity,
            kind: sighting
                .credential_kind
                .map_or("unknown", |kind| kind.name()),
            key_hint: credential.get(hint_from..),
            created_time: None,
            expires_time: None,
            disabled_time: None,
            deleted_time: None,
            rotated_from: None,
            status: "active",
            version: 1,
            valid_from: sighting.event_time,
            change_event_uid: Some(&sighting.event_uid),
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

    pub(super) fn finding(&mut self, finding: &Finding) {
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
            attacks: finding.attacks.to_vec(),
            sql: &sql,
            class_uid: 2004,
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
            };
            batches.push((rows.table(), rows.finish(ledger)));
            *tree_size += count;
        }
        batches
    }

    /// The builders in the order of `evidence::TABLES`, but for `epochs`, whose row only the ledger can write.
    fn tables(&mut self) -> [&mut dyn Rows; 11] {
        [
            &mut self.activity,
            &mut self.amendments,
            &mut self.coverage,
            &mut self.credentials,
            &mut self.finding_events,
            &mut self.findings,
            &mut self.identities,
            &mut self.raw_events,
            &mut self.rejects,
            &mut self.sessions,
            &mut self.usage,
        ]
    }

    fn flush_coverage(&mut self) {
        for ((hour, source, tenant, region), count) in std::mem::take(&mut self.covered) {
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

fn texts(uids: &[Uid]) -> Vec<&str> {
    uids.iter().map(AsRef::as_ref).collect()
}

/// The provider's own id: what stands after `aws:role:`, `entra:sp:` or `oidc:`.
fn native_part(uid: &str) -> &str {
    let schemes = if uid.starts_with("aws:") || uid.starts_with("entra:") {
        3
    } else {
        2
    };
    uid.splitn(schemes, ':').last().unwrap_or(uid)
}

fn provider_of_uid(uid: &str, sighting: &Sighting) -> &'static str {
    if uid.starts_with("aws:") {
        "aws"
    } else if uid.starts_with("entra:") {
        "entra"
    } else {
        sighting.provider.name()
    }
}

/// The kind that an id's own form states, for identities in the middle of a chain.
fn kind_of_uid(uid: &str) -> &'static str {
    use crate::model::IdentityKind as Kind;
    let kinds = [
        ("aws:role", Kind::IamRole),
        ("aws:user", Kind::IamUser),
        ("aws:root", Kind::AccountRoot),
        ("aws:fed", Kind::FederatedSession),
        ("aws:svc", Kind::AwsService),
        ("entra:sp", Kind::ServicePrincipal),
        ("entra:user", Kind::EntraUser),
        ("oidc:", Kind::OidcWorkload),
        ("saml:", Kind::SamlSubject),
    ];
    kinds
        .into_iter()
        .find(|(prefix, _)| uid.starts_with(prefix))
        .map_or(Kind::Unknown, |(_, kind)| kind)
        .name()
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
