//! `keytrail investigate`: all that the evidence says about one event, session key, credential, identity or finding.
//!
//! It puts together what tables and views hold, in the order in which somebody asks: what is it, who was it, how is
//! that known, through which hops, what grew out of it. It decides nothing itself.

mod contain;
mod finding;
mod sections;

use std::io::Write;
use std::sync::Arc;

use anyhow::Result;
use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use clap::Args;

use super::{Exit, Lake, Output, block_on};
use crate::query::{Format, Session, formatted};

/// Rows of a section that are shown. A person reads no more of them, and the count of all is said.
const ROWS_MAX: usize = 50;

#[derive(Debug, Args)]
#[command(before_help = "Examples:
  keytrail investigate kf-1f0c --data ./lake
      a finding, by its id or the beginning of it
  keytrail investigate ASIAEXAMPLEEXAMPLE00 --data ./lake
      a temporary key: who obtained it, and what was done with it
  keytrail investigate AKIAEXAMPLEEXAMPLE00 --data ./lake
      a long-lived key
  keytrail investigate AROAEXAMPLEEXAMPLE000 --data ./lake -o ndjson
      an identity by the provider's own id, for a program")]
pub(super) struct Investigate {
    /// Event id, session key, credential or key id, identity (its id, ARN, object id or name), or finding; of an
    /// identity or finding the beginning is enough
    id: String,
    #[command(flatten)]
    lake: Lake,
    #[command(flatten)]
    output: Output,
}

/// What an id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Event,
    Session,
    Credential,
    Identity,
    Finding,
}

/// What is investigated, and what hangs on it.
#[derive(Debug)]
struct Subject {
    kind: Kind,
    uid: String,
    /// Who it belongs to first of all, then whoever else stands behind it; never empty.
    identities: Vec<String>,
    /// The temporary key from which the hops are followed upwards.
    session: Option<String>,
    /// What else is known of a finding.
    finding: Option<finding::Finding>,
}

/// One part of the answer.
#[derive(Debug)]
struct Section {
    name: &'static str,
    title: &'static str,
    sql: String,
    order: &'static str,
    /// Whether its rows are told field by field, one below the other.
    upright: bool,
}

/// The first rows of a section as texts, and how many there are.
#[derive(Debug)]
struct Answer {
    names: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
    total: usize,
}

impl Investigate {
    pub(super) fn run(self) -> Result<()> {
        let format = self.output.format();
        block_on(async {
            let session = Session::open(&self.lake.data).await?;
            let subject = find(&session, self.id.trim()).await?;
            let mut told = Vec::new();
            for section in sections::all(&subject) {
                let answer = ask(&session, &section).await?;
                told.push((section, answer));
            }
            let mut out = std::io::BufWriter::new(std::io::stdout());
            match format {
                Format::Table => print_sections(&mut out, &subject, &told)?,
                _ => {
                    let batch = cells(&told)?;
                    crate::query::write(&mut out, format, batch.schema(), &[batch])?;
                }
            }
            out.flush()?;
            Ok(())
        })
    }
}

/// `text` as a literal of SQL: a quote inside it cannot end it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// What `id` stands for. The surest reading wins: an id of its own before a name, and a name before a beginning.
async fn find(session: &Session, id: &str) -> Result<Subject> {
    let found = rows(session, &candidates(id)).await?;
    let text = |row: &[Option<String>], at: usize| row.get(at).cloned().flatten();
    let Some(first) = found.first() else {
        return Err(Exit(
            2,
            format!(
                "nothing in this lake is called {id:?}. It may be an event id, a session key (ASIA…), a key (AKIA…), a \
                 credential, an identity or a finding (kf-…). `keytrail findings` and `keytrail query identities` list \
                 what there is"
            ),
        )
        .into());
    };
    let same: Vec<String> = found
        .iter()
        .filter(|row| text(row, 0) == text(first, 0))
        .filter_map(|row| text(row, 2))
        .collect();
    if same.len() > 1 {
        let shown = same.join(", ");
        return Err(Exit(
            2,
            format!("several are called {id:?} or begin so; give one of them: {shown:?}"),
        )
        .into());
    }
    let kind = match text(first, 1).as_deref() {
        Some("event") => Kind::Event,
        Some("session") => Kind::Session,
        Some("credential") => Kind::Credential,
        Some("finding") => Kind::Finding,
        _ => Kind::Identity,
    };
    let uid = text(first, 2).unwrap_or_default();
    let mut subject = Subject {
        kind,
        uid,
        identities: Vec::new(),
        session: None,
        finding: None,
    };
    if kind == Kind::Finding {
        subject.finding = finding::load(session, &subject.uid).await?;
    }
    if let Some(row) = rows(session, &surroundings(&subject)).await?.first() {
        subject.session = text(row, 0);
        for at in 1..row.len() {
            let identity = text(row, at).filter(|uid| !subject.identities.contains(uid));
            subject.identities.extend(identity);
        }
    }
    if subject.identities.is_empty() {
        subject.identities.push(subject.uid.clone());
    }
    Ok(subject)
}

/// Everything that `id` could mean, the surest first: rank, kind, uid.
fn candidates(id: &str) -> String {
    let guid = id.len() == 36 && id.bytes().filter(|byte| *byte == b'-').count() == 4;
    let id = if guid {
        id.to_ascii_lowercase()
    } else {
        id.to_owned()
    };
    // A temporary key as credentials spell it, `aws:tkey:ASIA…@time`, is the session of that key.
    let key = id
        .strip_prefix("aws:tkey:")
        .map(|key| key.split('@').next().unwrap_or(key))
        .or_else(|| id.strip_prefix("entra:tok:"))
        .unwrap_or(&id);
    let (key, after_colon, after_slash) = (
        literal(key),
        literal(&format!(":{id}")),
        literal(&format!("/{id}")),
    );
    let begins_finding = id.starts_with("kf-");
    let id = literal(&id);
    format!(
        "SELECT rank, kind, uid FROM ( \
           SELECT 0 AS rank, 'finding' AS kind, finding_uid AS uid FROM finding \
           WHERE {begins_finding} AND starts_with(finding_uid, {id}) \
           UNION ALL SELECT 1 AS rank, 'event' AS kind, event_uid AS uid FROM activity WHERE event_uid = {id} \
           UNION ALL SELECT 2 AS rank, 'session' AS kind, session_uid AS uid FROM sessions WHERE session_uid = {key} \
           UNION ALL SELECT 2 AS rank, 'session' AS kind, session_uid AS uid FROM activity WHERE session_uid = {key} \
           UNION ALL SELECT 3 AS rank, 'credential' AS kind, credential_uid AS uid FROM credentials \
           WHERE credential_uid = {id} OR ends_with(credential_uid, {after_colon}) \
           UNION ALL SELECT 3 AS rank, 'credential' AS kind, credential_uid AS uid FROM usage \
           WHERE credential_uid = {id} OR ends_with(credential_uid, {after_colon}) \
           UNION ALL SELECT 4 AS rank, 'identity' AS kind, identity_uid AS uid FROM identities \
           WHERE identity_uid = {id} \
           UNION ALL SELECT 5 AS rank, 'identity' AS kind, identity_uid AS uid FROM identities \
           WHERE native_uid = {id} OR arn_or_app_id = {id} OR ends_with(identity_uid, {after_slash}) \
           UNION ALL SELECT 6 AS rank, 'identity' AS kind, identity_uid AS uid FROM identities \
           WHERE display_name = {id} \
           UNION ALL SELECT 7 AS rank, 'identity' AS kind, identity_uid AS uid FROM identities \
           WHERE starts_with(identity_uid, {id}) OR starts_with(native_uid, {id}) \
         ) WHERE {id} <> '' GROUP BY rank, kind, uid ORDER BY rank, kind, uid LIMIT 12"
    )
}

/// One row: the session of the subject, then the identities behind it.
fn surroundings(subject: &Subject) -> String {
    let uid = literal(&subject.uid);
    match subject.kind {
        Kind::Event => format!(
            "SELECT session_uid, identity_uid, acting_uid, nhi_uid, origin_uid FROM events \
             WHERE event_uid = {uid} ORDER BY event_time, _leaf LIMIT 1"
        ),
        Kind::Session => format!(
            "SELECT session_uid, identity_uid, origin_uid, issued_by_uid FROM ( \
               SELECT 0 AS rank, session_uid, identity_uid, origin_uid, issued_by_uid, _leaf FROM sessions \
               WHERE session_uid = {uid} \
               UNION ALL SELECT 1 AS rank, session_uid, acting_uid AS identity_uid, origin_uid, \
               identity_uid AS issued_by_uid, _leaf FROM events WHERE session_uid = {uid} \
             ) ORDER BY rank, _leaf LIMIT 1"
        ),
        Kind::Credential => format!(
            "SELECT session_uid, identity_uid FROM ( \
               SELECT 0 AS rank, CAST(NULL AS VARCHAR) AS session_uid, identity_uid FROM credential \
               WHERE credential_uid = {uid} \
               UNION ALL SELECT CASE relation WHEN 'acting' THEN 1 ELSE 2 END AS rank, \
               CAST(NULL AS VARCHAR) AS session_uid, identity_uid FROM usage WHERE credential_uid = {uid} \
             ) ORDER BY rank, identity_uid LIMIT 1"
        ),
        Kind::Identity => {
            format!("SELECT CAST(NULL AS VARCHAR) AS session_uid, {uid} AS identity_uid")
        }
        Kind::Finding => format!(
            "SELECT e.session_uid, f.identity_uid, e.acting_uid, e.origin_uid FROM finding f \
             LEFT JOIN finding_events n ON n.finding_uid = f.finding_uid \
             LEFT JOIN events e ON e.event_uid = n.event_uid AND e.event_date = n.event_date \
             WHERE f.finding_uid = {uid} \
             ORDER BY CASE n.role WHEN 'trigger' THEN 0 ELSE 1 END, n.seq LIMIT 1"
        ),
    }
}

async fn ask(session: &Session, section: &Section) -> Result<Answer> {
    let sql = format!(
        "SELECT *, count(*) OVER () AS total FROM ({}) ORDER BY {} LIMIT {ROWS_MAX}",
        section.sql, section.order
    );
    let (schema, batches) = session.sql(&sql).await?;
    let mut rows = texts(&batches)?;
    let mut names: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
    names.pop();
    let mut total = 0;
    for row in &mut rows {
        let count = row.pop().flatten();
        total = count.and_then(|text| text.parse().ok()).unwrap_or(total);
    }
    Ok(Answer { names, rows, total })
}

async fn rows(session: &Session, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
    let (_, batches) = session.sql(sql).await?;
    texts(&batches)
}

/// Every value as text, row by row; nothing where there is none.
fn texts(batches: &[RecordBatch]) -> Result<Vec<Vec<Option<String>>>> {
    let told = |text: String| Some(text).filter(|text| !text.is_empty());
    let rows = formatted(batches)?.into_iter();
    Ok(rows
        .map(|row| row.into_iter().map(told).collect())
        .collect())
}

/// The answer for people: a title and a table for each section.
fn print_sections(
    out: &mut dyn Write,
    subject: &Subject,
    told: &[(Section, Answer)],
) -> Result<()> {
    for (section, answer) in told {
        let shown = answer.rows.len();
        match (answer.total, section.upright) {
            (0, _) => {
                writeln!(out, "{}: none\n", section.title)?;
                continue;
            }
            (total, _) if total > shown => {
                writeln!(out, "{}: {shown} of {total}", section.title)?;
            }
            (_, true) => writeln!(out, "{}", section.title)?,
            (total, false) => writeln!(out, "{}: {total}", section.title)?,
        }
        let batch = if section.upright {
            fields(answer)?
        } else {
            table(answer)?
        };
        let mut text = Vec::new();
        crate::query::write(&mut text, Format::Table, batch.schema(), &[batch])?;
        // The last line counts rows, which the title does already.
        let text = String::from_utf8_lossy(&text);
        let table = text
            .trim_end()
            .rsplit_once('\n')
            .map_or("", |(table, _)| table);
        writeln!(out, "{table}\n")?;
    }
    if subject.kind != Kind::Identity {
        let more = "`keytrail investigate` with the identity says more about it";
        writeln!(out, "{more}")?;
    }
    Ok(())
}

/// Field by field; what a row does not have is left out.
fn fields(answer: &Answer) -> Result<RecordBatch> {
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (index, row) in answer.rows.iter().enumerate() {
        if index > 0 {
            names.push(String::new());
            values.push(String::new());
        }
        for (name, value) in answer.names.iter().zip(row) {
            if let Some(value) = value {
                names.push(name.clone());
                values.push(value.clone());
            }
        }
    }
    let columns: [(&str, ArrayRef); 2] = [
        ("field", Arc::new(StringArray::from(names))),
        ("value", Arc::new(StringArray::from(values))),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// Row by row; a column in which no row has anything is left out.
fn table(answer: &Answer) -> Result<RecordBatch> {
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    for (at, name) in answer.names.iter().enumerate() {
        let values: Vec<Option<&str>> = answer.rows.iter().map(|row| row[at].as_deref()).collect();
        if values.iter().any(Option::is_some) {
            columns.push((name, Arc::new(StringArray::from(values))));
        }
    }
    Ok(RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )?)
}

/// The answer for programs: a row for each value, numbered within its section; row 0 says how many there are in all.
fn cells(told: &[(Section, Answer)]) -> Result<RecordBatch> {
    let (mut sections, mut numbers) = (Vec::new(), Vec::new());
    let (mut names, mut values) = (Vec::new(), Vec::new());
    let mut add = |section: &Section, number: usize, name: &str, value: String| {
        sections.push(section.name);
        numbers.push(i64::try_from(number).unwrap_or(i64::MAX));
        names.push(name.to_owned());
        values.push(value);
    };
    for (section, answer) in told {
        add(section, 0, "total", answer.total.to_string());
        for (index, row) in answer.rows.iter().enumerate() {
            for (name, value) in answer.names.iter().zip(row) {
                if let Some(value) = value {
                    add(section, index + 1, name, value.clone());
                }
            }
        }
    }
    let columns: [(&str, ArrayRef); 4] = [
        ("section", Arc::new(StringArray::from(sections))),
        ("row", Arc::new(Int64Array::from(numbers))),
        ("field", Arc::new(StringArray::from(names))),
        ("value", Arc::new(StringArray::from(values))),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn upright(name: &'static str, title: &'static str, sql: String, order: &'static str) -> Section {
    Section {
        upright: true,
        ..list(name, title, sql, order)
    }
}

fn list(name: &'static str, title: &'static str, sql: String, order: &'static str) -> Section {
    Section {
        name,
        title,
        sql,
        order,
        upright: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_a_value() {
        assert_eq!(literal("x' OR '1'='1"), "'x'' OR ''1''=''1'");
        let sql = candidates("aws:tkey:ASIA0@2026-01-01T00:00:00Z");
        assert!(sql.contains("session_uid = 'ASIA0'"), "{sql}");
        let sql = candidates("8E940DD9-D281-4C05-9766-882238583B52");
        assert!(
            sql.contains("'/8e940dd9-d281-4c05-9766-882238583b52'"),
            "{sql}"
        );
    }
}
