//! What somebody asks of a finding before all else: why it was told, what came next, what to do, what cannot be known.

use anyhow::Result;
use serde::Deserialize;

use super::contain::{Target, steps};
use super::{Section, literal, rows};
use crate::query::Session;

/// A finding as the sections below need it.
#[derive(Debug)]
pub(super) struct Finding {
    uid: String,
    identity: String,
    /// As SQL reads it.
    first_time: String,
    last_time: String,
    detector: String,
    why: Vec<Reason>,
    targets: Vec<Target>,
    services: Vec<String>,
}

/// One reason, as `why_json` spells it.
#[derive(Debug, Deserialize)]
struct Reason {
    dimension: String,
    observed: String,
    expected: String,
    window_days: i64,
    n: i64,
    bits: Option<i64>,
}

/// What the sections need of finding `uid`.
pub(super) async fn load(session: &Session, uid: &str) -> Result<Option<Finding>> {
    let quoted = literal(uid);
    let sql = format!(
        "SELECT identity_uid, CAST(first_event_time AS VARCHAR), CAST(last_event_time AS VARCHAR), why_json, detector \
         FROM finding WHERE finding_uid = {quoted}"
    );
    let Some(row) = rows(session, &sql).await?.into_iter().next() else {
        return Ok(None);
    };
    let [identity, first, last, why, detector] =
        <[Option<String>; 5]>::try_from(row).unwrap_or_default();
    Ok(Some(Finding {
        uid: uid.to_owned(),
        identity: identity.unwrap_or_default(),
        first_time: first.unwrap_or_default(),
        last_time: last.unwrap_or_default(),
        detector: detector.unwrap_or_default(),
        why: serde_json::from_str(&why.unwrap_or_default()).unwrap_or_default(),
        targets: targets(session, &quoted).await?,
        services: services(session, &quoted).await?,
    }))
}

/// The credentials of a finding's events, and before them those that began their sessions: who holds those could begin
/// another.
async fn targets(session: &Session, finding: &str) -> Result<Vec<Target>> {
    let named = events_of(finding);
    let sql = format!(
        "WITH used AS (SELECT a.credential_kind, a.credential_uid, a.workload_uid, a.acting_uid, a.session_uid \
           FROM {named} a \
         ), began AS (SELECT DISTINCT a.credential_kind, a.credential_uid, a.workload_uid, a.acting_uid FROM sessions s \
           JOIN events a ON a.event_uid = s.issue_event_uid \
           WHERE s.session_uid IN (SELECT session_uid FROM used) \
         ), both AS (SELECT 1 AS place, credential_kind, credential_uid, workload_uid, acting_uid FROM used \
           UNION ALL SELECT 0 AS place, credential_kind, credential_uid, workload_uid, acting_uid FROM began) \
         SELECT b.credential_kind, b.credential_uid, b.workload_uid, b.acting_uid, i.tenant_uid, i.display_name, \
         i.arn_or_app_id, min(b.place) AS place, count(*) AS events FROM both b \
         LEFT JOIN identity i ON i.identity_uid = b.acting_uid WHERE b.credential_kind IS NOT NULL \
         GROUP BY b.credential_kind, b.credential_uid, b.workload_uid, b.acting_uid, i.tenant_uid, i.display_name, \
         i.arn_or_app_id ORDER BY place, events DESC, b.credential_uid, b.acting_uid"
    );
    let told = rows(session, &sql).await?.into_iter().map(|mut row| {
        row.truncate(7);
        let [kind, credential, workload, acting, place, name, app] =
            <[Option<String>; 7]>::try_from(row).unwrap_or_default();
        Target {
            kind: kind.unwrap_or_default(),
            credential: credential.unwrap_or_default(),
            acting: acting.unwrap_or_default(),
            place,
            name,
            app,
            workload,
        }
    });
    Ok(told.collect())
}

/// Which services the finding's events called.
async fn services(session: &Session, finding: &str) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT DISTINCT service FROM {} ORDER BY service",
        events_of(finding)
    );
    let told = rows(session, &sql).await?.into_iter();
    Ok(told.filter_map(|mut row| row.pop().flatten()).collect())
}

impl Finding {
    /// Why it was told; stands before who it is about.
    pub(super) fn why(&self) -> Section {
        let told = self.why.iter().enumerate().map(|(place, why)| {
            let bits = why.bits.map_or("NULL".to_owned(), |bits| bits.to_string());
            format!(
                "({}, {}, {}, {}, {}, {}, CAST({bits} AS BIGINT))",
                place + 1,
                literal(&why.dimension),
                literal(&why.observed),
                literal(&why.expected),
                why.window_days,
                why.n
            )
        });
        let columns = "number, dimension, observed, expected, window_days, n, bits";
        let sql = values(told.collect(), columns);
        super::list("why", "Why it was told", sql, "number")
    }

    /// What the identity did in the day that began with it, what to do about it, and what the evidence cannot say.
    pub(super) fn sections(&self) -> [Section; 3] {
        [self.next(), self.contain(), self.unknown()]
    }

    fn next(&self) -> Section {
        let uid = literal(&self.identity);
        let first = time(&self.first_time);
        let of_identity = format!("(identity_uid = {uid} OR array_has(chain, {uid}))");
        let sql = format!(
            "SELECT min(e.event_time) AS first_time, e.service, e.operation, e.outcome, e.tenant_uid, \
             count(*) AS events, CASE WHEN min(known.before) IS NULL THEN 'never' ELSE 'yes' END AS done_before, \
             min(e.event_uid) AS example_event_uid FROM events e LEFT JOIN ( \
               SELECT service, operation, tenant_uid, min(event_time) AS before FROM events \
               WHERE {of_identity} AND event_time < {first} AND outcome <> 'failure' \
               GROUP BY service, operation, tenant_uid \
             ) known ON known.service = e.service AND known.operation = e.operation \
             AND known.tenant_uid = e.tenant_uid \
             WHERE {of_identity} AND e.event_time >= {first} AND e.event_time < {first} + INTERVAL '24 hours' \
             GROUP BY e.service, e.operation, e.outcome, e.tenant_uid"
        );
        let title = "What it did in the 24 hours from then on, the new first";
        super::list(
            "next",
            title,
            sql,
            "done_before, first_time, service, operation, outcome, tenant_uid",
        )
    }

    fn contain(&self) -> Section {
        let steps = steps(
            &self.targets,
            &self.detector,
            &self.identity,
            &self.services,
        );
        let told = steps.iter().enumerate().map(|(place, step)| {
            format!(
                "({}, {}, {}, {}, {})",
                place + 1,
                literal(step.place.as_deref().unwrap_or_default()),
                literal(step.what),
                literal(&step.how),
                literal(step.source)
            )
        });
        let sql = values(told.collect(), "number, tenant_uid, step, how, source");
        super::list("contain", "How to stop it", sql, "number")
    }

    /// Hours in which a log told of nothing, and events of which it is not sure whose they are.
    fn unknown(&self) -> Section {
        let named = events_of(&literal(&self.uid));
        let from = format!("{} - INTERVAL '24 hours'", time(&self.first_time));
        let until = format!("{} + INTERVAL '24 hours'", time(&self.last_time));
        let sql = format!(
            "WITH named AS (SELECT * FROM {named} \
             ), hours AS (SELECT DISTINCT c.log_source, c.tenant_uid, c.hour FROM coverage c \
               JOIN (SELECT DISTINCT log_source, tenant_uid FROM named) t \
               ON t.log_source = c.log_source AND t.tenant_uid = c.tenant_uid \
             ), followed AS (SELECT log_source, tenant_uid, hour, \
               lead(hour) OVER (PARTITION BY log_source, tenant_uid ORDER BY hour) AS next_hour FROM hours) \
             SELECT 'the log tells of nothing' AS what, log_source, tenant_uid, \
             hour + INTERVAL '1 hour' AS from_time, next_hour AS until_time, CAST(NULL AS BIGINT) AS events \
             FROM followed WHERE next_hour > hour + INTERVAL '1 hour' AND next_hour > {from} AND hour < {until} \
             UNION ALL SELECT 'the log begins' AS what, log_source, tenant_uid, CAST(NULL AS TIMESTAMP) AS from_time, \
             min(hour) AS until_time, CAST(NULL AS BIGINT) AS events FROM followed GROUP BY log_source, tenant_uid \
             HAVING min(hour) > {from} \
             UNION ALL SELECT 'the log ends' AS what, log_source, tenant_uid, hour + INTERVAL '1 hour' AS from_time, \
             CAST(NULL AS TIMESTAMP) AS until_time, CAST(NULL AS BIGINT) AS events FROM followed \
             WHERE next_hour IS NULL AND hour + INTERVAL '1 hour' < {until} \
             UNION ALL SELECT concat('whose they are is ', attribution_status) AS what, log_source, tenant_uid, \
             min(event_time) AS from_time, max(event_time) AS until_time, count(*) AS events FROM named \
             WHERE attribution_status <> 'final' GROUP BY attribution_status, log_source, tenant_uid \
             UNION ALL SELECT 'no network is told' AS what, log_source, tenant_uid, \
             min(event_time) AS from_time, max(event_time) AS until_time, count(*) AS events FROM named \
             WHERE source_network IS NULL GROUP BY log_source, tenant_uid"
        );
        let title = "What the evidence cannot say about the day before and after";
        super::list(
            "unknown",
            title,
            sql,
            "from_time, what, log_source, tenant_uid",
        )
    }
}

/// The events that a finding names, as a table of a query; `finding` is a literal.
fn events_of(finding: &str) -> String {
    format!(
        "(SELECT e.* FROM finding_events n JOIN events e ON e.event_uid = n.event_uid AND e.event_date = n.event_date \
         WHERE n.finding_uid = {finding})"
    )
}

/// A moment as SQL takes it.
fn time(text: &str) -> String {
    format!("CAST({} AS TIMESTAMP)", literal(text))
}

/// A table of its own; empty if there are no rows.
fn values(rows: Vec<String>, columns: &str) -> String {
    if rows.is_empty() {
        let nothing: Vec<String> = columns
            .split(", ")
            .map(|column| format!("CAST(NULL AS VARCHAR) AS {column}"))
            .collect();
        return format!("SELECT {} WHERE false", nothing.join(", "));
    }
    format!(
        "SELECT * FROM (VALUES {}) AS told ({columns})",
        rows.join(", ")
    )
}
