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
use chrono::NaiveDate;

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
    let questions = definition.parts()?;
    let params = params(definition, &questions, given)?;
    let mut values = params.clone();
    let mut asked = Vec::new();
    let mut parts: Vec<Part> = Vec::new();
    for (title, question) in questions {
        let own = values.iter().filter(|(name, _)| takes(&question, name));
        let own = own.map(|(name, value)| (name.clone(), value.clone()));
        let sql = bind(&question, &own.collect())?;
        let (columns, rows) = answer(session, &sql).await?;
        if parts.is_empty() {
            if definition.of_one && rows.is_empty() {
                return Err(QueryError::Question(
                    "the lake knows no such identity".to_owned(),
                ));
            }
            values.insert(ABOUT.to_owned(), about(session, &columns, &rows).await?);
        }
        parts.push(part(title, question, &sql, (columns, rows)));
        asked.push(sql);
    }
    let changes = match earlier {
        Some(earlier) => Some(changes(definition, &asked[0], &parts[0], earlier).await?),
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

/// Which identities the rows of the first part are about, one a line: under every id that they ever had.
async fn about(
    session: &Session,
    columns: &[String],
    rows: &[Vec<String>],
) -> Result<String, QueryError> {
    let Some(place) = columns.iter().position(|name| name == "identity_uid") else {
        return Ok(String::new());
    };
    let merged =
        "SELECT identity_uid, merged_into_uid FROM identity WHERE merged_into_uid IS NOT NULL";
    let merged = answer(session, merged).await?.1;
    let named = rows.iter().map(|row| row[place].as_str()).collect();
    // Whoever names a subject may put a line break into it; questions look for it as a space.
    let lines = under_every_id(named, &merged).into_iter();
    let lines = lines.map(|uid| uid.replace('\n', " "));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// `named` with the ids into which they were merged, and all that were merged into those.
fn under_every_id<'u>(
    mut named: BTreeSet<&'u str>,
    merged: &'u [Vec<String>],
) -> BTreeSet<&'u str> {
    for (from, to) in [(0, 1), (1, 0)] {
        let known = merged
            .iter()
            .filter(|ids| named.contains(ids[from].as_str()));
        let others: Vec<&str> = known.map(|ids| ids[to].as_str()).collect();
        named.extend(others);
    }
    named
}

fn part(title: &str, question: Question, sql: &str, (columns, rows): Answer) -> Part {
    let rows = safe(rows);
    Part {
        title: title.to_owned(),
        question: question.asks,
        sql: harmless(sql),
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

fn takes(question: &Question, name: &str) -> bool {
    question.params.iter().any(|param| param.name == name)
}

/// Every value that the questions take, those that nobody gave too. Where two have another default, the first counts.
fn params(
    definition: &Definition,
    questions: &[(&str, Question)],
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, QueryError> {
    let mut params = BTreeMap::new();
    for param in questions.iter().flat_map(|(_, question)| &question.params) {
        let own = definition
            .values
            .iter()
            .find(|(name, _)| *name == param.name);
        let default = || {
            own.map(|(_, value)| (*value).to_owned())
                .or(param.default.clone())
        };
        if let Some(value) = given.get(&param.name).cloned().or_else(default) {
            params.entry(param.name.clone()).or_insert(value);
        }
    }
    let wrong = |text: String| Err(QueryError::Question(text));
    let known = |name: &String| questions.iter().any(|(_, question)| takes(question, name));
    if let Some(unknown) = given.keys().find(|name| !known(name)) {
        let takes: Vec<String> = definition.takes()?.into_iter().collect();
        let takes = if takes.is_empty() {
            "nothing".to_owned()
        } else {
            takes.join(", ")
        };
        return wrong(format!(
            "{} takes no {unknown:?}; it takes {takes}",
            definition.name
        ));
    }
    let one = |text: &String| !text.is_empty() && !text.contains('\n');
    if definition.of_one && !params.get(ABOUT).is_some_and(one) {
        return wrong(format!(
            "{} needs -p {ABOUT}=ID, one identity_uid",
            definition.name
        ));
    }
    let day = |name: &str| {
        params
            .get(name)
            .map(|text| (text, text.parse::<NaiveDate>()))
    };
    match (day("first_day"), day("last_day")) {
        (Some((text, Err(_))), _) | (_, Some((text, Err(_)))) => {
            wrong(format!("{text:?} is no day like 2026-07-01"))
        }
        (Some((first, Ok(begin))), Some((last, Ok(end)))) if begin > end => wrong(format!(
            "the period ends before it begins: {first} to {last}"
        )),
        _ => Ok(params),
    }
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
    sql: &str,
    part: &Part,
    earlier: &Session,
) -> Result<Changes, QueryError> {
    let (columns, rows) = answer(earlier, sql).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_named_is_meant_under_every_id() {
        let ids = |from: &str, to: &str| vec![from.to_owned(), to.to_owned()];
        let merged = [
            ids("arn", "role"),
            ids("name", "role"),
            ids("else", "other"),
        ];
        for one in ["arn", "name", "role"] {
            let all = under_every_id(BTreeSet::from([one]), &merged);
            assert_eq!(all, BTreeSet::from(["arn", "name", "role"]), "{one}");
        }
        let alone = under_every_id(BTreeSet::from(["nobody"]), &merged);
        assert_eq!(alone, BTreeSet::from(["nobody"]));
    }
}
