//! Reports: questions of `queries/` as a document that can be handed on, with everything that somebody needs who doubts it.
//!
//! A report names the epoch of the lake that it was made from, and the lake of an epoch never changes: whoever has the lake can
//! make the same report again, and [`compare`] does. Without the lake it can only be seen whether a file agrees with itself.

mod check;
mod definitions;
mod document;
mod render;

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use crate::model::{hex, sha256};
use crate::query::{QueryError, Question, Session, bind, formatted, harmless, views_sha256};

pub use check::{Checked, Unread, compare, read};
pub use definitions::{Definition, REPORTS, report};
pub use document::{Changes, Document, Logs, Part, Provenance};
pub use render::{Form, render, sidecar};

/// The value that says of which identities a question is asked, one a line.
const ABOUT: &str = "identity";

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
    if let Some(needed) = definition.needs.filter(|name| !given.contains_key(*name)) {
        let reason = format!("{} needs -p {needed}=VALUE", definition.name);
        return Err(QueryError::Question(reason));
    }
    let questions = definition.parts()?;
    let params = params(&questions, given);
    let mut given = given.clone();
    let mut parts: Vec<Part> = Vec::new();
    for (title, question) in questions {
        // What only later parts take is no mistake in the first; what none takes is.
        let own = |name: &str| question.params.iter().any(|param| param.name == name);
        let values = given
            .iter()
            .filter(|(name, _)| own(name) || !params.contains_key(*name));
        let sql = bind(
            &question,
            &values
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        )?;
        let (columns, rows) = answer(session, &sql).await?;
        if parts.is_empty() {
            given.insert(ABOUT.to_owned(), about(&columns, &rows));
        }
        parts.push(part(title, question, sql, (columns, rows)));
    }
    let changes = match earlier {
        Some(earlier) => Some(changes(definition, &parts[0], earlier).await?),
        None => None,
    };
    let provenance = Provenance {
        v: document::VERSION,
        report: definition.name.to_owned(),
        title: definition.title.to_owned(),
        params,
        ledger: ledger(session).await?,
        logs: logs(session).await?,
        made_by: author.to_owned(),
        made_at: now.to_owned(),
        build: env!("CARGO_PKG_VERSION").to_owned(),
        views_sha256: views_sha256(),
    };
    Ok(Document {
        tally: tally(definition, &parts[0]),
        provenance,
        changes,
        parts,
    })
}

/// Which identities the rows of the first part are about, one a line.
fn about(columns: &[String], rows: &[Vec<String>]) -> String {
    let Some(place) = columns.iter().position(|name| name == "identity_uid") else {
        return String::new();
    };
    let named: BTreeSet<&str> = rows.iter().map(|row| row[place].as_str()).collect();
    named.into_iter().collect::<Vec<_>>().join("\n")
}

fn part(title: &str, question: Question, sql: String, (columns, rows): Answer) -> Part {
    let rows = safe(rows);
    Part {
        title: title.to_owned(),
        question: question.asks,
        sql,
        controls: question.controls,
        caveats: question.caveats,
        rows_sha256: rows_sha256(&columns, &rows),
        columns,
        rows,
    }
}

/// Names what stands in the rows of a part.
pub(crate) fn rows_sha256(columns: &[String], rows: &[Vec<String>]) -> String {
    let bytes = serde_json::to_vec(&(columns, rows)).expect("texts always have a JSON form");
    hex(&sha256(&bytes))
}

/// Columns and rows.
type Answer = (Vec<String>, Vec<Vec<String>>);

/// What the lake answers, as text.
async fn answer(session: &Session, sql: &str) -> Result<Answer, QueryError> {
    let (schema, batches) = session.sql(sql).await?;
    let columns = schema.fields().iter().map(|field| field.name().clone());
    Ok((columns.collect(), formatted(&batches)?))
}

/// Text that steers no terminal and turns no line around.
fn safe(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    for cell in rows.iter_mut().flatten() {
        *cell = harmless(cell);
    }
    rows
}

/// Every value that the questions take, those that nobody gave too. Where two have another default, the first counts.
fn params(
    questions: &[(&str, Question)],
    given: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut params = BTreeMap::new();
    for param in questions.iter().flat_map(|(_, question)| &question.params) {
        let value = given.get(&param.name).or(param.default.as_ref());
        let value = || value.cloned().unwrap_or_default();
        params.entry(param.name.clone()).or_insert_with(value);
    }
    params
}

/// How often each value of the column stands in the rows, the most frequent first.
fn tally(definition: &Definition, part: &Part) -> Vec<(String, u64)> {
    let Some(place) = part.place(definition.tally) else {
        return Vec::new();
    };
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for row in &part.rows {
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

/// What came, went and moved in `part` since `earlier`.
async fn changes(
    definition: &Definition,
    part: &Part,
    earlier: &Session,
) -> Result<Changes, QueryError> {
    let (columns, rows) = answer(earlier, &part.sql).await?;
    let rows = safe(rows);
    let then = by_key(definition, &columns, &rows);
    let now = by_key(definition, &part.columns, &part.rows);
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
    let (columns, rows) = answer(session, &sql).await?;
    let row = safe(rows).into_iter().next();
    let row = row.ok_or_else(|| QueryError::Question("the lake has no epoch yet".to_owned()))?;
    Ok(columns.into_iter().zip(row).collect())
}

/// What the logs told until then.
async fn logs(session: &Session) -> Result<Logs, QueryError> {
    let first = |rows: Vec<Vec<String>>| rows.into_iter().next().unwrap_or_default();
    let covered = "SELECT min(first_time), max(last_time), count(DISTINCT tenant_uid), coalesce(sum(events), 0) FROM coverage";
    let covered = first(safe(answer(session, covered).await?.1));
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
