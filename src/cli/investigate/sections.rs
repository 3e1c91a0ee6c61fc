//! The parts of an investigation: what each asks of tables and views.

use super::{Kind, Section, Subject, list, literal, upright};

/// The parts of the answer, in the order in which they are read.
pub(super) fn all(subject: &Subject) -> Vec<Section> {
    let all: Vec<String> = subject.identities.iter().map(|uid| literal(uid)).collect();
    let all = all.join(", ");
    let mut sections = vec![what(subject)];
    sections.extend(subject.finding.as_ref().map(|finding| finding.why()));
    sections.extend([who(&all), how_known(subject), hops(subject)]);
    sections.extend(
        subject
            .finding
            .iter()
            .flat_map(|finding| finding.sections()),
    );
    sections.extend(grown(subject));
    sections.extend(beside(subject, &all));
    sections.extend([findings(subject, &all), timeline(subject)]);
    sections
}

/// The condition under which a row of `events` belongs to the subject.
fn uses(subject: &Subject) -> String {
    let uid = literal(&subject.uid);
    match subject.kind {
        Kind::Event => format!("event_uid = {uid}"),
        Kind::Session => format!("session_uid = {uid}"),
        Kind::Credential => format!("credential_uid = {uid}"),
        Kind::Identity => format!("(identity_uid = {uid} OR array_has(chain, {uid}))"),
        Kind::Finding => {
            format!("event_uid IN (SELECT event_uid FROM finding_events WHERE finding_uid = {uid})")
        }
    }
}

/// The subject itself.
fn what(subject: &Subject) -> Section {
    let uid = literal(&subject.uid);
    let (title, sql) = match subject.kind {
        Kind::Event => (
            "The event",
            format!(
                "SELECT event_uid AS uid, event_time, provider, log_source, tenant_uid, region, service, operation, \
                 read_only, outcome, error_code, error_message, credential_uid, credential_kind, session_uid, \
                 workload_uid, source_raw, user_agent, array_to_string(resource_uids, ', ') AS resource_uids, \
                 params_json, request_uid, array_to_string(flags, ', ') AS flags, src_topic, src_partition, src_offset, \
                 src_index, _epoch AS epoch, _leaf AS leaf FROM events WHERE event_uid = {uid}"
            ),
        ),
        Kind::Session => (
            "The session",
            format!(
                "SELECT session_uid AS uid, identity_uid, issued_by_uid, issued_by_session_uid, origin_uid, workload_uid, \
                 chain_depth, method, issued_time, expires_time, session_name, source_identity, federation_issuer, \
                 federation_subject, federation_audience, issue_event_uid, confidence FROM sessions \
                 WHERE session_uid = {uid}"
            ),
        ),
        Kind::Credential => (
            "The credential",
            format!(
                "SELECT credential_uid AS uid, identity_uid, kind, key_hint, status, created_time, expires_time, \
                 disabled_time, deleted_time, rotated_from, version, change_event_uid FROM credential \
                 WHERE credential_uid = {uid}"
            ),
        ),
        Kind::Identity => (
            "The identity",
            format!(
                "SELECT identity_uid AS uid, first_time, last_time, last_success_time, successes, failures, days_used, \
                 days_idle, days_observed, dormancy_class FROM identity_usage WHERE identity_uid = {uid}"
            ),
        ),
        Kind::Finding => (
            "The finding",
            format!(
                "SELECT finding_uid AS uid, detector, detector_version, revision, severity, confidence, status, title, \
                 summary, first_event_time, last_event_time, event_count, tenant_uid, \
                 array_to_string(controls, ', ') AS controls, array_to_string(attacks, ', ') AS attacks, suppression, \
                 decision, decided_by, decided_time, decision_reason, sql FROM finding \
                 WHERE finding_uid = {uid}"
            ),
        ),
    };
    upright("what", title, sql, "uid")
}

/// The identities behind the subject.
fn who(all: &str) -> Section {
    let sql = format!(
        "SELECT identity_uid, kind, provider, tenant_uid, display_name, arn_or_app_id, status, created_time, \
         created_by_uid, owner, backup_owner, purpose, criticality, environment, vendor, expires_time, risk_tier, \
         privilege_tier, privilege_reason, source, change_event_uid FROM identity WHERE identity_uid IN ({all})"
    );
    upright("who", "Who it is", sql, "identity_uid")
}

/// By which steps its events are attributed, and how surely.
fn how_known(subject: &Subject) -> Section {
    let uses = uses(subject);
    let sql = format!(
        "SELECT identity_uid, identity_kind, actor_type, nhi_uid, acting_uid, chain, method, confidence, status, reasons, \
         claimed_origin, on_behalf_of, amended, count(*) AS events, min(event_time) AS first_time, \
         max(event_time) AS last_time FROM ( \
           SELECT identity_uid, identity_kind, actor_type, nhi_uid, acting_uid, array_to_string(chain, ' > ') AS chain, \
           attribution_method AS method, attribution_confidence AS confidence, attribution_status AS status, \
           array_to_string(attribution_reasons, ', ') AS reasons, claimed_origin, on_behalf_of, amended, event_time \
           FROM events WHERE {uses} \
         ) GROUP BY identity_uid, identity_kind, actor_type, nhi_uid, acting_uid, chain, method, confidence, status, \
         reasons, claimed_origin, on_behalf_of, amended"
    );
    let order = "events DESC, chain, method, reasons, claimed_origin, on_behalf_of, amended";
    match subject.kind {
        Kind::Event => upright("how_known", "How that is known", sql, order),
        _ => list("how_known", "How that is known", sql, order),
    }
}

/// Each hop from the origin to the acting identity, with what proves it.
fn hops(subject: &Subject) -> Section {
    let title = "Hop by hop, the origin first";
    let Some(session) = &subject.session else {
        let uid = literal(&subject.identities[0]);
        let sql = format!(
            "SELECT depth AS hops_up, node_uid AS from_uid, count(*) AS sessions, min(time) AS first_time, \
             max(time) AS last_time, min(via_session_uid) AS session_uid, min(issue_event_uid) AS example_event_uid \
             FROM lineage WHERE root_uid = {uid} AND direction = 'ancestor' GROUP BY depth, node_uid"
        );
        return list("hops", title, sql, "hops_up DESC, sessions DESC, from_uid");
    };
    let uid = literal(session);
    let sql = format!(
        "WITH RECURSIVE known AS ( \
           SELECT * FROM sessions \
           QUALIFY row_number() OVER (PARTITION BY session_uid ORDER BY issued_time, _leaf) = 1 \
         ), climbed AS ( \
           SELECT session_uid, CAST(1 AS BIGINT) AS depth FROM known WHERE session_uid = {uid} \
           UNION ALL \
           SELECT k.issued_by_session_uid AS session_uid, c.depth + 1 AS depth FROM climbed c \
           JOIN known k ON k.session_uid = c.session_uid \
           WHERE k.issued_by_session_uid IS NOT NULL AND c.depth < 16 \
         ), hops AS (SELECT session_uid, min(depth) AS depth FROM climbed GROUP BY session_uid) \
         SELECT h.depth AS hops_up, k.issued_by_uid AS from_uid, k.identity_uid AS to_uid, k.method, \
         k.confidence AS strength, e.credential_uid AS with_credential, k.session_uid, k.issued_time, \
         k.issue_event_uid, k.workload_uid, k.session_name, k.federation_issuer, k.federation_subject \
         FROM hops h JOIN known k ON k.session_uid = h.session_uid \
         LEFT JOIN activity e ON e.event_uid = k.issue_event_uid"
    );
    list(
        "hops",
        title,
        sql,
        "hops_up DESC, from_uid, issue_event_uid",
    )
}

/// What descends from the subject: sessions, and the identities that they became.
fn grown(subject: &Subject) -> [Section; 2] {
    let uid = literal(&subject.uid);
    let start = match subject.kind {
        Kind::Event => format!("issue_event_uid = {uid}"),
        Kind::Session => format!("issued_by_session_uid = {uid}"),
        Kind::Credential => format!(
            "issue_event_uid IN (SELECT event_uid FROM activity WHERE credential_uid = {uid})"
        ),
        Kind::Identity => format!("issued_by_uid = {uid}"),
        Kind::Finding => format!(
            "issue_event_uid IN (SELECT event_uid FROM finding_events WHERE finding_uid = {uid})"
        ),
    };
    let tree = format!(
        "WITH RECURSIVE known AS ( \
           SELECT * FROM sessions \
           QUALIFY row_number() OVER (PARTITION BY session_uid ORDER BY issued_time, _leaf) = 1 \
         ), tree AS ( \
           SELECT session_uid, CAST(1 AS BIGINT) AS depth FROM known WHERE {start} \
           UNION ALL \
           SELECT k.session_uid, t.depth + 1 AS depth FROM tree t \
           JOIN known k ON k.issued_by_session_uid = t.session_uid WHERE t.depth < 16 \
         ), grown AS (SELECT session_uid, min(depth) AS depth FROM tree GROUP BY session_uid)"
    );
    let sessions = format!(
        "{tree} SELECT g.depth, k.issued_time, k.session_uid, k.identity_uid, k.issued_by_uid, k.method, k.session_name, \
         k.expires_time, k.confidence AS strength, k.issue_event_uid \
         FROM grown g JOIN known k ON k.session_uid = g.session_uid"
    );
    let reached = format!(
        "{tree} SELECT k.identity_uid, i.display_name, i.kind, min(g.depth) AS depth, count(*) AS sessions, \
         min(k.issued_time) AS first_time, max(k.issued_time) AS last_time FROM grown g \
         JOIN known k ON k.session_uid = g.session_uid LEFT JOIN identity i ON i.identity_uid = k.identity_uid \
         GROUP BY k.identity_uid, i.display_name, i.kind"
    );
    [
        list(
            "sessions",
            "Sessions that grew out of it, the latest first",
            sessions,
            "issued_time DESC, session_uid",
        ),
        list(
            "identities",
            "Identities that those became",
            reached,
            "depth, sessions DESC, identity_uid",
        ),
    ]
}

/// What else is known of the identities behind the subject.
fn beside(subject: &Subject, all: &str) -> [Section; 4] {
    let uid = literal(&subject.uid);
    let first = literal(&subject.identities[0]);
    let reach = format!(
        "SELECT kind, count(*) AS reached, sum(events) AS events, min(first_time) AS first_time, \
         max(last_time) AS last_time FROM blast_radius WHERE identity_uid = {first} GROUP BY kind"
    );
    let credentials = format!(
        "SELECT c.credential_uid, c.identity_uid, c.kind, c.status, c.created_time, c.expires_time, u.first_time, \
         u.last_success_time, u.successes, u.failures FROM credential c LEFT JOIN ( \
           SELECT credential_uid, min(first_time) AS first_time, max(last_success_time) AS last_success_time, \
           sum(successes) AS successes, sum(failures) AS failures FROM usage \
           WHERE relation = 'acting' AND credential_uid IS NOT NULL GROUP BY credential_uid \
         ) u ON u.credential_uid = c.credential_uid WHERE c.identity_uid IN ({all})"
    );
    let lifecycle = format!(
        "SELECT event_time, action, target_identity_uid, target_credential_uid, actor_identity_uid, detail_json, \
         approval_ref, event_uid FROM lifecycle \
         WHERE target_identity_uid IN ({all}) OR target_credential_uid = {uid} OR event_uid = {uid} \
         OR target_credential_uid IN (SELECT credential_uid FROM credentials WHERE identity_uid IN ({all}))"
    );
    let links = format!(
        "SELECT kind, from_uid, to_uid, strength, reason_json, events, first_seen_time, last_seen_time, first_event_uid \
         FROM (SELECT * FROM links QUALIFY row_number() OVER (PARTITION BY link_uid ORDER BY _leaf DESC) = 1) \
         WHERE from_uid IN ({all}) OR to_uid IN ({all})"
    );
    [
        list("reach", "What it reached with success", reach, "kind"),
        list(
            "credentials",
            "Credentials that outlive a session",
            credentials,
            "status, credential_uid",
        ),
        list(
            "lifecycle",
            "How it came and changed, the latest first",
            lifecycle,
            "event_time DESC, event_uid, action, target_credential_uid",
        ),
        list(
            "links",
            "Ties to other identities and systems",
            links,
            "last_seen_time DESC, kind, from_uid, to_uid",
        ),
    ]
}

/// What detectors said about the identities behind the subject, or about it.
fn findings(subject: &Subject, all: &str) -> Section {
    let uid = literal(&subject.uid);
    let related: Vec<String> = subject
        .identities
        .iter()
        .chain([&subject.uid])
        .map(|uid| format!("array_has(related_uids, {})", literal(uid)))
        .collect();
    let findings = format!(
        "SELECT finding_uid, severity, detector, status, first_event_time, last_event_time, event_count, identity_uid, \
         title FROM finding WHERE finding_uid <> {uid} AND (identity_uid IN ({all}) OR {} \
         OR finding_uid IN (SELECT finding_uid FROM finding_events WHERE event_uid = {uid}))",
        related.join(" OR ")
    );
    list(
        "findings",
        "Findings about it",
        findings,
        "first_event_time DESC, finding_uid",
    )
}

/// The subject's own events.
fn timeline(subject: &Subject) -> Section {
    let uses = uses(subject);
    let sql = format!(
        "SELECT event_time, operation, service, outcome, tenant_uid, source_raw, credential_uid, \
         array_to_string(chain, ' > ') AS chain, event_uid, raw_sha256, _leaf AS leaf FROM events WHERE {uses}"
    );
    list(
        "events",
        "What was done, the latest first",
        sql,
        "event_time DESC, event_uid",
    )
}
