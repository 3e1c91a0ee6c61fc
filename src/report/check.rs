//! Whether a report is what it was when it was made.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::render::{MARK, MARK_END};
use super::{Document, Form, ask, render, rows_sha256, sidecar};
use crate::query::{QueryError, Session, bind};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It says what the lake says.
    Same,
    /// What is wrong.
    Differs(String),
}

/// The report in the file at `path`, if the file agrees with itself: every cell, and the hash over all of them.
///
/// # Errors
///
/// A sentence that says what does not agree.
pub fn read(path: &Path) -> Result<Document, String> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|error| format!("{shown}: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{shown} is not text"))?;
    let form =
        Form::of(path).ok_or_else(|| format!("{shown} is neither .md, .html, .csv nor .json"))?;
    let document = match form {
        Form::Json => parse(text.as_bytes())?,
        Form::Csv => {
            let beside = sidecar(path);
            let read = std::fs::read(&beside).map_err(|error| {
                format!("{}: {error}; a .csv is checked by it", beside.display())
            })?;
            parse(&read)?
        }
        Form::Md | Form::Html => parse(&embedded(&text).ok_or_else(|| {
            format!("{shown} holds no report of Keytrail: its last line is missing or cut")
        })?)?,
    };
    let again = render(&document, form);
    if again != text {
        return Err(format!(
            "{shown}:{}: it is not what the report says there",
            first_difference(&again, &text)
        ));
    }
    if rows_sha256(&document.columns, &document.rows) != document.provenance.rows_sha256
        || document.rows.len() != document.provenance.rows
    {
        return Err(format!(
            "{shown}: its rows do not have the hash that it names"
        ));
    }
    Ok(document)
}

/// Asks the lake again. `session` sees it as of the report's epoch.
///
/// # Errors
///
/// Whatever the lake cannot answer.
pub async fn compare(document: &Document, session: &Session) -> Result<Checked, QueryError> {
    let provenance = &document.provenance;
    let Some(definition) = super::report(&provenance.report) else {
        let unknown = format!("this build makes no report {:?}", provenance.report);
        return Ok(Checked::Differs(unknown));
    };
    // A question that the file brings along could answer anything.
    let sql = bind(&definition.question()?, &provenance.params)?;
    if sql != provenance.sql {
        let other = "its question is not the one of this build: somebody changed it, or another build made it";
        return Ok(Checked::Differs(other.to_owned()));
    }
    let (columns, rows) = ask(session, &sql).await?;
    let ledger = super::ledger(session).await?;
    Ok(if ledger != provenance.ledger {
        Checked::Differs("the ledger is another one than that of the report".to_owned())
    } else if columns != document.columns {
        Checked::Differs("the question gives other columns".to_owned())
    } else if let Some(place) = differs(&rows, &document.rows) {
        Checked::Differs(format!("row {} is another one in the lake", place + 1))
    } else {
        Checked::Same
    })
}

fn differs(rows: &[Vec<String>], others: &[Vec<String>]) -> Option<usize> {
    let longest = rows.len().max(others.len());
    (0..longest).find(|place| rows.get(*place) != others.get(*place))
}

fn parse(bytes: &[u8]) -> Result<Document, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("the report does not parse: {error}"))
}

/// The report at the end of a text.
fn embedded(text: &str) -> Option<Vec<u8>> {
    let last = text.trim_end().lines().next_back()?;
    let encoded = last.strip_prefix(MARK)?.strip_suffix(MARK_END)?;
    STANDARD.decode(encoded).ok()
}

/// The line in which two texts first differ, from 1.
fn first_difference(one: &str, other: &str) -> usize {
    let same = one
        .lines()
        .zip(other.lines())
        .take_while(|(one, other)| one == other);
    same.count() + 1
}
