//! Reports: a question of `queries/` as a document that can be handed on, with everything that somebody needs who doubts it.
//!
//! A report names the epoch of the lake that it was made from, and the lake of an epoch never changes: whoever has the lake can
//! make the same report again, and [`compare`] does. Without the lake it can only be seen whether a file agrees with itself.

mod check;
mod document;
mod render;

use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use crate::model::{hex, sha256};
use crate::query::{
    QueryError, Question, Session, bind, formatted, harmless, question, views_sha256,
};

pub use check::{Checked, Unread, compare, read};
pub use document::{Changes, Document, Logs, Provenance};
pub use render::{Form, render, sidecar};

/// A report.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    pub name: &'static str,
    pub title: &'static str,
    /// The question of `queries/` whose answer it is.
    question: &'static str,
    /// The columns that name what a row is about: rows of two reports are compared by them.
    key: &'static [&'static str],
    /// The column whose values are counted at the top.
    tally: &'static str,
    /// Who reads it, and what for.
    pub purpose: &'static str,
}

impl Definition {
    /// The question whose answer it is.
    pub(crate) fn question(&self) -> Result<Question, QueryError> {
        question(self.question)
    }
}

/// Every report, alphabetically.
pub const REPORTS: [Definition; 7] = [
    Definition {
        name: "access-review",
        title: "Access review of machine identities",
        question: "access-review",
        key: &["identity_uid"],
        tally: "recommendation",
        purpose: "for whoever answers for an identity: should it keep what it may do?",
    },
    Definition {
        name: "coverage",
        title: "Gaps of the logs",
        question: "coverage-gaps",
        key: &["log_source", "tenant_uid", "silent_from"],
        tally: "log_source",
        purpose: "for auditors: when could nothing have been seen?",
    },
    Definition {
        name: "dormancy",
        title: "Machine identities that sleep",
        question: "dormancy",
        key: &["identity_uid"],
        tally: "dormancy_class",
        purpose: "for identity teams, every week: what can be switched off?",
    },
    Definition {
        name: "lifecycle",
        title: "Changes of machine identities",
        question: "lifecycle",
        key: &[
            "event_uid",
            "action",
            "target_identity_uid",
            "target_credential_uid",
            "detail_json",
        ],
        tally: "action",
        purpose: "for auditors: who created, granted, rotated and removed what?",
    },
    Definition {
        name: "rotation",
        title: "Rotation of long-lived credentials",
        question: "rotation",
        key: &["credential_uid"],
        tally: "standing",
        purpose: "for identity teams and auditors: which keys are older than the policy allows?",
    },
    Definition {
        name: "third-party",
        title: "Identities of third parties",
        question: "third-parties",
        key: &["identity_uid"],
        tally: "vendor",
        purpose: "for supplier reviews: who outside has access, and does it fit the contract?",
    },
    Definition {
        name: "unattributed",
        title: "Actions without an author",
        question: "unattributed",
        key: &[
            "provider",
            "log_source",
            "attribution_status",
            "attribution_confidence",
            "actor_type",
            "attribution_reasons",
        ],
        tally: "attribution_status",
        purpose: "for auditors: of what is it not known who did it, and why?",
    },
];

/// The report called `name`.
pub fn report(name: &str) -> Option<Definition> {
    REPORTS.into_iter().find(|report| report.name == name)
}

/// Makes a report of the lake as `session` sees it, by `author` at `now`; `earlier` is the same lake at an earlier epoch, to
/// which it is compared.
///
/// # Errors
///
/// Parameters that the question does not take, and whatever the lake cannot answer.
pub async fn make(
    definition: &Definition,
    given: &BTreeMap<String, String>,
    session: &Session,
    earlier: Option<&Session>,
    (author, now): (&str, &str),
) -> Result<Document, QueryError> {
    let question = definition.question()?;
    let sql = bind(&question, given)?;
    let (columns, rows) = ask(session, &sql).await?;
    let changes = match earlier {
        Some(earlier) => Some(changes(definition, &sql, earlier, &columns, &rows).await?),
        None => None,
    };
    let provenance = Provenance {
        v: 1,
        report: definition.name.to_owned(),
        title: definition.title.to_owned(),
        question: question.asks.clone(),
        params: params(&question, given),
        controls: question.controls.clone(),
        caveats: question.caveats.clone(),
        ledger: ledger(session).await?,
        logs: logs(session).await?,
        rows: rows.len(),
        rows_sha256: rows_sha256(&columns, &rows),
        made_by: author.to_owned(),
        made_at: now.to_owned(),
        build: env!("CARGO_PKG_VERSION").to_owned(),
        views_sha256: views_sha256(),
        sql,
    };
    Ok(Document {
        tally: tally(definition, &columns, &rows),
        provenance,
        columns,
        rows,
        changes,
    })
}

/// Names what stands in the rows of a report.
pub(crate) fn rows_sha256(columns: &[String], rows: &[Vec<String>]) -> String {
    let bytes = serde_json::to_vec(&(columns, rows)).expect("texts always have a JSON form");
    hex(&sha256(&bytes))
}

/// Columns and rows of an answer, as text that steers no terminal and turns no line around.
pub(crate) async fn ask(
    session: &Session,
    sql: &str,
) -> Result<(Vec<String>, Vec<Vec<String>>), QueryError> {
    let (schema, batches) = session.sql(sql).await?;
    let columns = schema.fields().iter().map(|field| field.name().clone());
    let mut rows = formatted(&batches)?;
    for cell in rows.iter_mut().flatten() {
        *cell = harmless(cell);
    }
    Ok((columns.collect(), rows))
}

/// Every value that the question took, those that nobody gave too.
fn params(question: &Question, given: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let value = |name: &String, default: &Option<String>| {
        let value = given.get(name).or(default.as_ref());
        value.cloned().unwrap_or_default()
    };
    let params = question.params.iter();
    params
        .map(|param| (param.name.clone(), value(&param.name, &param.default)))
        .collect()
}

/// How often each value of the column stands in the rows, the most frequent first.
fn tally(definition: &Definition, columns: &[String], rows: &[Vec<String>]) -> Vec<(String, u64)> {
    let Some(place) = columns.iter().position(|name| name == definition.tally) else {
        return Vec::new();
    };
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for row in rows {
        *counts.entry(row[place].as_str()).or_default() += 1;
    }
    let named = |text: &str| if text.is_empty() { "not known" } else { text }.to_owned();
    let mut counts: Vec<(String, u64)> = counts
        .into_iter()
        .map(|(text, count)| (named(text), count))
        .collect();
    counts.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    counts
}

/// What came, went and moved since `earlier`.
async fn changes(
    definition: &Definition,
    sql: &str,
    earlier: &Session,
    columns: &[String],
    rows: &[Vec<String>],
) -> Result<Changes, QueryError> {
    let (columns_then, rows_then) = ask(earlier, sql).await?;
    let then = by_key(definition, &columns_then, &rows_then);
    let now = by_key(definition, columns, rows);
    let mut moved = Vec::new();
    for (key, value) in &now {
        if let Some(before) = then.get(key).filter(|before| *before != value) {
            moved.push((key.clone(), (*before).to_owned(), (*value).to_owned()));
        }
    }
    let missing = |from: &BTreeMap<String, &str>, of: &BTreeMap<String, &str>| -> Vec<String> {
        let keys = from.keys().filter(|key| !of.contains_key(*key));
        keys.cloned().collect()
    };
    Ok(Changes {
        since_epoch: earlier.epoch(),
        came: missing(&now, &then),
        went: missing(&then, &now),
        moved,
    })
}

/// What each row is about, with the value that is counted.
fn by_key<'r>(
    definition: &Definition,
    columns: &[String],
    rows: &'r [Vec<String>],
) -> BTreeMap<String, &'r str> {
    let place = |name: &str| columns.iter().position(|column| column == name);
    let keys: Vec<usize> = definition
        .key
        .iter()
        .filter_map(|name| place(name))
        .collect();
    let tally = place(definition.tally);
    let key = |row: &[String]| {
        let parts = keys.iter().map(|place| row[*place].as_str());
        parts.collect::<Vec<_>>().join(" ")
    };
    let value = |row: &'r [String]| tally.map_or("", |place| row[place].as_str());
    rows.iter().map(|row| (key(row), value(row))).collect()
}

/// Where in the ledger the lake stood.
async fn ledger(session: &Session) -> Result<BTreeMap<String, String>, QueryError> {
    let sql = format!(
        "SELECT epoch, prev_hash, tree_size, root_hash, watermark_time, committed_time FROM epochs WHERE epoch = {} \
         ORDER BY epoch",
        session.epoch()
    );
    let (columns, rows) = ask(session, &sql).await?;
    let row = rows.into_iter().next();
    let row = row.ok_or_else(|| QueryError::Question("the lake has no epoch yet".to_owned()))?;
    Ok(columns.into_iter().zip(row).collect())
}

/// What the logs told until then.
async fn logs(session: &Session) -> Result<Logs, QueryError> {
    let first = |rows: Vec<Vec<String>>| rows.into_iter().next().unwrap_or_default();
    let covered = "SELECT min(first_time), max(last_time), count(DISTINCT tenant_uid), coalesce(sum(events), 0) FROM coverage";
    let covered = first(ask(session, covered).await?.1);
    let text = |place: usize| covered.get(place).cloned().unwrap_or_default();
    Ok(Logs {
        since: text(0),
        until: text(1),
        tenants: text(2).parse().unwrap_or(0),
        events: text(3).parse().unwrap_or(0),
        rejects: count(
            session,
            "SELECT count(*) FROM rejects WHERE code <> 'source_gap'",
        )
        .await?,
        gaps: count(
            session,
            "SELECT count(*) FROM rejects WHERE code = 'source_gap'",
        )
        .await?,
    })
}

async fn count(session: &Session, sql: &str) -> Result<u64, QueryError> {
    let (_, batches) = session.sql(sql).await?;
    let value = batches.first().map_or(0, |batch| {
        batch.column(0).as_primitive::<Int64Type>().value(0)
    });
    Ok(u64::try_from(value).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_has_a_question_that_gives_what_it_needs() {
        for definition in REPORTS {
            let question = definition.question().unwrap();
            for column in definition.key.iter().chain([&definition.tally]) {
                assert!(
                    question.sql.contains(column),
                    "{} {column}",
                    definition.name
                );
            }
        }
        assert!(REPORTS.is_sorted_by(|one, next| one.name < next.name));
    }
}
